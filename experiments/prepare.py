"""Resamples scans to a training grid: HDF5 and JSON, ready for experiments.train.

    python -m experiments.prepare --input=FOLDER_OR_CSV --output=DIR --size=80,96,112 \\
        --spacing=2,2,2 --orientation=LIA

A folder: every NIfTI, MHA, MHD, NRRD, Analyze or FreeSurfer file in it or its subfolders is a scan,
except files with "_seg" in their name, which are the labels of the scan whose name begins alike
(0001_seg35 belongs to 0001_norm), and NAME_landmarks.csv (name, x, y, z in mm); a folder without
such files is a DICOM series. A CSV file: columns image and, optionally, labels, landmarks, subset,
name and series. The subset "train" becomes scheme 1, "validation" scheme 2. Writes dataset.json,
volumes.h5, summary.csv and contact_sheet.png. A scan that cannot be used is left out and listed at
the end; the exit code is then 2. If interrupted, the same command resumes. --scheduler shares
the scans among the workers of a dask cluster.
"""

import contextlib
import functools
import os
import sys

from absl import flags

from experiments.grid_flags import parse_size, parse_spacing
from experiments.progress import Progress
from ldr_tf import workers
from ldr_tf.commands import cli, cluster
from ldr_tf.config.image import CROPS, FITS, INTENSITIES, ImageConfig

MR = "mr"
"""The flag's other name for the intensity method "percentile"."""

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
_LABEL_MAPS = flags.DEFINE_string(
    "label_maps",
    None,
    "pattern of the names of files that are label maps without a scan, such as 'map_*', for "
    "training with data.images=synthetic",
    flag_values=FLAGS,
)
_LARGEST_LABEL = flags.DEFINE_integer(
    "largest_label",
    None,
    "label values above it become 0; 499 removes what FreeSurfer's maps hold outside the brain",
    flag_values=FLAGS,
)
_POINTS = flags.DEFINE_enum(
    "points", "LPS", ["LPS", "RAS"], "axes of the landmark files", flag_values=FLAGS
)
_SERIES = flags.DEFINE_string(
    "series",
    None,
    "which DICOM series of a folder: its rank by number of slices, 1 for the most, or the end of "
    "its UID; by default the one with most slices",
    flag_values=FLAGS,
)
_UNEVEN = flags.DEFINE_enum(
    "uneven",
    "refuse",
    ["refuse", "resample"],
    "what to do if DICOM slices are missing or unevenly spaced",
    flag_values=FLAGS,
)
_SIZE = flags.DEFINE_list("size", ["128"], "voxels along x, y, z", flag_values=FLAGS)
_SPACING = flags.DEFINE_list(
    "spacing",
    None,
    "mm along x, y, z; by default what --crop keeps is fitted to the grid",
    flag_values=FLAGS,
)
_FIT = flags.DEFINE_enum(
    "fit",
    "stretched",
    list(FITS),
    "without --spacing: fit each axis separately (stretched), or all by one spacing (isotropic)",
    flag_values=FLAGS,
)
_CROP = flags.DEFINE_enum(
    "crop",
    "none",
    list(CROPS),
    "what the grid shows: the whole scan, the head or body, or the box of the labels",
    flag_values=FLAGS,
)
_REFERENCE = flags.DEFINE_string(
    "reference",
    None,
    "a scan whose grid all others share, for scans that are aligned to each other; by default each "
    "scan gets a grid of its own",
    flag_values=FLAGS,
)
_ORIENTATION = flags.DEFINE_string(
    "orientation", "LPS", "where the grid's axes point, such as LPS, RAS or LIA", flag_values=FLAGS
)
_INTENSITY = flags.DEFINE_enum(
    "intensity",
    "percentile",
    [MR, *INTENSITIES],
    "what is mapped to 0..255: 0 to the foreground's 99.5th percentile (mr, percentile), -160 to "
    "240 HU (ct_abdomen), minmax, or nothing (none)",
    flag_values=FLAGS,
)
_STRUCTURES = flags.DEFINE_enum(
    "structures",
    "found",
    ["found", "brain"],
    "what Dice is measured over: every label value that is found, or 35 brain structures with "
    "FreeSurfer's numbers",
    flag_values=FLAGS,
)
cluster.define_flags(FLAGS, "processes here; by default one per core")


def run():
    from data.assembly import JSON_NAME, VOLUMES_NAME, assemble
    from data.brain_labels import BRAIN_LABELS
    from data.overview import write_contact_sheet, write_summary
    from data.preparation import Settings
    from data.sources import find_sources, passed_over
    from ldr_tf import imaging
    from ldr_tf.files import check_output_folder

    size = parse_size(_SIZE.value)
    image = ImageConfig(
        orientation=_ORIENTATION.value.upper(),
        spacing=parse_spacing(_SPACING.value),
        intensity="percentile" if _INTENSITY.value == MR else _INTENSITY.value,
        crop=_CROP.value,
        fit=_FIT.value,
    )
    grid = None
    if _REFERENCE.value is not None:
        grid = imaging.network_grid(imaging.read_scan(_REFERENCE.value), image, size)
    settings = Settings(
        size=size,
        image=image,
        uneven=_UNEVEN.value,
        largest_label=_LARGEST_LABEL.value,
        points_space=_POINTS.value,
        grid=grid,
    )
    check_output_folder(_OUTPUT.value)
    sources = find_sources(_INPUT.value, _LABELS.value, _LABEL_MAPS.value, _SERIES.value)
    outcomes = []
    try:
        structures = BRAIN_LABELS if _STRUCTURES.value == "brain" else None
        with _sharing(len(sources)) as share:
            steps = assemble(sources, _OUTPUT.value, settings, structures, share)
            _show(steps, len(sources), outcomes)
    finally:
        failures = [outcome.problem for outcome in outcomes if outcome.problem is not None]
        if failures:
            print(f"{len(failures)} of {len(sources)} could not be used:", file=sys.stderr)
            for problem in failures:
                print(f"  {problem}", file=sys.stderr)
            if any("can be interpolated to even steps" in problem for problem in failures):
                print("  (--uneven=resample interpolates uneven slices)", file=sys.stderr)
        for outcome in outcomes:
            for notice in outcome.notices:
                print(f"{notice.level}: {notice.text}", file=sys.stderr)
    good = [outcome.source.name for outcome in outcomes if outcome.problem is None]
    volumes = os.path.join(_OUTPUT.value, VOLUMES_NAME)
    write_summary(os.path.join(_OUTPUT.value, "summary.csv"), outcomes, volumes)
    write_contact_sheet(os.path.join(_OUTPUT.value, "contact_sheet.png"), good, volumes)
    if os.path.isdir(_INPUT.value):
        for path in passed_over(_INPUT.value, sources):
            print(f"ignored, not a kind of file that is read: {path}")
    print(f"{len(good)} of {len(sources)} scans -> {os.path.join(_OUTPUT.value, JSON_NAME)}")
    return cli.BAD_INPUT if failures else 0


@contextlib.contextmanager
def _sharing(count):
    """Yields what shares the work of `count` scans: processes here, or those of a cluster."""
    if cluster.wanted(FLAGS) and FLAGS["scheduler"].value:
        with cluster.opened(FLAGS) as shared:
            yield shared.results
    else:
        processes = FLAGS["workers"].value or len(os.sched_getaffinity(0))
        yield functools.partial(workers.results, workers=min(processes, count))


def _show(steps, total, outcomes):
    """Runs the preparation with a progress display; collects the outcomes."""
    with Progress(total, "scan") as progress:
        for outcome in steps:
            outcomes.append(outcome)
            left_out = "" if outcome.problem is None else " left out"
            progress.advance(f"{outcome.source.name}{left_out}")


def main(argv=None):
    return cli.main(run, FLAGS, __doc__, argv)


if __name__ == "__main__":
    sys.exit(main())
