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


def train(
    state,
    step,
    batches,
    folder,
    validate=None,
    observer=None,
    should_stop=None,
    describe=None,
):
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
      describe: callable that names the pairs of a step, for messages, or None.

    Returns:
      True when the last step was taken, False when it was stopped before.

    Raises:
      TrainingError: a loss or gradient norm is not finite and the config does not say to skip such
        steps; it names the term, the step and the pairs, and the last checkpoint stays as it was.
    """
    training = state.config.training
    observer = observer or Observer()
    manager = checkpoints.manager(state.checkpoint, folder, training.keep_checkpoints)
    writer = SummaryWriter(folder)
    first = int(state.step)
    # Read together, when something is logged: reading each step's would make the device wait.
    pending = _Pending(training.on_nonfinite, describe)
    observer.on_start(first, training.steps)
    try:
        for index, batch in zip(range(first, training.steps), batches):
            pending.add(index, _take(state, step, batch, index))
            done = index + 1
            last = done == training.steps
            stop = not last and should_stop is not None and should_stop()
            saving = last or stop or done % training.checkpoint_every == 0
            if saving or done % training.summarize_every == 0:
                scalars = pending.read()
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


class _Pending:
    """Scalars of steps taken and not yet read."""

    def __init__(self, on_nonfinite, describe):
        self._stops = on_nonfinite == "stop"
        self._describe = describe
        self._steps = []
        self._skipped = 0

    def add(self, index, scalars):
        self._steps.append((index, scalars))

    def read(self):
        """Returns the last step's scalars as numbers, after a look at all; empties the list."""
        for index, scalars in self._steps:
            values = {name: float(value) for name, value in scalars.items()}
            bad = [name for name, value in values.items() if not math.isfinite(value)]
            if bad and self._stops:
                pairs = f" (pairs: {self._describe(index)})" if self._describe else ""
                raise TrainingError(
                    f"step {index + 1}: {bad[0]} is {values[bad[0]]}{pairs}; training stops, the "
                    "last checkpoint is intact."
                )
            self._skipped += bool(bad)
        self._steps.clear()
        return {**values, "skipped_steps": self._skipped}


def _draw(state, writer, batch, done):
    fixed = tf.cast(batch["fixed"], tf.float32) / INTENSITY_MAX
    moving = tf.cast(batch["moving"], tf.float32) / INTENSITY_MAX
    writer.pair(done, fixed, moving, state.network(fixed, moving).warped)
