"""Brings scans to a training grid: HDF5 and JSON, ready for experiments.train.

    python -m experiments.prepare --input=FOLDER_OR_CSV --output=DIR --size=80,96,112 \\
        --spacing=2,2,2 --orientation=LIA

A folder: every NIfTI, MHA, MHD or NRRD file in it is a scan, but for files with "_seg" in their
name, which are the labels of the scan whose name begins as theirs does (0001_seg35 belongs to
0001_norm); without such files it is a DICOM series or a folder of them. A CSV file: columns image
and, where wanted, labels, subset and name. The subset "train" becomes the scheme 1, "validation"
the scheme 2. A scan that cannot be used is left out and listed at the end; the exit code is then 2.
"""

import os
import sys

from absl import flags

from experiments.grid_flags import parse_size, parse_spacing
from experiments.progress import Progress
from ldr_tf.commands import cli
from ldr_tf.config import INTENSITIES, ImageConfig

FLAGS = cli.new_flags()
_INPUT = flags.DEFINE_string(
    "input", None, "folder of scans or CSV list", required=True, flag_values=FLAGS
)
_OUTPUT = flags.DEFINE_string(
    "output", None, "folder for the data set", required=True, flag_values=FLAGS
)
_LABELS = flags.DEFINE_string(
    "labels", None, "folder of label images, when not beside the scans", flag_values=FLAGS
)
_SIZE = flags.DEFINE_list("size", ["128"], "voxels along x, y, z", flag_values=FLAGS)
_SPACING = flags.DEFINE_list(
    "spacing",
    None,
    "mm along x, y, z; without it the whole scan is stretched onto the grid",
    flag_values=FLAGS,
)
_ORIENTATION = flags.DEFINE_string(
    "orientation", "LPS", "where the grid's axes point, such as LPS, RAS or LIA", flag_values=FLAGS
)
_INTENSITY = flags.DEFINE_enum(
    "intensity",
    "percentile",
    list(INTENSITIES),
    "how intensities come to 0..255",
    flag_values=FLAGS,
)


def run():
    from data.preparation import JSON_NAME, prepare_dataset
    from data.sources import find_sources

    size = parse_size(_SIZE.value)
    image_config = ImageConfig(
        orientation=_ORIENTATION.value.upper(),
        spacing=parse_spacing(_SPACING.value),
        intensity=_INTENSITY.value,
    )
    sources = find_sources(_INPUT.value, _LABELS.value)
    failures = []
    try:
        _prepare(prepare_dataset(sources, _OUTPUT.value, size, image_config), sources, failures)
    finally:
        if failures:
            print(f"{len(failures)} of {len(sources)} could not be used:", file=sys.stderr)
            for problem in failures:
                print(f"  {problem}", file=sys.stderr)
    path = os.path.join(_OUTPUT.value, JSON_NAME)
    print(f"{len(sources) - len(failures)} of {len(sources)} scans -> {path}")
    return cli.BAD_INPUT if failures else 0


def _prepare(steps, sources, failures):
    """Runs the preparation with progress; gathers in `failures` what went wrong."""
    with Progress(len(sources), "scan") as progress:
        for source, problem in steps:
            if problem is not None:
                failures.append(problem)
            progress.advance(f"{source.name}{'' if problem is None else ' left out'}")


def main(argv=None):
    return cli.main(run, FLAGS, __doc__, argv)


if __name__ == "__main__":
    sys.exit(main())
