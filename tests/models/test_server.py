"""A network behind a PredictionService over loopback, and what the client says when it fails."""

import json
import threading
import time

import numpy as np
import pytest
import SimpleITK as sitk
import tensorflow as tf

import ldr_tf
from experiments import serve_client
from ldr_tf.commands import register
from ldr_tf.errors import InputError
from ldr_tf.models.server import Connection, RemoteNetwork
from ldr_tf.serving.export import export
from tests.servers import NAME, make_run

QUICK = Connection(timeout=20, retries=1)


@pytest.fixture
def server(serve, moving_export):
    return serve({NAME: moving_export})


@pytest.fixture
def pair(levels):
    """Fixed and moving, [1, 32, 32, 32, 1], 0..1, whole steps of 1/255."""
    return [volume[:1].astype("float32") / np.float32(255) for volume in levels]


@pytest.fixture
def scans(tmp_path, levels):
    """Files of a pair on the network's own grid, and the flags that name them."""
    return write_scans(tmp_path, [volume[0, ..., 0] for volume in levels])


def write_scans(folder, volumes):
    paths = {}
    for name, volume in zip(("fixed", "moving"), volumes):
        paths[name] = str(folder / f"{name}.nii.gz")
        sitk.WriteImage(sitk.GetImageFromArray(volume.transpose(2, 1, 0)), paths[name])
    return [f"--{name}={path}" for name, path in paths.items()]


def displacement(folder):
    return sitk.GetArrayFromImage(sitk.ReadImage(str(folder / "displacement.nii.gz")))


def test_it_answers_as_the_run(server, moving_run, pair):
    remote = RemoteNetwork(f"grpc://{server.address}/{NAME}", QUICK)
    network = ldr_tf.load_run(str(moving_run))
    assert remote.config.network == network.config.network
    wanted = network(*map(tf.constant, pair)).flow
    np.testing.assert_allclose(remote(*pair).flow, wanted, atol=1e-4)
    assert server.asked == ["describe", "register_uint8"]
    remote(pair[0] + np.float32(1e-3), pair[1])
    assert server.asked[-1] == "serving_default"
    remote.close()


def test_a_flow_of_half_precision(serve, moving_run, pair, tmp_path):
    server = serve({"half": export(str(moving_run), str(tmp_path / "half"), half_flow=True)})
    remote = RemoteNetwork(f"grpc://{server.address}/half", QUICK)
    wanted = ldr_tf.load_run(str(moving_run))(*map(tf.constant, pair)).flow
    flow = remote(*pair).flow
    assert flow.dtype == np.float32
    np.testing.assert_allclose(flow, wanted, rtol=2**-11, atol=1e-4)


def test_both_commands_do_what_the_run_does(server, moving_run, scans, tmp_path):
    more = [*scans, "--affine=none"]
    address = f"--model=grpc://{server.address}/{NAME}"
    client = ["serve_client", f"--server={server.address}", f"--model_name={NAME}"]
    calls = {
        "run": (register, ["ldr-register", f"--model={moving_run}"]),
        "address": (register, ["ldr-register", address, "--retries=1"]),
        "client": (serve_client, [*client, "--timeout", "20"]),
    }
    for name, (command, words) in calls.items():
        assert command.main([*words, *more, f"--output={tmp_path / name}"]) == 0
    wanted = displacement(tmp_path / "run")
    assert np.abs(wanted).max() > 1
    for name in ("address", "client"):
        np.testing.assert_allclose(displacement(tmp_path / name), wanted, atol=2e-3)
        assert set(p.name for p in (tmp_path / name).iterdir()) == set(
            p.name for p in (tmp_path / "run").iterdir()
        )
        summary = json.loads((tmp_path / name / "summary.json").read_text())
        assert summary["model"]["cascades"] == 2


def killed_while_answering(server):
    """Starts a thread that kills the server once it is in the middle of a registration."""

    def watch():
        while "register_uint8" not in server.asked and "serving_default" not in server.asked:
            time.sleep(0.01)
        server.kill()

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


def hold_registrations(server):
    """Lets `describe` through and holds what follows."""
    answer = server.gate.wait

    def wait(seconds):
        return server.asked[-1] == "describe" or answer(seconds)

    server.gate.wait = wait
    server.gate.clear()


def test_killed_in_the_middle_of_a_call(server, scans, tmp_path, capfd):
    hold_registrations(server)
    thread = killed_while_answering(server)
    words = ["serve_client", f"--server={server.address}", f"--model_name={NAME}", "--retries=1"]
    assert serve_client.main([*words, *scans, f"--output={tmp_path / 'out'}"]) == 2
    thread.join()
    said = capfd.readouterr().err
    assert f"grpc://{server.address}/{NAME}: the server cannot be reached or went away" in said
    assert "tried 2 times" in said and "Traceback" not in said
    assert not (tmp_path / "out").exists()


def test_restarted_within_the_retries(serve, server, moving_export, scans, tmp_path):
    hold_registrations(server)

    def restart():
        killed_while_answering(server).join()
        time.sleep(0.7)
        serve({NAME: moving_export}, server.port)

    thread = threading.Thread(target=restart)
    thread.start()
    words = ["serve_client", f"--server={server.address}", f"--model_name={NAME}", "--retries=6"]
    assert serve_client.main([*words, *scans, f"--output={tmp_path / 'out'}"]) == 0
    thread.join()
    assert (tmp_path / "out" / "warped.nii.gz").exists()


def test_too_late(server, pair):
    remote = RemoteNetwork(f"grpc://{server.address}/{NAME}", Connection(timeout=0.5))
    server.gate.clear()
    with pytest.raises(InputError, match=r"did not answer within 0\.5 s"):
        remote(*pair)


def test_what_the_server_refuses(server, pair):
    with pytest.raises(InputError, match="has no such model"):
        RemoteNetwork(f"grpc://{server.address}/another", QUICK)
    remote = RemoteNetwork(f"grpc://{server.address}/{NAME}", QUICK)
    with pytest.raises(InputError, match=r"refused the request \(.*fixed must be \[batch, 32"):
        remote(*[volume[:, :16] for volume in pair])


def test_answers_of_another_kind(server, pair, monkeypatch):
    predict_pb2 = pytest.importorskip("tensorflow_serving.apis.predict_pb2")
    remote = RemoteNetwork(f"grpc://{server.address}/{NAME}", QUICK)
    flow = np.zeros((1, 32, 32, 32, 3), "float32")
    for array, words in (
        (flow[..., :2], r"shape \(1, 32, 32, 32, 2\)"),
        (flow * np.nan, "finite"),
        (None, "answered without 'flow'"),
    ):
        answer = predict_pb2.PredictResponse()
        if array is not None:
            answer.outputs["flow"].CopyFrom(tf.make_tensor_proto(array))
        monkeypatch.setattr(remote, "_predict", lambda *_, given=answer, **__: given)
        with pytest.raises(InputError, match=words):
            remote(*pair)


def test_a_model_that_is_no_export_of_ours(serve, tmp_path):
    module = tf.Module()
    double = tf.function(lambda x: {"y": 2 * x}, input_signature=[tf.TensorSpec([], name="x")])
    tf.saved_model.save(module, str(tmp_path), signatures={"serving_default": double})
    server = serve({"other": tmp_path})
    with pytest.raises(InputError, match=r"^grpc://.*/other: the server answered "):
        RemoteNetwork(f"grpc://{server.address}/other", QUICK)


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("grpc://localhost/model", "must be grpc://HOST:PORT/MODEL"),
        ("grpc://localhost:8500", "must be grpc://HOST:PORT/MODEL"),
        ("grpc://localhost:1/model", "cannot be reached"),
        ("grpcs://localhost:1/model", "cannot be reached"),
    ],
)
def test_bad_addresses(address, words, tmp_path, scans, capfd):
    pytest.importorskip("tensorflow_serving", reason="tensorflow-serving-api is not installed")
    words_given = ["ldr-register", f"--model={address}", "--retries=0", *scans]
    assert register.main([*words_given, f"--output={tmp_path / 'out'}"]) == 2
    assert words in capfd.readouterr().err
    assert not (tmp_path / "out").exists()


def test_without_the_package_it_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "tensorflow_serving.apis", None)
    with pytest.raises(InputError, match=r"ldr_tf\[serving\]"):
        RemoteNetwork("grpc://localhost:1/model")


def test_certificates(serve, moving_export, pair, tmp_path):
    grpc = pytest.importorskip("grpc")
    key, certificate = make_certificate(tmp_path)
    credentials = grpc.ssl_server_credentials([(key.read_bytes(), certificate.read_bytes())])
    server = serve({NAME: moving_export}, credentials=credentials)
    address = f"grpcs://localhost:{server.port}/{NAME}"
    trusting = Connection(timeout=20, retries=0, tls_ca=str(certificate))
    assert RemoteNetwork(address, trusting)(*pair).flow.shape == (1, 32, 32, 32, 3)
    with pytest.raises(InputError, match="cannot be reached"):
        RemoteNetwork(address, Connection(retries=0))
    with pytest.raises(InputError, match="holds no certificate"):
        RemoteNetwork(address, Connection(tls_ca=str(key)))
    with pytest.raises(InputError, match="cannot be read"):
        RemoteNetwork(address, Connection(tls_ca=str(tmp_path / "none.pem")))


def make_certificate(folder):
    """Writes a key and a certificate for localhost that nobody but this test trusts."""
    import shutil
    import subprocess

    program = shutil.which("openssl")
    if program is None:
        pytest.skip("openssl is not installed")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    command = [program, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    command += ["-keyout", key, "-out", certificate, "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=DNS:localhost"]
    subprocess.run(command, check=True, capture_output=True)
    return key, certificate


@pytest.mark.slow
def test_real_message_sizes(serve, tmp_path):
    run = make_run(tmp_path / "run", 128)
    server = serve({"big": export(str(run), str(tmp_path / "big"))})
    rng = np.random.default_rng(0)
    volumes = rng.integers(0, 256, (2, 1, 128, 128, 128, 1), dtype=np.uint8)
    pair = [volume.astype(np.float32) / np.float32(255) for volume in volumes]
    remote = RemoteNetwork(f"grpc://{server.address}/big", Connection(retries=0))
    wanted = ldr_tf.load_run(str(run))(*map(tf.constant, pair)).flow.numpy()
    for shift in (0, 1e-3):  # as uint8, 4 MiB, and as float32, 16 MiB; 24 MiB come back
        flow = remote(pair[0] + np.float32(shift), pair[1]).flow
        assert flow.nbytes == 24 * 2**20
        # Random weights make flows of tens of voxels, which float32 keeps to some 1e-6 of them.
        np.testing.assert_allclose(flow, wanted, rtol=1e-5, atol=1e-4 if not shift else 1.0)
    assert server.asked == ["describe", "register_uint8", "serving_default"]

    scans = write_scans(tmp_path, [volume[0, ..., 0] for volume in volumes])
    more = [*scans, "--affine=none", "--model_name=big", f"--output={tmp_path / 'remote'}"]
    assert serve_client.main(["serve_client", f"--server={server.address}", *more]) == 0
    more = [*scans, "--affine=none", f"--model={run}", f"--output={tmp_path / 'here'}"]
    assert register.main(["ldr-register", *more]) == 0
    here, there = displacement(tmp_path / "here"), displacement(tmp_path / "remote")
    np.testing.assert_allclose(there, here, atol=2e-3)
