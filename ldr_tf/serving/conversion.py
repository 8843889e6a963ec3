"""The network of an export in other runtimes' forms: ONNX and OpenVINO's IR."""

import importlib.util
import os
import tempfile
from importlib.metadata import version

import numpy as np
import tensorflow as tf

from ldr_tf.conventions import INTENSITY_MAX
from ldr_tf.errors import InputError

FORMS = ("onnx", "openvino")
FILES = {"onnx": "model.onnx", "openvino": "model.xml"}
"""Form -> the file that its runtime is given."""

LIMIT = 1e-3
"""Voxels of flow, and of the range of intensities, by which a conversion may err."""

_OPSET = 18
_PACKAGES = {"onnx": ("tf2onnx", "onnx", "onnxruntime"), "openvino": ("openvino",)}
_RUNTIMES = {"onnx": "onnxruntime", "openvino": "openvino"}


def check_packages(form):
    """Raises InputError unless the form's packages, an extra of its name, are installed."""
    missing = [name for name in _PACKAGES[form] if importlib.util.find_spec(name) is None]
    if missing:
        raise InputError(
            f"{', '.join(missing)}: not installed, but the form {form} needs it: "
            f'pip install "ldr_tf[{form}]".'
        )


def convert(form, module, folder):
    """Writes a network in another form, runs it and compares it with the network.

    Args:
      form: one of `FORMS`.
      module: a ServingModule, not compiled by XLA.
      folder: gets the file named in `FILES`; made if it is missing.

    Returns:
      {"runtime": name and version, "flow_error", in voxels, "warped_error", of 0..255}: the largest
      differences on a generated pair.

    Raises:
      InputError: the network cannot be converted, or what was written errs above `LIMIT`.
    """
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, FILES[form])
    pair = _pair(module.size)
    try:
        _WRITERS[form](module, path)
        found = _RUNNERS[form](path, pair)
    except _failures(form) as error:
        raise InputError(f"the network cannot be converted to {form}: {error}") from error
    wanted = module.register(**{name: tf.constant(volume) for name, volume in pair.items()})
    errors = {name: float(np.max(np.abs(found[name] - wanted[name]))) for name in wanted}
    name = _RUNTIMES[form]
    # Not `>`: a NaN is refused, too.
    if not (errors["flow"] <= LIMIT and errors["warped"] <= LIMIT * INTENSITY_MAX):
        raise InputError(
            f"the network converted to {form} answers otherwise in {name}: its flow errs by "
            f"{errors['flow']:.2g} voxel and its warped image by {errors['warped']:.2g} of "
            f"{INTENSITY_MAX:.0f}, above {LIMIT:g} of a voxel or of the range."
        )
    return {
        "runtime": f"{name} {version(name)}",
        "flow_error": errors["flow"],
        "warped_error": errors["warped"],
    }


def conversion_text(form, size, checked):
    """Returns the README's section about a converted network; `checked` is from `convert`."""
    return _TEXT.format(
        size=", ".join(map(str, size)), file=FILES[form], use=_USES[form], **checked
    )


def _pair(size):
    """Returns two volumes of waves and noise, the same ones every time."""
    rng = np.random.default_rng(1)
    axes = np.meshgrid(*[np.linspace(0, 7, extent) for extent in size], indexing="ij")
    pair = {}
    for name, shift in (("fixed", 0.0), ("moving", 0.4)):
        waves = np.prod([np.sin(axis + shift) for axis in axes], axis=0) / 2 + 0.5
        noisy = INTENSITY_MAX * waves + rng.normal(scale=5, size=size)
        volume = np.clip(noisy, 0, INTENSITY_MAX).astype(np.float32)
        pair[name] = volume[np.newaxis, ..., np.newaxis]
    return pair


def _failures(form):
    """Returns what a form's converter and runtime raise where they fail."""
    if form == "openvino":
        from openvino import frontend

        own = (frontend.GeneralFailure, frontend.OpConversionFailure, frontend.OpValidationFailure)
    else:
        from onnxruntime.capi import onnxruntime_pybind11_state as state

        own = (state.Fail, state.InvalidGraph, state.NotImplemented, state.RuntimeException)
    return (*own, RuntimeError, ValueError, KeyError, AttributeError, TypeError, NameError)


def _write_onnx(module, path):
    import tf2onnx

    # The batch stays free: with a fixed one, tf2onnx folds the counter of the warp's loop into a
    # constant of another type, which ONNX Runtime refuses.
    specs = [tf.TensorSpec([None, *module.size, 1], name=name) for name in ("fixed", "moving")]
    tf2onnx.convert.from_function(
        module.register, input_signature=specs, opset=_OPSET, output_path=path
    )


def _run_onnx(path, inputs):
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return dict(zip(("flow", "warped"), session.run(["flow", "warped"], inputs)))


def _write_openvino(module, path):
    import openvino

    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(module, folder, signatures=module.register)
        # Without shapes of its own it would take any, and learn the network's when it runs.
        shape = [-1, *module.size, 1]
        model = openvino.convert_model(folder, input=[("fixed", shape), ("moving", shape)])
        openvino.save_model(model, path, compress_to_fp16=False)


def _run_openvino(path, inputs):
    import openvino

    compiled = openvino.compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    answer = compiled(inputs)
    # Copies: the answer's memory goes with the compiled model.
    return {name: np.array(answer[name]) for name in ("flow", "warped")}


_WRITERS = {"onnx": _write_onnx, "openvino": _write_openvino}
_RUNNERS = {"onnx": _run_onnx, "openvino": _run_openvino}

_USES = {
    "onnx": """\
import onnxruntime
session = onnxruntime.InferenceSession("model.onnx", providers=["CPUExecutionProvider"])
flow, warped = session.run(["flow", "warped"], {"fixed": fixed, "moving": moving})""",
    "openvino": """\
import openvino
# Some processors would compute in half precision, which errs by tenths of a voxel.
compiled = openvino.compile_model("model.xml", "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
answer = compiled({"fixed": fixed, "moving": moving})
flow, warped = answer["flow"], answer["warped"]""",
}

_TEXT = """\
## Use

`fixed` and `moving` are float32 [batch, {size}, 1], 0..255; the batch is free. `flow` is
[batch, {size}, 3], voxels, a backward map: warped(p) = moving(p + flow(p)), coordinates clamped to
the volume; `warped` is like the inputs. Nothing checks that the numbers are finite.

```python
{use}
```

Compared at export in {runtime}: the flow of `{file}` differs from TensorFlow's by at most
{flow_error:.1e} voxel, the warped image by {warped_error:.1e} of 255.
"""
