"""ldr-register: registers a moving scan to a fixed one.

  ldr-register --model=RUN --fixed=F --moving=M --output=DIR
  ldr-register --model=none --refine_steps=100 --fixed=F --moving=M --output=DIR
  ldr-register --model=RUN --pairs=pairs.csv --output=DIR
  ldr-register --model=grpc://HOST:8500/NAME --fixed=F --moving=M --output=DIR

Scans are NIfTI, MHA, NRRD or Analyze files or DICOM folders, on any grids. Written into DIR:
  warped.nii.gz         the moving scan on the fixed scan's grid, float32, 0 outside the moving scan
  displacement.nii.gz   ITK displacement field (mm, LPS) on that grid, affine step included, from
                        points of the fixed to points of the moving scan: for ldr-warp, SimpleITK,
                        ANTs, elastix, 3D Slicer
  affine.tfm            the affine step alone, ITK transform, the identity where there was none
  warped_labels.nii.gz  with --moving_labels
  jacobian.nii.gz       with --jacobian: determinant of the mapping, not above 0 where it folds
  inverse_displacement.nii.gz  with --inverse: from points of the moving to points of the fixed
                        scan, on the moving scan's grid
  summary.json          similarity after each stage, Dice, landmark errors, folds, seconds, versions
  preview.png           slices before and after, deformation, Jacobian

Landmarks are CSV files whose first line names the columns name, x, y, z (mm); points of both files
are matched by name. Coordinates are LPS (ITK, DICOM) unless --points_space=RAS (3D Slicer, NIfTI).

With --pairs, a CSV file with the columns fixed, moving and any of fixed_labels, moving_labels,
fixed_points, moving_points, output (a folder below DIR; default MOVING_to_FIXED), every pair gets
a folder of its own in DIR. Paths are seen from the CSV file's folder. Finished pairs are skipped,
a bad pair is named and the rest goes on (exit code 2 at the end); results.csv sums up.
"""

import os
import sys
import time

import SimpleITK as sitk
from absl import flags
from tqdm import tqdm

from ldr_tf import imaging
from ldr_tf.commands import batch, cli, report
from ldr_tf.commands.pair import Pair, Settings, check_pair, read_pair, register_pair, since
from ldr_tf.commands.quiet import quiet_xla
from ldr_tf.errors import InputError
from ldr_tf.files import check_output_folder

FLAGS = cli.new_flags()
_MODEL = flags.DEFINE_string(
    "model",
    None,
    "run folder of a trained or imported network, the name of a model that comes with the package "
    "(brain-t1), a model folder of experiments.export, "
    "grpc://HOST:PORT/NAME for one on a TensorFlow Serving server (grpcs:// for TLS), or none: "
    "affine step and refinement alone",
    required=True,
    flag_values=FLAGS,
)
_OUTPUT = flags.DEFINE_string(
    "output", None, "folder for the results; made where needed", required=True, flag_values=FLAGS
)
_PATHS = {
    name: flags.DEFINE_string(name, None, text, flag_values=FLAGS)
    for name, text in {
        "fixed": "scan that stays: file or DICOM folder",
        "moving": "scan to be warped onto it",
        "fixed_labels": "labels on the fixed scan's grid, for Dice; needs --moving_labels",
        "moving_labels": "labels on the moving scan's grid, warped along",
        "fixed_points": "landmarks of the fixed scan, CSV, for their error; needs --moving_points",
        "moving_points": "landmarks of the moving scan, CSV",
    }.items()
}
_PAIRS = flags.DEFINE_string(
    "pairs", None, "CSV file of many pairs, instead of --fixed and --moving", flag_values=FLAGS
)
_AFFINE = flags.DEFINE_enum(
    "affine",
    "auto",
    list(imaging.AFFINE_METHODS),
    "affine step first: none; moments (a shift that brings the centres of mass together); full "
    "(rigid, then affine by mutual information); auto: none where head or body already overlap by "
    "a Dice of 0.85, else full",
    flag_values=FLAGS,
)
_REFINE_STEPS = flags.DEFINE_integer(
    "refine_steps",
    None,
    "steps of refinement on the pair itself, after the network (default: 0; with --model=none 100)",
    lower_bound=0,
    flag_values=FLAGS,
)
_DIFFEOMORPHIC = flags.DEFINE_bool(
    "diffeomorphic", False, "refine by a velocity field: no folds", flag_values=FLAGS
)
_FAST = flags.DEFINE_enum(
    "fast",
    "none",
    ["none", "bfloat16"],
    "bfloat16: compute the network in that precision; on processors with instructions for it about "
    "twice as fast, with a flow some hundredths of a voxel off",
    flag_values=FLAGS,
)
_JACOBIAN = flags.DEFINE_bool("jacobian", False, "write jacobian.nii.gz", flag_values=FLAGS)
_INVERSE = flags.DEFINE_bool(
    "inverse", False, "write inverse_displacement.nii.gz, report its residual", flag_values=FLAGS
)
_POINTS_SPACE = flags.DEFINE_enum(
    "points_space",
    "LPS",
    list(imaging.POINT_SPACES),
    "axes of the landmark files",
    flag_values=FLAGS,
)
_TIMEOUT = flags.DEFINE_float(
    "timeout", 60.0, "seconds that a server's answer may take", lower_bound=0.0, flag_values=FLAGS
)
_RETRIES = flags.DEFINE_integer(
    "retries",
    5,
    "how often to try anew where a server cannot be reached, after 0.5 s, 1 s, 2 s .. at most 8 s",
    lower_bound=0,
    flag_values=FLAGS,
)
_TLS_CA = flags.DEFINE_string(
    "tls_ca", None, "PEM file of the certificates that a server's TLS rests on", flag_values=FLAGS
)


def run():
    """Registers the pair or the pairs; returns the exit code."""
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    settings = Settings(
        model=_MODEL.value,
        affine=_AFFINE.value,
        refine_steps=_REFINE_STEPS.value,
        diffeomorphic=_DIFFEOMORPHIC.value,
        jacobian=_JACOBIAN.value,
        inverse=_INVERSE.value,
        points_space=_POINTS_SPACE.value,
        fast=_FAST.value,
    )
    given = {name: flag.value for name, flag in _PATHS.items() if flag.value}
    if _DIFFEOMORPHIC.value and not _REFINE_STEPS.value and _MODEL.value != "none":
        raise InputError("--diffeomorphic is a kind of refinement and needs --refine_steps.")
    if _PAIRS.value:
        return _run_pairs(settings, given)
    for name in ("fixed", "moving"):
        if name not in given:
            raise InputError(f"--{name} is needed (or --pairs for a list of pairs).")
    return _run_pair(settings, Pair(output=_OUTPUT.value, **given))


def _run_pairs(settings, given):
    if given:
        raise InputError(f"--pairs has its own columns; --{next(iter(given))} must not be given.")
    check_output_folder(_OUTPUT.value)
    pairs = batch.read_pairs(_PAIRS.value, _OUTPUT.value)
    return batch.run_pairs(pairs, settings, _load(settings), _OUTPUT.value)


def _run_pair(settings, pair):
    seconds, start = {}, time.perf_counter()
    check_pair(pair)
    data = read_pair(pair, settings)
    seconds["read"] = since(start)
    # TensorFlow takes seconds to import: bad scans have been refused by now.
    start = time.perf_counter()
    import tensorflow  # noqa: F401

    seconds["import_tensorflow"], start = since(start), time.perf_counter()
    model = _load(settings)
    seconds["load_model"] = since(start)
    steps = settings.refine_steps or 0
    with tqdm(total=steps, unit="step", leave=False, disable=not _shows(steps)) as bar:
        result, names = register_pair(
            pair, settings, data, model, seconds, lambda step, loss: bar.update()
        )
    for warning in result.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    print("written:", *[os.path.join(pair.output, name) for name in names], sep="\n  ")
    print(*report.lines(result, seconds), sep="\n")
    return 0


def _shows(steps):
    return steps > 0 and sys.stderr.isatty()


def _load(settings):
    quiet_xla()
    from ldr_tf.models import load_model
    from ldr_tf.models.server import Connection

    precision = "float32" if settings.fast == "none" else "mixed_bfloat16"
    connection = Connection(_TIMEOUT.value, _RETRIES.value, _TLS_CA.value)
    return load_model(settings.model, precision, connection)


def main(argv=None):
    """Entry point; returns the exit code."""
    return cli.main(run, FLAGS, __doc__, argv)


if __name__ == "__main__":
    sys.exit(main())
