"""Every signature answers as the run's network does, wherever the SavedModel is loaded."""

import concurrent.futures
import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

import ldr_tf
from ldr_tf.ops.warp import warp, warp_nearest
from ldr_tf.serving.export import export

LABELS = np.arange(2 * 32**3, dtype=np.int32).reshape(2, 32, 32, 32, 1)
ROOT = pathlib.Path(__file__).parents[2]
PROGRAM = pathlib.Path(__file__).with_name("ask_saved_model.py")


@pytest.fixture(scope="module")
def wanted(moving_run, levels):
    """Signature -> (inputs, outputs), by the network of the run folder."""
    network = ldr_tf.load_run(str(moving_run))
    fixed, moving = [tf.constant(volume, tf.float32) for volume in levels]
    answer = network(fixed / 255, moving / 255)
    assert np.abs(answer.flow).max() > 2
    found = {"flow": answer.flow.numpy(), "warped": 255 * answer.warped.numpy()}
    flow = {"flow": found["flow"]}
    return {
        "serving_default": ({"fixed": fixed.numpy(), "moving": moving.numpy()}, found),
        "register_uint8": (dict(zip(("fixed", "moving"), levels)), found),
        "warp_linear": (
            {"image": moving.numpy(), **flow},
            {"warped": warp(moving, answer.flow).numpy()},
        ),
        "warp_nearest": (
            {"labels": LABELS, **flow},
            {"warped": warp_nearest(LABELS, answer.flow).numpy()},
        ),
    }


def assert_same(found, outputs):
    """Flows to 1e-4 voxel, images to 1e-4 of their range, labels exactly."""
    assert set(found) == set(outputs)
    for name, output in outputs.items():
        assert np.asarray(found[name]).dtype == output.dtype
        scale = 255 if name == "warped" and output.dtype == np.float32 else 1
        np.testing.assert_allclose(found[name] / scale, output / scale, rtol=0, atol=1e-4)


def test_every_signature(moving_export, wanted):
    signatures = tf.saved_model.load(moving_export).signatures
    assert set(signatures) == {*wanted, "describe"}
    for name, (inputs, outputs) in wanted.items():
        assert_same(signatures[name](**{k: tf.constant(v) for k, v in inputs.items()}), outputs)


def test_a_batch_of_one_too(moving_export, wanted):
    inputs, outputs = wanted["serving_default"]
    serve = tf.saved_model.load(moving_export).signatures["serving_default"]
    found = serve(**{name: tf.constant(array[1:]) for name, array in inputs.items()})
    assert_same(found, {name: array[1:] for name, array in outputs.items()})


def test_the_session_loader(moving_export, wanted):
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        model = tf.compat.v1.saved_model.load(session, ["serve"], moving_export)
        for name, (inputs, outputs) in wanted.items():
            signature = model.signature_def[name]
            feed = {signature.inputs[key].name: array for key, array in inputs.items()}
            fetch = {key: signature.outputs[key].name for key in outputs}
            assert_same(session.run(fetch, feed), outputs)
        describe = model.signature_def["describe"]
        feed = {describe.inputs["index"].name: [0, 7]}
        texts = session.run(describe.outputs["config"].name, feed)
    assert [json.loads(text)["network"]["cascades"] for text in texts] == [2, 2]


def test_a_process_with_tensorflow_alone(moving_export, wanted, tmp_path):
    for name, (inputs, _) in wanted.items():
        np.savez(tmp_path / f"{name}.npz", **inputs)
    subprocess.run(
        [sys.executable, "-I", PROGRAM, moving_export, tmp_path, *wanted],
        cwd=tmp_path,
        check=True,
        timeout=300,
    )
    for name, (_, outputs) in wanted.items():
        with np.load(tmp_path / f"{name}.answer.npz") as found:
            assert_same(dict(found), outputs)


def other_python():
    """The Python of the other stack's environment in this checkout, None where there is none."""
    for name in (".venv", ".venv-modern"):
        if (ROOT / name / "bin" / "python").exists() and ROOT / name != pathlib.Path(sys.prefix):
            return ROOT / name / "bin" / "python"
    return None


@pytest.mark.slow
@pytest.mark.skipif(other_python() is None, reason="the other stack is not installed")
def test_each_stack_loads_the_others_export(moving_export, moving_run, wanted, tmp_path):
    for name, (inputs, _) in wanted.items():
        np.savez(tmp_path / f"{name}.npz", **inputs)
    command = [other_python(), "-I", PROGRAM, moving_export, tmp_path, *wanted]
    subprocess.run(command, check=True, timeout=300)
    command = [other_python(), "-m", "experiments.export", "--nomeasure", f"--run={moving_run}"]
    subprocess.run([*command, f"--output={tmp_path / 'm'}"], check=True, cwd=ROOT, timeout=300)
    signatures = tf.saved_model.load(str(tmp_path / "m" / "1")).signatures
    for name, (inputs, outputs) in wanted.items():
        with np.load(tmp_path / f"{name}.answer.npz") as found:
            assert_same(dict(found), outputs)
        assert_same(signatures[name](**{k: tf.constant(v) for k, v in inputs.items()}), outputs)


@pytest.mark.slow
def test_saved_model_cli(moving_export, wanted, tmp_path):
    inputs, outputs = wanted["serving_default"]
    command = [os.path.join(os.path.dirname(sys.executable), "saved_model_cli"), "run"]
    command += ["--dir", moving_export, "--tag_set", "serve", "--signature_def", "serving_default"]
    command += ["--outdir", str(tmp_path), "--inputs"]
    for name, array in inputs.items():
        np.save(tmp_path / f"{name}.npy", array)
    command += [";".join(f"{name}={tmp_path / name}.npy" for name in inputs)]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    assert_same({name: np.load(tmp_path / f"{name}.npy") for name in outputs}, outputs)


def test_the_description_tells_the_shapes(moving_export):
    with open(os.path.join(moving_export, "saved_model.pb"), "rb") as file:
        signatures = SavedModel.FromString(file.read()).meta_graphs[0].signature_def
    shapes = {
        name: [dim.size for dim in signatures["warp_linear"].inputs[name].tensor_shape.dim]
        for name in ("image", "flow")
    }
    assert shapes == {"image": [-1, 32, 32, 32, 1], "flow": [-1, 32, 32, 32, 3]}


def test_half_flow_and_xla(moving_run, wanted, tmp_path):
    folder = export(str(moving_run), str(tmp_path / "m"), xla=True, half_flow=True)
    signatures = tf.saved_model.load(folder).signatures
    inputs, outputs = wanted["serving_default"]
    found = signatures["serving_default"](**{k: tf.constant(v) for k, v in inputs.items()})
    assert_same(found, outputs)
    inputs, _ = wanted["register_uint8"]
    flow = signatures["register_uint8"](**{k: tf.constant(v) for k, v in inputs.items()})["flow"]
    assert flow.dtype == tf.float16
    # Half precision has ten bits after the first: right to 2^-11 of the number.
    np.testing.assert_allclose(flow, outputs["flow"], rtol=2**-11, atol=1e-4)


def zeros(*shape, dtype="float32"):
    return np.zeros(shape, dtype)


VOLUME, FLOW = zeros(1, 32, 32, 32, 1), zeros(1, 32, 32, 32, 3)
NAN = np.full_like(VOLUME, np.nan)
BAD = [
    ("serving_default", {"fixed": VOLUME[0], "moving": VOLUME}, "fixed must be"),
    ("serving_default", {"fixed": VOLUME, "moving": VOLUME[..., 0]}, "moving must be"),
    ("serving_default", {"fixed": VOLUME, "moving": zeros(1, 32, 32, 31, 1)}, "moving must be"),
    ("serving_default", {"fixed": FLOW, "moving": VOLUME}, "fixed must be"),
    ("serving_default", {"fixed": VOLUME[..., None], "moving": VOLUME}, "fixed must be"),
    ("serving_default", {"fixed": np.float32(1), "moving": VOLUME}, "fixed must be"),
    ("serving_default", {"fixed": VOLUME[:0], "moving": VOLUME[:0]}, "fixed holds no volume"),
    ("serving_default", {"fixed": VOLUME, "moving": VOLUME[:0]}, "moving holds no volume"),
    ("serving_default", {"fixed": VOLUME, "moving": zeros(2, 32, 32, 32, 1)}, "moving must have"),
    ("serving_default", {"fixed": NAN, "moving": VOLUME}, "fixed must hold finite"),
    ("serving_default", {"fixed": VOLUME, "moving": VOLUME / NAN}, "moving must hold finite"),
    ("register_uint8", {"fixed": np.uint8(VOLUME), "moving": np.uint8(FLOW)}, "moving must be"),
    ("warp_linear", {"image": VOLUME, "flow": VOLUME}, "flow must be"),
    ("warp_linear", {"image": VOLUME, "flow": FLOW + np.nan}, "flow must hold finite"),
    ("warp_nearest", {"labels": np.int32(VOLUME[0]), "flow": FLOW}, "labels must be"),
    ("warp_nearest", {"labels": np.int32(VOLUME), "flow": FLOW - np.inf}, "flow must hold finite"),
]


@pytest.fixture(scope="module")
def loaded(moving_export):
    return tf.saved_model.load(moving_export)


@pytest.fixture(scope="module")
def session(moving_export):
    graph = tf.Graph()
    session = tf.compat.v1.Session(graph=graph)
    with graph.as_default():
        model = tf.compat.v1.saved_model.load(session, ["serve"], moving_export)

    def ask(name, tensors):
        signature = model.signature_def[name]
        feed = {signature.inputs[key].name: array for key, array in tensors.items()}
        return session.run([out.name for out in signature.outputs.values()], feed)

    return ask


def test_one_session_is_asked_by_many_threads(session, wanted):
    """As a server does; some requests are wrong, which must disturb no other."""
    inputs, outputs = wanted["serving_default"]

    def ask(number):
        if number % 5 == 4:
            bad = {**inputs, "moving": inputs["moving"][:, 1:]}
            with pytest.raises(tf.errors.InvalidArgumentError, match="moving"):
                session("serving_default", bad)
            return
        turned = slice(None, None, -1 if number % 2 else None)
        found = session("serving_default", {name: v[turned] for name, v in inputs.items()})
        by_channels = {3: "flow", 1: "warped"}
        found = {by_channels[array.shape[-1]]: array for array in found}
        assert_same(found, {name: array[turned] for name, array in outputs.items()})

    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        list(threads.map(ask, range(40)))


@pytest.mark.parametrize(("signature", "tensors", "words"), BAD)
def test_bad_tensors_are_named(loaded, session, signature, tensors, words):
    with pytest.raises(tf.errors.InvalidArgumentError, match=words):
        loaded.signatures[signature](**{k: tf.constant(v) for k, v in tensors.items()})
    with pytest.raises(tf.errors.InvalidArgumentError, match=words):
        session(signature, tensors)
