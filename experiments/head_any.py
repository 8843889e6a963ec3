"""The recipe of head-any, which ships: whole heads of any contrast, from labels alone.

    python -m experiments.head_any --label_maps=FOLDER --heads=LIST.csv --reference=BRAIN \\
        --output=runs/head_any

--label_maps: label maps of whole heads, in FreeSurfer's numbers.
--heads: scans of whole heads with labels of the brain, a CSV list with the columns image and
labels; a person may be there in several contrasts.
--reference: a scan of a T1 brain without skull; all brains are laid where it lies, the heads with
them, on a grid of 2 mm around it.
Of maps and heads the last ones of the lists are held out for validation.

Maps are painted anew at every step, each in a contrast of its own; scans get random contrasts too.
The network learns from the overlap of labels and from the flow's smoothness, never from how like
two images are. Maps are paired with maps, heads with heads, so the two may number their labels
differently. It starts from --start; every file of --configs is a run that starts from the one
before. If interrupted, it resumes with the same command.
"""

import os
import sys

import numpy as np
from absl import flags

from data.brain_labels import BRAIN_LABELS
from data.manifest import read_manifest, write_manifest
from data.sources import find_sources
from experiments import align_heads, brain_recipe
from experiments.brain_recipe import Row
from experiments.stages import Command, Stage, run_stages
from ldr_tf.commands import cli
from ldr_tf.files import check_output_folder

CONFIGS = [
    os.path.join(os.path.dirname(os.path.abspath(__file__)), "configs", name)
    for name in ("head_any_first.json", "head_any.json")
]

FLAGS = cli.new_flags()
_LABEL_MAPS = flags.DEFINE_string(
    "label_maps", None, "folder of label maps", required=True, flag_values=FLAGS
)
_HEADS = flags.DEFINE_string(
    "heads", None, "CSV list of labelled heads", required=True, flag_values=FLAGS
)
_REFERENCE = flags.DEFINE_string(
    "reference", None, "T1 brain without skull", required=True, flag_values=FLAGS
)
_HELD_OUT_MAPS = flags.DEFINE_integer(
    "held_out_maps", 3, "maps kept for validation", lower_bound=0, flag_values=FLAGS
)
_HELD_OUT_HEADS = flags.DEFINE_integer(
    "held_out_heads", 6, "lines of --heads kept for validation", lower_bound=0, flag_values=FLAGS
)
_START = flags.DEFINE_string(
    "start",
    "brain-t1",
    "run or shipped model from which the first run starts; empty: new weights",
    flag_values=FLAGS,
)
_SIZE = flags.DEFINE_string("size", brain_recipe.SIZE, "voxels of 2 mm", flag_values=FLAGS)
_CONFIGS = flags.DEFINE_list(
    "configs", CONFIGS, "JSON files of config fields, one for each run", flag_values=FLAGS
)
_STEPS = flags.DEFINE_integer(
    "steps", None, "steps of each run, instead of its config's", flag_values=FLAGS
)
_OUTPUT = flags.DEFINE_string("output", None, "folder", required=True, flag_values=FLAGS)

_SHARES = {"maps": 0.5, "heads": 0.5}
_VALIDATIONS = {"validation_heads": 0.7, "validation_maps": 0.3}


def run():
    folder = _OUTPUT.value
    maps, heads = find_sources(_LABEL_MAPS.value, label_maps="*"), find_sources(_HEADS.value)
    brain_recipe.check_held_out(_LABEL_MAPS.value, maps, _HELD_OUT_MAPS.value)
    brain_recipe.check_held_out(_HEADS.value, heads, _HELD_OUT_HEADS.value)
    brain_recipe.check_configs(_CONFIGS.value)
    aligned, prepared = os.path.join(folder, "aligned"), os.path.join(folder, "prepared")
    check_output_folder(folder)
    os.makedirs(aligned, exist_ok=True)
    rows = _rows(aligned, maps, "maps", _HELD_OUT_MAPS.value, painted=True)
    rows += _rows(aligned, heads, "heads", _HELD_OUT_HEADS.value)
    listed = os.path.join(aligned, "list.csv")
    brain_recipe.write_list(listed, rows)
    where = (f"--reference={_REFERENCE.value}", f"--output={aligned}", "--whole")
    code = run_stages(
        "head_any",
        [
            Stage(
                f"{what} where the reference's brain lies",
                Command(align_heads, (f"--heads={path}", *where)),
            )
            for what, path in (("label maps", _LABEL_MAPS.value), ("heads", _HEADS.value))
        ]
        + [brain_recipe.preparation(listed, prepared, _SIZE.value, _REFERENCE.value)],
    )
    if code:
        return code
    dataset = os.path.join(prepared, "heads.json")
    _write_schemes(os.path.join(prepared, "dataset.json"), dataset, rows)
    start = _START.value or None
    stages = brain_recipe.trainings(folder, dataset, _CONFIGS.value, _STEPS.value, start)
    return run_stages("head_any", stages)


def _rows(folder, sources, subset, held_out, painted=False):
    rows = []
    for number, source in enumerate(sources):
        scan, labels = align_heads.paths(folder, source.name)
        validates = brain_recipe.is_held_out(number, sources, held_out)
        image = None if painted and not validates else scan
        rows.append(
            Row(image, labels, f"validation_{subset}" if validates else subset, source.name)
        )
    return rows


def _write_schemes(source, target, rows):
    """Writes a copy of the data set's JSON with the shares of its subsets and all labels."""
    manifest = read_manifest(source)
    values = set(BRAIN_LABELS.values())
    for row in rows:
        if row.subset.endswith("heads"):
            values |= set(_label_values(row.labels))
    write_manifest(
        target,
        file_paths=manifest.files,
        subsets=manifest.subsets,
        schemes={
            "1": _SHARES,
            "2": {name: share for name, share in _VALIDATIONS.items() if name in manifest.subsets},
        },
        image_size=manifest.image_size,
        image=manifest.image,
        segmentation_class_value={f"label-{value}": value for value in sorted(values - {0})},
    )


def _label_values(path):
    from ldr_tf import imaging

    return [int(value) for value in np.unique(imaging.to_array(imaging.read_labels(path)))]


def main(argv=None):
    """Runs the command; returns the exit code."""
    return cli.main(run, FLAGS, __doc__, argv)


if __name__ == "__main__":
    sys.exit(main())
