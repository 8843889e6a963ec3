"""ldr-register: registers a moving scan to a fixed one.

  ldr-register --model=RUN --fixed=F --moving=M --output=DIR

Scans are NIfTI, MHA, NRRD or Analyze files or DICOM folders, on any grids; they must already lie
roughly on each other in physical space. Written into DIR:
  warped.nii.gz         the moving scan on the fixed scan's grid, float32, 0 outside the moving scan
  displacement.nii.gz   ITK displacement field (mm, LPS) on that grid, for ldr-warp, SimpleITK, ANTs
  warped_labels.nii.gz  with --moving_labels
  summary.json          similarity, Dice, folds, seconds of each stage, versions
  preview.png           slices before and after
"""

import os
import platform
import shutil
import sys
import tempfile
import time

import numpy as np
import SimpleITK as sitk
from absl import flags

import ldr_tf
from ldr_tf import imaging
from ldr_tf.commands import cli
from ldr_tf.errors import InputError
from ldr_tf.files import write_json

FLAGS = cli.new_flags()
_MODEL = flags.DEFINE_string(
    "model", None, "run folder of a trained or imported network", required=True, flag_values=FLAGS
)
_FIXED = flags.DEFINE_string(
    "fixed", None, "scan that stays: file or DICOM folder", required=True, flag_values=FLAGS
)
_MOVING = flags.DEFINE_string(
    "moving", None, "scan to be warped onto it", required=True, flag_values=FLAGS
)
_OUTPUT = flags.DEFINE_string(
    "output", None, "folder for the results; made where needed", required=True, flag_values=FLAGS
)
_MOVING_LABELS = flags.DEFINE_string(
    "moving_labels", None, "labels on the moving scan's grid, warped along", flag_values=FLAGS
)
_FIXED_LABELS = flags.DEFINE_string(
    "fixed_labels",
    None,
    "labels on the fixed scan's grid, for Dice; needs --moving_labels",
    flag_values=FLAGS,
)

_LABELS_NAME = "warped_labels.nii.gz"


def run():
    """Registers the pair; returns None."""
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    output = os.path.abspath(_OUTPUT.value)
    _check_output(output)
    if _FIXED_LABELS.value and not _MOVING_LABELS.value:
        raise InputError("--fixed_labels serves to compute Dice and needs --moving_labels too.")
    seconds = {}
    start = time.perf_counter()
    scans = _read_inputs()
    seconds["read"] = _since(start)

    # TensorFlow takes seconds to import: bad scans have been refused by now.
    from ldr_tf import registration
    from ldr_tf.checkpoints import load_run

    start = time.perf_counter()
    model = load_run(_MODEL.value)
    seconds["load_model"] = _since(start)
    result = registration.register(
        scans["fixed"],
        scans["moving"],
        model,
        moving_labels=scans["moving_labels"],
        fixed_labels=scans["fixed_labels"],
    )
    seconds.update(result.seconds)
    names = _write(output, scans, model, result, seconds)
    _report([os.path.join(_OUTPUT.value, name) for name in names], result, seconds)


def _read_inputs():
    """Returns the four images by name, None where absent; labels checked against their scans."""
    scans = {
        "fixed": imaging.read_scan(_FIXED.value),
        "moving": imaging.read_scan(_MOVING.value),
    }
    labels = {"fixed": _FIXED_LABELS.value, "moving": _MOVING_LABELS.value}
    for name, path in labels.items():
        scans[f"{name}_labels"] = imaging.read_labels(path) if path else None
        if path and not imaging.same_grid(scans[f"{name}_labels"], scans[name]):
            scan = {"fixed": _FIXED, "moving": _MOVING}[name].value
            raise InputError(f"{path}: labels must lie on the grid of their scan {scan}.")
    return scans


def _check_output(folder):
    """Refuses, before any work, a folder that cannot be written."""
    existing = folder
    while not os.path.lexists(existing):
        existing = os.path.dirname(existing)
    if not os.path.isdir(existing):
        raise InputError(f"{existing}: is a file; --output must be a folder.")
    if not os.access(existing, os.W_OK):
        raise InputError(f"{existing}: the folder is not writable.")


def _write(output, scans, model, result, seconds):
    """Writes all into a temporary folder beside `output`, moves it there, returns the names."""
    from ldr_tf.preview import write_preview

    start = time.perf_counter()
    parent = os.path.dirname(output)
    try:
        os.makedirs(parent, exist_ok=True)
        holder = tempfile.mkdtemp(prefix=".writing-", dir=parent)
    except OSError as error:
        raise InputError(f"{parent}: cannot be written ({error.strerror}).") from error
    try:
        folder = os.path.join(holder, "result")
        os.mkdir(folder)  # mkdtemp's own folder is closed to others
        imaging.write_image(result.warped, os.path.join(folder, "warped.nii.gz"))
        imaging.write_image(result.displacement, os.path.join(folder, "displacement.nii.gz"))
        if result.warped_labels is not None:
            imaging.write_image(result.warped_labels, os.path.join(folder, _LABELS_NAME))
        seconds["write"] = _since(start)
        start = time.perf_counter()
        write_preview(os.path.join(folder, "preview.png"), scans["fixed"], scans["moving"], result)
        seconds["preview"] = _since(start)
        write_json(os.path.join(folder, "summary.json"), _summary(model, result, seconds))
        names = sorted(os.listdir(folder))
        _move(folder, output)
        return names
    finally:
        shutil.rmtree(holder, ignore_errors=True)


def _move(folder, output):
    if not os.path.isdir(output):
        os.replace(folder, output)
        return
    for name in os.listdir(folder):
        os.replace(os.path.join(folder, name), os.path.join(output, name))
    # Labels of an earlier registration would belie this one.
    if not _MOVING_LABELS.value and os.path.exists(os.path.join(output, _LABELS_NAME)):
        os.remove(os.path.join(output, _LABELS_NAME))


def _summary(model, result, seconds):
    import tensorflow as tf

    return {
        "inputs": {
            "fixed": _FIXED.value,
            "moving": _MOVING.value,
            "fixed_labels": _FIXED_LABELS.value,
            "moving_labels": _MOVING_LABELS.value,
        },
        "model": {
            "folder": _MODEL.value,
            "network": model.config.network.base_network,
            "cascades": model.config.network.cascades,
        },
        "similarity": {
            "measure": "Pearson correlation inside the fixed foreground, where the moving scan is",
            "before": result.correlation_before,
            "after": result.correlation_after,
        },
        "dice": _dice_summary(result),
        "folds_percent": result.folds_percent,
        "std_jacobian": result.std_jacobian,
        "seconds": seconds,
        "versions": {
            "ldr_tf": ldr_tf.__version__,
            "tensorflow": tf.__version__,
            "SimpleITK": sitk.Version_VersionString(),
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
    }


def _dice_summary(result):
    if result.dice_after is None:
        return None
    return {
        "mean_before": _mean(result.dice_before),
        "mean_after": _mean(result.dice_after),
        "before": result.dice_before,
        "after": result.dice_after,
    }


def _report(paths, result, seconds):
    print("written:", *paths, sep="\n  ")
    print(
        f"correlation: {_number(result.correlation_before)} before, "
        f"{_number(result.correlation_after)} after"
    )
    if result.dice_after is not None:
        print(
            f"mean Dice of {len(result.dice_after)} labels: "
            f"{_number(_mean(result.dice_before))} before, "
            f"{_number(_mean(result.dice_after))} after"
        )
    print(f"folds: {result.folds_percent:.4f} %")
    print("seconds: " + ", ".join(f"{stage} {value:.2f}" for stage, value in seconds.items()))


def _mean(dice):
    return float(np.mean(list(dice.values()))) if dice else None


def _number(value):
    return "undefined" if value is None else f"{value:.4f}"


def _since(start):
    return round(time.perf_counter() - start, 3)


def main(argv=None):
    """Entry point; returns the exit code."""
    return cli.main(run, FLAGS, __doc__, argv)


if __name__ == "__main__":
    sys.exit(main())
