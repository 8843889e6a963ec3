"""A training as a call: a config, a folder and data in, a run folder out."""

import contextlib
import dataclasses
import functools
import os

from ldr_tf import records
from ldr_tf.config import CHANGEABLE
from ldr_tf.errors import InputError
from ldr_tf.files import check_output_folder, only_writer
from ldr_tf.runs import checkpoints
from ldr_tf.training import devices
from ldr_tf.training.loop import TrainingLoop
from ldr_tf.training.observer import Observer
from ldr_tf.training.state import TrainingState
from ldr_tf.training.step import TrainingStep


def train_run(
    config,
    folder,
    data,
    validation=None,
    observer=None,
    *,
    should_stop=lambda: False,
    override=False,
    profile=None,
):
    """Trains the run that a config describes, or resumes it.

    Whatever can be refused is checked before the run folder is made.

    Args:
      config: a `ldr_tf.config.RunConfig`.
      folder: the run folder, made or resumed.
      data: the source of batches. `data.batches(first_step, shard)` gives the index-th of `count`
        equal shares of every batch (see `TrainingStep`), `shard` being (index, count);
        `data.classes` is the number of label classes; `data.pair_names(step)` names a step's
        pairs. `data.pipeline.TrainingData` in the checkout is one.
      validation: called with the network, returns a callable that gives figures by name, "dice"
        among them, which decides what is best; None for no validation.
      observer: `ldr_tf.training.observer.Observer`, or None.
      should_stop: asked after every step; True saves and stops.
      override: whether an existing run may resume with other values of CHANGEABLE fields.
      profile: (first, last) step to record with TensorFlow's profiler, or None.

    Returns:
      The number of steps taken in all.

    Raises:
      InputError: config, folder, teacher and data do not fit together, or another process trains
        in this folder.
      TrainingError: see `ldr_tf.training.loop.TrainingLoop`.
    """
    check_distillation(config.distillation)
    check_output_folder(folder)
    strategy = devices.make_strategy(config.optimisation.strategy)
    devices.check(strategy, config.optimisation)
    observer = observer or Observer()
    with strategy.scope():
        teacher = load_teacher(config)
    state = TrainingState(config, strategy)
    initial = load_initial(config)
    validate = validation and validation(state.result)
    with contextlib.ExitStack() as held:
        if devices.is_chief(strategy):
            os.makedirs(folder, exist_ok=True)
            held.enter_context(only_writer(folder))
            open_run(folder, config, override)
        first = resume(state, folder)
        if not first and initial is not None:
            state.network.start_from(initial)
            state.start_average()
        read = functools.partial(data.batches, first)
        batches = devices.distribute(strategy, read, config.optimisation.batch_size)
        observer.on_run(config, state.network.count_params(), first)
        loop = TrainingLoop(
            state,
            TrainingStep(state, teacher, data.classes),
            folder,
            validate=validate,
            observer=observer,
            should_stop=should_stop,
            describe=data.pair_names,
            profile=profile,
        )
        loop.run(batches)
    return int(state.step.numpy())


def check_distillation(config):
    """Raises InputError if a `DistillationConfig` distils without a teacher."""
    if config.kind != "none" and config.teacher is None and config.teacher_flows is None:
        raise InputError(
            f"distillation.kind {config.kind} needs a teacher: distillation.teacher, its run "
            "folder, or distillation.teacher_flows, a store of its flows."
        )


def load_teacher(config):
    """Returns the teacher's network, checked to take the student's volumes; None without one."""
    path = config.distillation.teacher
    if path is None:
        return None
    teacher = checkpoints.load_run(path, precision="float32")
    size = teacher.config.image_size
    if size != config.network.image_size:
        raise InputError(
            f"{path}: was trained at {size}, the data set holds {config.network.image_size}; "
            "teacher and student must have the same size."
        )
    return teacher


def load_initial(config):
    """Returns the network of `config.init`, checked to fit the run's own, or None."""
    if config.init is None:
        return None
    initial = checkpoints.load_run(config.init, precision="float32")
    network = initial.config
    if network.affine_stem == "none":  # dense stems take any size: a coarse grid may come first
        network = dataclasses.replace(network, image_size=config.network.image_size)
    if network.cascades < config.network.cascades:
        network = dataclasses.replace(network, cascades=config.network.cascades)
    if network.descents == 0:
        network = dataclasses.replace(network, descents=config.network.descents)
    rows = records.differences(network, config.network, "network.")
    if rows:
        field, theirs, ours = rows[0]
        raise InputError(
            f"{config.init}: is a different network ({field} is {theirs!r}, not {ours!r}); "
            "its weights cannot be used."
        )
    return initial


def open_run(folder, config, override=False):
    """Makes the run folder, or raises InputError if it holds a run with another config.

    With `override`, settings that may change are updated instead.
    """
    if not os.path.exists(os.path.join(folder, checkpoints.CONFIG_NAME)):
        checkpoints.write_config(folder, config)
        return
    rows = records.differences(checkpoints.read_config(folder), config)
    refused = [row for row in rows if not override or row[0] not in CHANGEABLE]
    if refused:
        fields = "; ".join(f"{name} was {old!r}, now {new!r}" for name, old, new in refused)
        raise InputError(
            f"{folder}: holds a run with another config ({fields}); choose another folder, give "
            "the same settings, or override those that may change."
        )
    if rows:
        checkpoints.write_config(folder, config)


def resume(state, folder):
    """Restores the state from the run's last checkpoint, if there is one; returns the step."""
    path = checkpoints.latest_checkpoint(folder)
    if path is not None:
        checkpoints.restore(state.checkpoint, path)
    return int(state.step.numpy())
