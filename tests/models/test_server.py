"""A network behind a PredictionService over loopback, and what the client says when it fails."""

import json
import threading
import time

import numpy as np
import pytest
import SimpleITK as sitk
import tensorflow as tf

from ldr_tf.commands import register
from ldr_tf.errors import InputError
from ldr_tf.models import load_model
from ldr_tf.models.server import Connection, ServerModel
from ldr_tf.serving.export import export
from tests.servers import NAME, make_run

QUICK = Connection(timeout=20, retries=1)


@pytest.fixture
def server(serve, moving_export):
    return serve({NAME: moving_export})


@pytest.fixture
def pair(levels):
    """Fixed and moving, float32 [32, 32, 32], whole numbers 0..255."""
    return [volume[0, ..., 0].astype("float32") for volume in levels]


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
    model = ServerModel(f"grpc://{server.address}/{NAME}", QUICK)
    run = load_model(str(moving_run))
    assert (model.network, model.image) == (run.network, run.image)
    assert model.parameters is None and not model.free_size
    flow = model.flow(*pair)
    np.testing.assert_allclose(flow, run.flow(*pair), atol=1e-4)
    assert server.asked == ["describe", "register_uint8"]
    model.flow(pair[0] + np.float32(0.25), pair[1])
    assert server.asked[-1] == "serving_default"
    model.close()


def test_another_version_is_another_model(server, monkeypatch):
    one, same, other = (ServerModel(f"grpc://{server.address}/{NAME}", QUICK) for _ in range(3))
    other._answering = 7
    assert one.fingerprint == same.fingerprint != other.fingerprint


def test_a_flow_of_half_precision(serve, moving_run, pair, tmp_path):
    server = serve({"half": export(str(moving_run), str(tmp_path / "half"), half_flow=True)})
    flow = ServerModel(f"grpc://{server.address}/half", QUICK).flow(*pair)
    assert flow.dtype == np.float32
    wanted = load_model(str(moving_run)).flow(*pair)
    np.testing.assert_allclose(flow, wanted, rtol=2**-11, atol=1e-4)


def register_at(server, scans, output, *flags, name=NAME):
    address = f"--model=grpc://{server.address}/{name}"
    words = [address, "--quality=fast", *scans, f"--output={output}", *flags]
    return register.main(["ldr-register", *words])


def test_the_command_does_what_the_run_does(server, moving_run, scans, tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    words = [f"--model={moving_run}", "--quality=fast", *scans, "--affine=none"]
    words += [f"--output={here}"]
    assert register.main(["ldr-register", *words]) == 0
    assert register_at(server, scans, there, "--affine=none", "--retries=1") == 0
    wanted = displacement(here)
    assert np.abs(wanted).max() > 1
    np.testing.assert_allclose(displacement(there), wanted, atol=2e-3)
    assert {path.name for path in there.iterdir()} == {path.name for path in here.iterdir()}
    summary = json.loads((there / "summary.json").read_text())
    assert summary["model"]["cascades"] == 2 and summary["model"]["precision"] is None


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
    assert register_at(server, scans, tmp_path / "out", "--retries=1") == 2
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
    assert register_at(server, scans, tmp_path / "out", "--retries=6") == 0
    thread.join()
    assert (tmp_path / "out" / "warped.nii.gz").exists()


def test_too_late(server, pair):
    remote = ServerModel(f"grpc://{server.address}/{NAME}", Connection(timeout=0.5))
    server.gate.clear()
    with pytest.raises(InputError, match=r"did not answer within 0\.5 s"):
        remote.flow(*pair)


def test_what_the_server_refuses(server, pair):
    with pytest.raises(InputError, match="has no such model"):
        ServerModel(f"grpc://{server.address}/another", QUICK)
    remote = ServerModel(f"grpc://{server.address}/{NAME}", QUICK)
    with pytest.raises(InputError, match=r"refused the request \(.*fixed must be \[batch, 32"):
        remote.flow(*[volume[:16] for volume in pair])


def test_answers_of_another_kind(server, pair, monkeypatch):
    predict_pb2 = pytest.importorskip("tensorflow_serving.apis.predict_pb2")
    remote = ServerModel(f"grpc://{server.address}/{NAME}", QUICK)
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
            remote.flow(*pair)


def test_a_model_that_is_no_export_of_ours(serve, tmp_path):
    module = tf.Module()
    double = tf.function(lambda x: {"y": 2 * x}, input_signature=[tf.TensorSpec([], name="x")])
    tf.saved_model.save(module, str(tmp_path), signatures={"serving_default": double})
    server = serve({"other": tmp_path})
    with pytest.raises(InputError, match=r"^grpc://.*/other: the server answered "):
        ServerModel(f"grpc://{server.address}/other", QUICK)


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
        ServerModel("grpc://localhost:1/model")


def test_certificates(serve, moving_export, pair, tmp_path):
    grpc = pytest.importorskip("grpc")
    key, certificate = make_certificate(tmp_path)
    credentials = grpc.ssl_server_credentials([(key.read_bytes(), certificate.read_bytes())])
    server = serve({NAME: moving_export}, credentials=credentials)
    address = f"grpcs://localhost:{server.port}/{NAME}"
    trusting = Connection(timeout=20, retries=0, tls_ca=str(certificate))
    assert ServerModel(address, trusting).flow(*pair).shape == (32, 32, 32, 3)
    with pytest.raises(InputError, match="cannot be reached"):
        ServerModel(address, Connection(retries=0))
    with pytest.raises(InputError, match="holds no certificate"):
        ServerModel(address, Connection(tls_ca=str(key)))
    with pytest.raises(InputError, match="cannot be read"):
        ServerModel(address, Connection(tls_ca=str(tmp_path / "none.pem")))


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
    pair = [volume[0, ..., 0].astype(np.float32) for volume in volumes]
    remote = ServerModel(f"grpc://{server.address}/big", Connection(retries=0))
    wanted = load_model(str(run)).flow(*pair)
    for shift in (0, 0.25):  # as uint8, 4 MiB, and as float32, 16 MiB; 24 MiB come back
        flow = remote.flow(pair[0] + np.float32(shift), pair[1])
        assert flow.nbytes == 24 * 2**20
        # Random weights make flows of tens of voxels, which float32 keeps to some 1e-6 of them.
        np.testing.assert_allclose(flow, wanted, rtol=1e-5, atol=1e-4 if not shift else 1.0)
    assert server.asked == ["describe", "register_uint8", "serving_default"]

    scans = write_scans(tmp_path, [volume[0, ..., 0] for volume in volumes])
    assert register_at(server, scans, tmp_path / "remote", "--affine=none", name="big") == 0
    more = [
        *scans,
        "--affine=none",
        "--quality=fast",
        f"--model={run}",
        f"--output={tmp_path / 'here'}",
    ]
    assert register.main(["ldr-register", *more]) == 0
    here, there = displacement(tmp_path / "here"), displacement(tmp_path / "remote")
    np.testing.assert_allclose(there, here, atol=2e-3)
