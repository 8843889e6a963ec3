"""The recipe of the model that ships: T1 brains, from scans and label maps to figures.

    python -m experiments.brain_t1 --scans=FOLDER --label_maps=FOLDER --validation=FOLDER \\
        --output=runs/brain

--scans: skull-stripped T1 scans that are affinely aligned to each other, with labels or without.
--label_maps: label maps of whole heads; the last ones are held out for validation.
--validation: scans like the first, with labels. Label numbers are FreeSurfer's;
--validation_numbers=oasis35 means that those of --validation are 1 to 35, as in the public OASIS
label files.

Maps are aligned to the first scan, everything is resampled to its grid of 2 mm, centred on the
brain, and an LDR network learns from real pairs by their images alone and from pairs of painted
maps by images and labels: first two cascades with the brains in place
(configs/brain_t1_first.json), then a third one with pairs shifted about the grid
(configs/brain_t1.json). Writes the aligned maps, the data set, both runs and an evaluation into
--output, in that order; if interrupted, it resumes with the same command.
"""

import csv
import os
import sys

import numpy as np
from absl import flags

from data.brain_labels import BRAIN_LABELS
from data.manifest import read_manifest, write_manifest
from data.sources import find_sources
from experiments import align_label_maps, evaluate, prepare
from experiments.stages import Command, Stage, run_stages
from experiments.training import Training
from ldr_tf.commands import cli
from ldr_tf.errors import InputError
from ldr_tf.files import atomic_path, check_output_folder

CONFIGS = [
    os.path.join(os.path.dirname(os.path.abspath(__file__)), "configs", name)
    for name in ("brain_t1_first.json", "brain_t1.json")
]

FLAGS = cli.new_flags()
_SCANS = flags.DEFINE_string(
    "scans", None, "folder or CSV list of training scans", required=True, flag_values=FLAGS
)
_LABEL_MAPS = flags.DEFINE_string(
    "label_maps", None, "folder of label maps", required=True, flag_values=FLAGS
)
_HELD_OUT = flags.DEFINE_integer(
    "held_out_maps", 3, "maps kept for validation", lower_bound=0, flag_values=FLAGS
)
_VALIDATION = flags.DEFINE_string(
    "validation", None, "folder or CSV list of labelled scans", required=True, flag_values=FLAGS
)
_NUMBERS = flags.DEFINE_enum(
    "validation_numbers",
    "freesurfer",
    ["freesurfer", "oasis35"],
    "numbering of the labels of --validation",
    flag_values=FLAGS,
)
_SIZE = flags.DEFINE_string("size", "80,96,112", "voxels of 2 mm", flag_values=FLAGS)
_CONFIGS = flags.DEFINE_list(
    "configs",
    CONFIGS,
    "JSON files of config fields, for the first and the second run",
    flag_values=FLAGS,
)
_STEPS = flags.DEFINE_integer(
    "steps", None, "steps of each run, instead of its config's", flag_values=FLAGS
)
_OUTPUT = flags.DEFINE_string("output", None, "folder", required=True, flag_values=FLAGS)

_SHARES = {"scans": 0.35, "maps": 0.65}
_VALIDATIONS = ("validation", "validation_maps")


def run():
    folder = _OUTPUT.value
    scans, validation = find_sources(_SCANS.value), find_sources(_VALIDATION.value)
    maps = find_sources(_LABEL_MAPS.value, label_maps="*")
    if len(maps) < _HELD_OUT.value + 2:
        raise InputError(
            f"{_LABEL_MAPS.value}: holds {len(maps)} label maps; {_HELD_OUT.value} are kept for "
            "validation and at least two must be left."
        )
    aligned, prepared = os.path.join(folder, "aligned"), os.path.join(folder, "prepared")
    check_output_folder(folder)
    os.makedirs(aligned, exist_ok=True)
    listed = os.path.join(aligned, "list.csv")
    _write_list(listed, scans, maps, validation)
    align = (
        f"--label_maps={_LABEL_MAPS.value}",
        f"--reference={scans[0].image}",
        f"--output={aligned}",
    )
    preparing = (
        f"--input={listed}",
        f"--output={prepared}",
        f"--size={_SIZE.value}",
        "--spacing=2",
        "--orientation=LIA",
        "--crop=foreground",
        f"--reference={scans[0].image}",
    )
    first = [
        Stage("label maps aligned to the first scan's brain", Command(align_label_maps, align)),
        Stage("everything on one grid", Command(prepare, preparing)),
    ]
    code = run_stages("brain_t1", first)
    if code:
        return code
    dataset = os.path.join(prepared, "brain.json")
    _write_schemes(os.path.join(prepared, "dataset.json"), dataset)
    runs = [os.path.join(folder, name) for name in ("run_first", "run")]
    if len(_CONFIGS.value) != len(runs):
        raise InputError(f"--configs must name two files, not {len(_CONFIGS.value)}.")
    settings = ("data.cache=true",)
    if _STEPS.value is not None:
        settings += (f"optimisation.steps={_STEPS.value}",)
    starts = (None, os.path.join(runs[0], "best"))
    trainings = [
        Training("student", dataset, output, config, settings, init=start)
        for output, config, start in zip(runs, _CONFIGS.value, starts)
    ]
    measuring = (
        f"--run={os.path.join(runs[1], 'best')}",
        "--names=LDR",
        f"--dataset={dataset}",
        f"--output={os.path.join(folder, 'evaluation')}",
    )
    last = [
        Stage("two cascades, brains in place", trainings[0]),
        Stage("a third cascade, pairs shifted", trainings[1]),
        Stage("evaluation", Command(evaluate, measuring)),
    ]
    return run_stages("brain_t1", last)


def _write_list(path, scans, maps, validation):
    """Writes the CSV list that `experiments.prepare` takes."""
    folder = os.path.dirname(path)
    rows = [(s.image, s.labels, "scans", s.name) for s in scans]
    first_held_out = len(maps) - _HELD_OUT.value
    for number, source in enumerate(maps):
        scan, labels = align_label_maps.paths(folder, source.name)
        held_out = number >= first_held_out
        subset = "validation_maps" if held_out else "maps"
        rows.append((scan if held_out else None, labels, subset, source.name))
    for source in validation:
        if source.labels is None:
            raise InputError(f"{source.path}: has no labels; every validation scan needs them.")
        labels = source.labels
        if _NUMBERS.value == "oasis35":
            labels = os.path.join(folder, f"validation_{source.name}_labels.nii.gz")
            if not os.path.exists(labels):  # its new date would make prepare redo it
                _renumber(source.labels, labels)
        rows.append((source.image, labels, "validation", source.name))
    with atomic_path(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "labels", "subset", "name"])
        for image, labels, subset, name in rows:
            places = [os.path.abspath(place) if place else "" for place in (image, labels)]
            writer.writerow([*places, subset, name])


def _renumber(source, target):
    """Writes a label image with FreeSurfer's numbers for 1 to 35."""
    from ldr_tf import imaging

    image = imaging.read_labels(source)
    labels = imaging.to_array(image).astype(int)
    values = np.array([0, *BRAIN_LABELS.values()], np.uint16)
    if labels.min() < 0 or labels.max() >= len(values):
        raise InputError(
            f"{source}: labels must lie in 0..{len(values) - 1} with "
            f"--validation_numbers=oasis35, not in {labels.min()}..{labels.max()}."
        )
    imaging.write_image(imaging.to_image(values[labels], image), target)


def _write_schemes(source, target):
    """Writes a copy of the data set's JSON with the shares of scans and maps and the labels."""
    manifest = read_manifest(source)
    validations = [name for name in _VALIDATIONS if name in manifest.subsets]
    write_manifest(
        target,
        file_paths=manifest.files,
        subsets=manifest.subsets,
        schemes={
            "1": _SHARES,
            "2": {name: 1 / len(validations) for name in validations},
        },
        image_size=manifest.image_size,
        image=manifest.image,
        segmentation_class_value=BRAIN_LABELS,
    )


def main(argv=None):
    """Runs the command; returns the exit code."""
    return cli.main(run, FLAGS, __doc__, argv)


if __name__ == "__main__":
    sys.exit(main())
