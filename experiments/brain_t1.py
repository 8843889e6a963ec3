"""The recipe of the model that ships: T1 brains, from scans and label maps to figures.

    python -m experiments.brain_t1 --scans=FOLDER --label_maps=FOLDER --heads=LIST.csv \\
        --validation=FOLDER --output=runs/brain

--scans: skull-stripped T1 scans that are affinely aligned to each other, with labels in
FreeSurfer's numbers or without.
--label_maps: label maps of whole heads, in FreeSurfer's numbers.
--heads: whole heads with labels of the brain, a CSV list with the columns image and labels.
--validation: scans like the first, with labels.
Of maps and heads the last ones are held out for validation.

Maps and heads are stripped and aligned to the first scan, and everything is resampled to its grid
of 2 mm, centred on the brain, and to one of 4 mm, where a step takes a sixth of the time. A network
learns from real pairs by their images, and by their labels where both have them, and from pairs of
painted maps, those of labelled scans among them, by images and labels. Every file of
--coarse_configs is a run at 4 mm, then every file of --configs one at 2 mm; each starts from the
one before. Writes the aligned brains, the data sets, the runs and an evaluation into --output, in
that order; if interrupted, it resumes with the same command.
"""

import csv
import os
import sys

from absl import flags

from data.brain_labels import BRAIN_LABELS, NUMBERINGS, to_freesurfer
from data.manifest import read_manifest, write_manifest
from data.sources import find_sources
from experiments import align_heads, evaluate, prepare
from experiments.stages import Command, Stage, run_stages
from experiments.training import Training
from ldr_tf.commands import cli
from ldr_tf.config.optimisation import PRECISIONS
from ldr_tf.errors import InputError
from ldr_tf.files import atomic_path, check_output_folder

_CONFIGS_FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "configs")
COARSE_CONFIGS = [os.path.join(_CONFIGS_FOLDER, "brain_t1_coarse.json")]
CONFIGS = [
    os.path.join(_CONFIGS_FOLDER, name)
    for name in ("brain_t1_first.json", "brain_t1_second.json", "brain_t1.json")
]

FLAGS = cli.new_flags()
_SCANS = flags.DEFINE_string(
    "scans", None, "folder or CSV list of training scans", required=True, flag_values=FLAGS
)
_LABEL_MAPS = flags.DEFINE_string(
    "label_maps", None, "folder of label maps", required=True, flag_values=FLAGS
)
_HEADS = flags.DEFINE_string("heads", None, "CSV list of labelled heads", flag_values=FLAGS)
_HEADS_NUMBERS = flags.DEFINE_enum(
    "heads_numbers", "freesurfer", NUMBERINGS, "numbering of their labels", flag_values=FLAGS
)
_HELD_OUT = flags.DEFINE_integer(
    "held_out", 3, "maps, and heads, kept for validation", lower_bound=0, flag_values=FLAGS
)
_VALIDATION = flags.DEFINE_string(
    "validation", None, "folder or CSV list of labelled scans", required=True, flag_values=FLAGS
)
_NUMBERS = flags.DEFINE_enum(
    "validation_numbers",
    "freesurfer",
    NUMBERINGS,
    "numbering of the labels of --validation",
    flag_values=FLAGS,
)
_SIZE = flags.DEFINE_string("size", "80,96,112", "voxels of 2 mm", flag_values=FLAGS)
_COARSE_SIZE = flags.DEFINE_string("coarse_size", "48,48,64", "voxels of 4 mm", flag_values=FLAGS)
_COARSE_CONFIGS = flags.DEFINE_list(
    "coarse_configs",
    COARSE_CONFIGS,
    "JSON files of config fields, one for each run at 4 mm",
    flag_values=FLAGS,
)
_CONFIGS = flags.DEFINE_list(
    "configs",
    CONFIGS,
    "JSON files of config fields, one for each run at 2 mm; the last is evaluated",
    flag_values=FLAGS,
)
_PRECISION = flags.DEFINE_enum(
    "precision",
    "float32",
    PRECISIONS,
    "of the trainings, see optimisation.precision; what ships was trained in mixed_bfloat16",
    flag_values=FLAGS,
)
_STEPS = flags.DEFINE_integer(
    "steps", None, "steps of each run, instead of its config's", flag_values=FLAGS
)
_OUTPUT = flags.DEFINE_string("output", None, "folder", required=True, flag_values=FLAGS)

# Of the training's pairs. What is registered later looks like the scans, of which there are few.
_SHARES = {"scans": 0.2, "scans_and_heads": 0.35, "maps": 0.45}
_VALIDATIONS = ("validation", "validation_maps", "validation_heads")


def run():
    folder = _OUTPUT.value
    scans, validation = find_sources(_SCANS.value), find_sources(_VALIDATION.value)
    maps = find_sources(_LABEL_MAPS.value, label_maps="*")
    heads = find_sources(_HEADS.value) if _HEADS.value else []
    for path, found in ((_LABEL_MAPS.value, maps), (_HEADS.value, heads)):
        if path and len(found) < _HELD_OUT.value + 2:
            raise InputError(
                f"{path}: holds {len(found)} heads; {_HELD_OUT.value} are kept for validation and "
                "at least two must be left."
            )
    if not _CONFIGS.value:
        raise InputError("--configs must name at least one file.")
    aligned = os.path.join(folder, "aligned")
    check_output_folder(folder)
    os.makedirs(aligned, exist_ok=True)
    listed = os.path.join(aligned, "list.csv")
    _write_list(listed, scans, maps, heads, validation)

    def aligning(path, numbers):
        flags_of_heads = (f"--heads={path}", f"--numbers={numbers}")
        where = (f"--reference={scans[0].image}", f"--output={aligned}")
        return Command(align_heads, (*flags_of_heads, *where))

    def preparing(output, size, spacing):
        grid = (f"--size={size}", f"--spacing={spacing}", "--orientation=LIA", "--crop=foreground")
        reference = f"--reference={scans[0].image}"
        return Command(prepare, (f"--input={listed}", f"--output={output}", *grid, reference))

    first = [
        Stage("label maps on the first scan's brain", aligning(_LABEL_MAPS.value, "freesurfer"))
    ]
    if heads:
        again = aligning(_HEADS.value, _HEADS_NUMBERS.value)
        first.append(Stage("heads on the first scan's brain", again))
    grids = []  # the folder of a grid's data set, and the configs of its runs
    if _COARSE_CONFIGS.value:
        coarse = os.path.join(folder, "prepared_4mm")
        first.append(Stage("everything at 4 mm", preparing(coarse, _COARSE_SIZE.value, 4)))
        grids.append((coarse, _COARSE_CONFIGS.value))
    fine = os.path.join(folder, "prepared")
    first.append(Stage("everything at 2 mm", preparing(fine, _SIZE.value, 2)))
    grids.append((fine, _CONFIGS.value))
    code = run_stages("brain_t1", first)
    if code:
        return code
    for prepared, _ in grids:
        _write_schemes(os.path.join(prepared, "dataset.json"), _dataset(prepared))
    return run_stages("brain_t1", _trainings(folder, grids))


def _dataset(prepared):
    """Returns the path of the data set with the recipe's schemes in a prepared folder."""
    return os.path.join(prepared, "brain.json")


def _trainings(folder, grids):
    """Returns the stages from the data sets on: the runs and the evaluation of the last."""
    settings = ("data.cache=true", f"optimisation.precision={_PRECISION.value}")
    if _STEPS.value is not None:
        settings += (f"optimisation.steps={_STEPS.value}",)
    runs = [(_dataset(prepared), config) for prepared, configs in grids for config in configs]
    stages, start = [], None
    for number, (dataset, config) in enumerate(runs, 1):
        output = os.path.join(folder, "run" if number == len(runs) else f"run_{number}")
        training = Training("student", dataset, output, config, settings, init=start)
        stages.append(Stage(f"training {number} of {len(runs)}", training))
        start = os.path.join(output, "best")
    measuring = (
        f"--run={start}",
        "--names=student",
        f"--dataset={runs[-1][0]}",
        f"--output={os.path.join(folder, 'evaluation')}",
    )
    return [*stages, Stage("evaluation", Command(evaluate, measuring))]


def _write_list(path, scans, maps, heads, validation):
    """Writes the CSV list that `experiments.prepare` takes."""
    folder = os.path.dirname(path)
    rows = [(s.image, s.labels, "scans", s.name) for s in scans]
    # A map without a scan is painted anew at every step; so are the scans' labels, beside them.
    rows += [(None, s.labels, "maps", f"{s.name}_painted") for s in scans if s.labels is not None]
    for subset, held_out_subset, sources in (
        ("maps", "validation_maps", maps),
        ("heads", "validation_heads", heads),
    ):
        for number, source in enumerate(sources):
            scan, labels = align_heads.paths(folder, source.name)
            held_out = number >= len(sources) - _HELD_OUT.value
            image = scan if held_out or source.image is not None else None
            rows.append((image, labels, held_out_subset if held_out else subset, source.name))
    for source in validation:
        if source.labels is None:
            raise InputError(f"{source.path}: has no labels; every validation scan needs them.")
        labels = source.labels
        if _NUMBERS.value != "freesurfer":
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
    """Writes a label image with FreeSurfer's numbers."""
    from ldr_tf import imaging

    image = imaging.read_labels(source)
    labels = imaging.to_array(image).astype(int)
    numbered = to_freesurfer(labels, _NUMBERS.value, source)
    imaging.write_image(imaging.to_image(numbered, image), target)


def _write_schemes(source, target):
    """Writes a copy of the data set's JSON with the shares of its subsets and the labels."""
    manifest = read_manifest(source)
    validations = [name for name in _VALIDATIONS if name in manifest.subsets]
    subsets = dict(manifest.subsets)
    subsets["scans_and_heads"] = [*subsets["scans"], *subsets.get("heads", ())]
    shares = dict(_SHARES)
    if len(subsets["scans"]) < 2:  # there is no pair of them
        shares["scans_and_heads"] += shares.pop("scans")
    write_manifest(
        target,
        file_paths=manifest.files,
        subsets=subsets,
        schemes={
            "1": shares,
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
