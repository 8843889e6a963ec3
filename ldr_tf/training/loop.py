"""The training loop: owns time and disk, and reports to the observer that it is given."""

import math

import tensorflow as tf

from ldr_tf import checkpoints
from ldr_tf.conventions import INTENSITY_MAX
from ldr_tf.training.observer import Observer
from ldr_tf.training.schedules import is_full_step, learning_rate
from ldr_tf.training.summaries import SummaryWriter


class TrainingError(RuntimeError):
    """A training that cannot go on: a loss or gradient is no longer finite."""


def resume(state, folder):
    """Restores the state from the run's last checkpoint, if there is one; returns the step."""
    path = checkpoints.latest_checkpoint(folder)
    if path is not None:
        checkpoints.restore(state.checkpoint, path)
    return int(state.step)


def train(state, step, batches, folder, validate=None, observer=None, should_stop=None):
    """Trains from the state's step to the config's last one.

    Writes checkpoints, TensorBoard events and metrics.jsonl into `folder`. Everything random
    depends on seed and step alone, so a training that was stopped goes on as if it had not been.

    Args:
      state: `TrainingState`, restored where it resumes.
      step: `TrainingStep` on that state.
      batches: iterable of batches from the state's step on.
      folder: the run folder.
      validate: callable that returns figures by name, or None.
      observer: `Observer`, or None.
      should_stop: callable asked after every step; True saves and leaves.

    Returns:
      True when the last step was taken, False when it was stopped before.

    Raises:
      TrainingError: a loss or gradient norm is not finite; the last checkpoint stays as it was.
    """
    training = state.config.training
    observer = observer or Observer()
    manager = checkpoints.manager(state.checkpoint, folder, training.keep_checkpoints)
    writer = SummaryWriter(folder)
    first = int(state.step)
    observer.on_start(first, training.steps)
    try:
        for index, batch in zip(range(first, training.steps), batches):
            scalars = _take(state, step, batch, index)
            done = index + 1
            last = done == training.steps
            stop = not last and should_stop is not None and should_stop()
            saving = last or stop or done % training.checkpoint_every == 0
            if saving or done % training.summarize_every == 0:
                scalars = _finite(scalars, index)
                writer.scalars(done, scalars)
                observer.on_scalars(done, scalars)
            observer.on_step(done)
            if saving:
                manager.save(checkpoint_number=done)
            if stop:
                return False
            if validate is not None and (last or done % training.validate_every == 0):
                figures = validate()
                writer.scalars(done, figures, "validation/")
                observer.on_validation(done, figures)
                _draw(state, writer, batch, done)
    finally:
        writer.close()
        observer.on_end()
    return True


def _take(state, step, batch, index):
    rate = learning_rate(state.config.training, index)
    state.optimizer.learning_rate.assign(rate)
    full = is_full_step(state.config.distillation, index)
    scalars = step.full(batch) if full else step.reconstruction(batch)
    state.step.assign(index + 1)
    return {**scalars, "learning_rate": rate}


def _finite(scalars, index):
    values = {name: float(value) for name, value in scalars.items()}
    for name, value in values.items():
        if not math.isfinite(value):
            raise TrainingError(f"step {index}: {name} is {value}; the last checkpoint is intact.")
    return values


def _draw(state, writer, batch, done):
    fixed = tf.cast(batch["fixed"], tf.float32) / INTENSITY_MAX
    moving = tf.cast(batch["moving"], tf.float32) / INTENSITY_MAX
    writer.pair(done, fixed, moving, state.network(fixed, moving).warped)
