"""Trainings on data sets of the checkout, for every script that trains: records in, a run out."""

import dataclasses
import functools
import shlex
import signal
from typing import Optional

from experiments.progress import TrainingProgress
from ldr_tf import records
from ldr_tf.commands import cli
from ldr_tf.config import RunConfig, read_config_values, run_config
from ldr_tf.errors import InputError
from ldr_tf.files import read_json

# Each stage's defaults.
_STAGE_DEFAULTS = {
    "teacher": {"network": {"base_network": "VTN"}},
    "student": {"network": {"base_network": "LDR"}},
}


@dataclasses.dataclass(frozen=True)
class Training:
    """The settings that a user gives for a training; all others are the config's defaults.

    Attributes:
      stage: "teacher" or "student".
      dataset: path of the data set's JSON; its size and image record go into the config.
      output: the run folder.
      config_file: JSON file of config fields, or None.
      settings: texts such as "loss.similarity=mse", which win over the file.
      subset, teacher, teacher_flows, init: fields of the config that have flags of their own; None
        leaves them to file and settings.
    """

    stage: str
    dataset: str
    output: str
    config_file: Optional[str] = None
    settings: tuple[str, ...] = ()
    subset: Optional[str] = None
    teacher: Optional[str] = None
    teacher_flows: Optional[str] = None
    init: Optional[str] = None

    def config(self):
        """Returns the RunConfig. A student with a teacher learns by ALDK unless told otherwise.

        Raises:
          InputError: names the file and field that is wrong.
        """
        from data.manifest import read_manifest

        manifest = read_manifest(self.dataset)
        layers = [_STAGE_DEFAULTS[self.stage]]
        if self.teacher is not None or self.teacher_flows is not None:
            layers.append({"distillation": {"kind": "aldk"}})
        if self.config_file is not None:
            layers.append(read_config_file(self.config_file))
        layers.append(records.from_settings(RunConfig, self.settings))
        for name, value in self._named().items():
            if value is not None:
                layers.append(records.nested(name, value))
        layers.append(
            {
                "stage": self.stage,
                "network": {"image_size": list(manifest.image_size)},
                "image": records.to_dict(manifest.image) if manifest.image else {},
                "data": {"dataset": self.dataset},
            }
        )
        return run_config(functools.reduce(records.merged, layers))

    def _named(self):
        return {
            "data.subset": self.subset,
            "distillation.teacher": self.teacher,
            "distillation.teacher_flows": self.teacher_flows,
            "init": self.init,
        }

    def run(self, **options):
        """Trains; see `train`."""
        return train(self.config(), self.output, **options)

    def shown(self):
        """Returns the command line that does the same."""
        flags = [f"--{field}={getattr(self, field)}" for field in ("stage", "dataset", "output")]
        flags += [f"--config={self.config_file}"] if self.config_file is not None else []
        for field in ("subset", "teacher", "teacher_flows", "init"):
            value = getattr(self, field)
            flags += [f"--{field}={value}"] if value is not None else []
        flags += [f"--set={setting}" for setting in self.settings]
        return f"python -m experiments.train {shlex.join(flags)}"


def read_config_file(path):
    """Returns the fields of a JSON file, checked, as a nested dictionary."""
    values = read_json(path)
    try:
        run_config(values)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    return read_config_values(values)


def train(config, folder, *, override=False, profile=None):
    """Trains the run that a config describes into a folder, or resumes it.

    Shows progress; on SIGINT and SIGTERM saves and stops.

    Args:
      config: a RunConfig whose `data.dataset` is a data set's JSON.
      folder, override, profile: see `ldr_tf.training.run.train_run`.

    Returns:
      The exit code: 0 if the last step was taken, else 1.

    Raises:
      InputError: see `train_run`.
    """
    from data.manifest import read_manifest
    from data.pipeline import TrainingData
    from ldr_tf.training.loop import TrainingError
    from ldr_tf.training.run import check_distillation, train_run

    check_distillation(config.distillation)
    manifest = read_manifest(config.data.dataset, config.data.allow_external)
    data = TrainingData.of_run(manifest, config)
    pairs = validation_pairs(manifest, config)
    progress = TrainingProgress()
    with _asked_to_stop() as should_stop:
        try:
            done = train_run(
                config,
                folder,
                data,
                functools.partial(_validation, manifest, pairs) if pairs else None,
                progress,
                should_stop=should_stop,
                override=override,
                profile=profile,
            )
        except TrainingError as error:
            progress.failed(error)
            return cli.FAILURE
    progress.finished(folder, done, config.optimisation.steps)
    return 0 if done >= config.optimisation.steps else cli.FAILURE


def plan(config):
    """Prints what a step of a training will take, at its batch size and twice and four times it.

    Args:
      config: as of `train`.

    Returns:
      The exit code.
    """
    import pandas as pd

    from data.manifest import read_manifest
    from data.pipeline import label_classes
    from ldr_tf.training.plan import plan_step
    from ldr_tf.training.run import check_distillation, load_teacher

    check_distillation(config.distillation)
    classes = len(label_classes(read_manifest(config.data.dataset, config.data.allow_external)))
    teacher, rows = load_teacher(config), []
    for factor in (1, 2, 4):
        batch = factor * config.optimisation.batch_size
        optimisation = dataclasses.replace(config.optimisation, batch_size=batch)
        found = plan_step(dataclasses.replace(config, optimisation=optimisation), teacher, classes)
        rows.append(
            {
                "batch": batch,
                "parameters": found.parameters,
                "teacher": found.teacher_parameters,
                "kept MB": round(found.kept_mb),
                "a step MB": round(found.step_mb),
                "multiply-adds": found.multiply_adds,
            }
        )
    print(pd.DataFrame(rows).to_string(index=False))
    return 0


def validation_pairs(manifest, config):
    """Returns the keys of a training's validation pairs.

    There are none if no subset is named, or if the default one does not exist.
    """
    from data.pairs import spread_pairs
    from ldr_tf.config import DataConfig

    name = config.data.validation
    known = name in manifest.schemes or name in manifest.subsets
    if not name or (name == DataConfig.validation and not known):
        return []
    return spread_pairs(
        manifest, name, config.data.validation_pairs, config.optimisation.seed, config.data.paired
    )


def _validation(manifest, pairs, network):
    from data.evaluation import evaluation_pairs
    from ldr_tf.evaluation import Predictor, validate

    predictor = Predictor(network)
    evaluation_pairs(manifest, pairs)  # a missing scan is found before training, not after

    def figures():
        return validate(
            predictor, evaluation_pairs(manifest, pairs), manifest.segmentation_class_value
        )

    return figures


class _asked_to_stop:
    """Makes SIGINT and SIGTERM ask the loop to save and stop; a second SIGINT interrupts."""

    _SIGNALS = (signal.SIGINT, signal.SIGTERM)

    def __enter__(self):
        asked = []

        def ask(number, _):
            asked.append(number)
            signal.signal(signal.SIGINT, signal.default_int_handler)

        self._before = [signal.signal(number, ask) for number in self._SIGNALS]
        return lambda: bool(asked)

    def __exit__(self, *_):
        for number, handler in zip(self._SIGNALS, self._before):
            signal.signal(number, handler)
