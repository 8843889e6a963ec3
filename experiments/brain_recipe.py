"""What the recipes of the models that ship share: held-out heads, one grid, the trainings."""

import csv
import dataclasses
import os

from experiments import evaluate, prepare
from experiments.stages import Command, Stage
from experiments.training import Training
from ldr_tf.errors import InputError
from ldr_tf.files import atomic_path

SIZE = "80,96,112"
"""Voxels of 2 mm around a brain, axes LIA."""


@dataclasses.dataclass(frozen=True)
class Row:
    """A line of the list that `experiments.prepare` takes; no image: painted at every step."""

    image: str
    labels: str
    subset: str
    name: str


def check_held_out(path, sources, held_out):
    """Refuses, with InputError, heads of which too few are left for training."""
    if len(sources) < held_out + 2:
        raise InputError(
            f"{path}: holds {len(sources)} heads; {held_out} are kept for validation and at least "
            "two must be left."
        )


def check_configs(configs):
    """Refuses, with InputError, a recipe without any run."""
    if not configs:
        raise InputError("--configs must name at least one file.")


def is_held_out(number, sources, held_out):
    """Whether the head at this place in a list is kept for validation: the last ones are."""
    return number >= len(sources) - held_out


def write_list(path, rows):
    """Writes Rows as a CSV file, whole or not at all."""
    fields = [field.name for field in dataclasses.fields(Row)]
    with atomic_path(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(fields)
        for row in rows:
            places = [os.path.abspath(place) if place else "" for place in (row.image, row.labels)]
            writer.writerow([*places, row.subset, row.name])


def preparation(listed, output, size, reference):
    """Returns the stage that brings what a list names to the grid of `reference`, a brain."""
    words = (
        f"--input={listed}",
        f"--output={output}",
        f"--size={size}",
        "--spacing=2",
        "--orientation=LIA",
        "--crop=foreground",
        f"--reference={reference}",
    )
    return Stage("everything on one grid", Command(prepare, words))


def trainings(folder, dataset, configs, steps=None, start=None):
    """Returns the stages from the data set on: a run for each config, and the last's evaluation.

    Args:
      folder: gets run_1, run_2 .. and run, the last, and evaluation.
      dataset: path of its JSON.
      configs: files of config fields; each run starts from the one before.
      steps: of each run, instead of its config's; or None.
      start: run from which the first starts; None for new weights.
    """
    settings = ("data.cache=true",)
    if steps is not None:
        settings += (f"optimisation.steps={steps}",)
    stages = []
    for number, config in enumerate(configs, 1):
        last = number == len(configs)
        output = os.path.join(folder, "run" if last else f"run_{number}")
        training = Training("student", dataset, output, config, settings, init=start)
        stages.append(Stage(f"training {number} of {len(configs)}", training))
        start = os.path.join(output, "best")
    measuring = (
        f"--run={start}",
        "--names=student",
        f"--dataset={dataset}",
        f"--output={os.path.join(folder, 'evaluation')}",
    )
    return [*stages, Stage("evaluation", Command(evaluate, measuring))]
