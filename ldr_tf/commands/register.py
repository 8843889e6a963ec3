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

from ldr_tf.commands import batch, cli, report
from ldr_tf.commands.pair import FileOptions, ReadPair, Setup, register_pair, since
from ldr_tf.commands.quiet import quiet_xla
from ldr_tf.errors import InputError
from ldr_tf.files import check_output_folder
from ldr_tf.registration.options import RegistrationOptions
from ldr_tf.registration.pair import PairFiles
from ldr_tf.registration.pair_lists import read_pairs

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
cli.define_record(RegistrationOptions, FLAGS)
cli.define_record(FileOptions, FLAGS)
_FAST = flags.DEFINE_enum(
    "fast",
    "none",
    ["none", "bfloat16"],
    "bfloat16: compute the network in that precision; on processors with instructions for it about "
    "twice as fast, with a flow some hundredths of a voxel off",
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
    options = cli.read_record(RegistrationOptions, FLAGS)
    options.steps(alone=_MODEL.value == "none")  # before any work
    given = {name: flag.value for name, flag in _PATHS.items() if flag.value}
    if _PAIRS.value:
        return _run_pairs(options, given)
    for name in ("fixed", "moving"):
        if name not in given:
            raise InputError(f"--{name} is needed (or --pairs for a list of pairs).")
    return _run_pair(options, PairFiles(output=_OUTPUT.value, **given))


def _run_pairs(options, given):
    if given:
        raise InputError(f"--pairs has its own columns; --{next(iter(given))} must not be given.")
    check_output_folder(_OUTPUT.value)
    pairs = read_pairs(_PAIRS.value, _OUTPUT.value)
    return batch.run_pairs(pairs, _setup(options), _OUTPUT.value)


def _run_pair(options, paths):
    pair = ReadPair(paths, FLAGS["points_space"].value)
    # TensorFlow takes seconds to import: bad scans have been refused by now.
    start = time.perf_counter()
    import tensorflow  # noqa: F401

    pair.seconds["import_tensorflow"], start = since(start), time.perf_counter()
    setup = _setup(options)
    pair.seconds["load_model"] = since(start)
    steps = options.steps(alone=setup.model is None)
    with tqdm(total=steps, unit="step", leave=False, disable=not _shows(steps)) as bar:
        result, names = register_pair(pair, setup, lambda step, loss: bar.update())
    for line in report.notice_lines(result):
        print(line, file=sys.stderr)
    print("written:", *[os.path.join(paths.output, name) for name in names], sep="\n  ")
    print(*report.lines(result, pair.seconds), sep="\n")
    return 0


def _shows(steps):
    return steps > 0 and sys.stderr.isatty()


def _setup(options):
    quiet_xla()
    from ldr_tf.models import load_model
    from ldr_tf.models.server import Connection

    precision = "float32" if _FAST.value == "none" else "mixed_bfloat16"
    connection = Connection(_TIMEOUT.value, _RETRIES.value, _TLS_CA.value)
    model = load_model(_MODEL.value, precision, connection)
    return Setup(model, options, cli.read_record(FileOptions, FLAGS))


def main(argv=None):
    """Entry point; returns the exit code."""
    return cli.main(run, FLAGS, __doc__, argv)


if __name__ == "__main__":
    sys.exit(main())
