"""Aligns the brains of whole heads to a reference brain, ready for experiments.prepare.

    python -m experiments.align_heads --heads=FOLDER --reference=SCAN --output=DIR

--heads: a folder of label maps, or a CSV list with the columns image and labels. Everything outside
the brain is removed: what the labels do not cover, and of label maps the labels of the head. A
label map is painted as a T1 scan. The brain is aligned to the reference by an affine map. Writes
NAME_seg.nii.gz (labels in FreeSurfer's numbers) and NAME.nii.gz (the brain), both on the
reference's grid, and keeps existing ones.

With --whole, into a folder of its own, NAME.nii.gz is the whole head, which the brain's affine map
takes along, and labels of scans keep their numbers.
"""

import os
import sys

from absl import flags

from data.brain_labels import NUMBERINGS
from experiments.progress import Progress
from ldr_tf.commands import cli
from ldr_tf.errors import InputError
from ldr_tf.files import check_output_folder

FLAGS = cli.new_flags()
_HEADS = flags.DEFINE_string(
    "heads", None, "folder of label maps, or CSV list", required=True, flag_values=FLAGS
)
_NUMBERS = flags.DEFINE_enum(
    "numbers",
    "freesurfer",
    NUMBERINGS,
    "numbering of the labels; label maps without a scan have FreeSurfer's",
    flag_values=FLAGS,
)
_REFERENCE = flags.DEFINE_string(
    "reference", None, "skull-stripped T1 scan", required=True, flag_values=FLAGS
)
_OUTPUT = flags.DEFINE_string(
    "output", None, "folder for the results", required=True, flag_values=FLAGS
)
_WHOLE = flags.DEFINE_bool("whole", False, "keep what is outside the brain", flag_values=FLAGS)


def run():
    from data.heads import align_head, align_label_map
    from data.sources import find_sources
    from ldr_tf import imaging

    sources = find_sources(_HEADS.value, label_maps="*")
    for source in sources:
        if source.labels is None:
            raise InputError(f"{source.path}: has no labels; they say where the brain is.")
    reference = imaging.read_scan(_REFERENCE.value)
    check_output_folder(_OUTPUT.value)
    os.makedirs(_OUTPUT.value, exist_ok=True)
    with Progress(len(sources), "head") as progress:
        for number, source in enumerate(sources):
            brain, labels = paths(_OUTPUT.value, source.name)
            if not os.path.exists(labels):
                image = imaging.read_labels(source.labels)
                if source.image is None:
                    aligned, scan = align_label_map(image, reference, number, _WHOLE.value)
                else:
                    scan = imaging.read_scan(source.image)
                    aligned, scan = align_head(
                        scan,
                        image,
                        _NUMBERS.value,
                        reference,
                        source.labels,
                        _WHOLE.value,
                    )
                imaging.write_image(scan, brain)
                imaging.write_image(aligned, labels)  # last: marks the head as done
            progress.advance(source.name)
    print(f"aligned: {_OUTPUT.value}")


def paths(folder, name):
    """Returns the paths of a head's brain and of its labels."""
    return [os.path.join(folder, f"{name}{end}.nii.gz") for end in ("", "_seg")]


def main(argv=None):
    """Runs the command; returns the exit code."""
    return cli.main(run, FLAGS, __doc__, argv)


if __name__ == "__main__":
    sys.exit(main())
