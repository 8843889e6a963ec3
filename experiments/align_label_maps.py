"""Aligns label maps of heads to a reference brain, ready for experiments.prepare.

    python -m experiments.align_label_maps --label_maps=FOLDER --reference=SCAN --output=DIR

Label maps use FreeSurfer's numbers. Everything outside the brain is removed, the map is painted as
a T1 scan, and this scan is aligned to the reference by an affine map. Writes NAME_seg.nii.gz
(labels) and NAME.nii.gz (the painted scan), both on the reference's grid, and keeps existing ones.
"""

import os
import sys

from absl import flags

from experiments.progress import Progress
from ldr_tf.commands import cli
from ldr_tf.files import check_output_folder

FLAGS = cli.new_flags()
_LABEL_MAPS = flags.DEFINE_string(
    "label_maps", None, "folder of label maps", required=True, flag_values=FLAGS
)
_REFERENCE = flags.DEFINE_string(
    "reference", None, "skull-stripped T1 scan", required=True, flag_values=FLAGS
)
_OUTPUT = flags.DEFINE_string(
    "output", None, "folder for the results", required=True, flag_values=FLAGS
)


def run():
    import SimpleITK as sitk

    from data.label_maps import align_label_map
    from data.sources import find_sources
    from ldr_tf import imaging

    sources = find_sources(_LABEL_MAPS.value, label_maps="*")
    reference = imaging.read_scan(_REFERENCE.value)
    check_output_folder(_OUTPUT.value)
    os.makedirs(_OUTPUT.value, exist_ok=True)
    with Progress(len(sources), "map") as progress:
        for number, source in enumerate(sources):
            scan, labels = paths(_OUTPUT.value, source.name)
            if not os.path.exists(labels):
                aligned, painted = align_label_map(
                    imaging.read_labels(source.labels), reference, number
                )
                imaging.write_image(sitk.Cast(painted, sitk.sitkUInt8), scan)
                imaging.write_image(aligned, labels)  # last: marks the map as done
            progress.advance(source.name)
    print(f"aligned: {_OUTPUT.value}")


def paths(folder, name):
    """Returns the paths of a map's painted scan and of its labels."""
    return [os.path.join(folder, f"{name}{end}.nii.gz") for end in ("", "_seg")]


def main(argv=None):
    """Runs the command; returns the exit code."""
    return cli.main(run, FLAGS, __doc__, argv)


if __name__ == "__main__":
    sys.exit(main())
