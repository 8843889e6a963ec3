"""The training loop: owns time and disk, and reports to the observer that it is given."""

import math
import time

import tensorflow as tf

from ldr_tf.runs import checkpoints
from ldr_tf.training import devices
from ldr_tf.training.keeper import Keeper, SavingError
from ldr_tf.training.observer import Observer
from ldr_tf.training.schedules import is_full_step, learning_rate
from ldr_tf.training.summaries import SummaryWriter


class TrainingError(RuntimeError):
    """A training that cannot go on: not finite, no room for a checkpoint, a worker lost."""


def resume(state, folder):
    """Restores the state from the run's last checkpoint, if there is one; returns the step."""
    path = checkpoints.latest_checkpoint(folder)
    if path is not None:
        checkpoints.restore(state.checkpoint, path)
    return int(state.step.numpy())


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

    Writes checkpoints, TensorBoard events and metrics.jsonl into `folder`; of many workers one
    does. Everything random depends on seed and step alone, so a training that was stopped goes on
    as if it had not been.

    Args:
      state: `TrainingState`, restored where it resumes.
      step: `TrainingStep` on that state.
      batches: iterable of batches from the state's step on.
      folder: the run folder.
      validate: callable that returns figures by name, or None.
      observer: `Observer`, or None.
      should_stop: callable asked after every step; True saves and leaves. Of many workers it is
        enough that one is asked; they agree whenever losses are logged.
      describe: callable that names the pairs of a step, for messages, or None.

    Returns:
      True when the last step was taken, False when it was stopped before.

    Raises:
      TrainingError: a loss or gradient norm is not finite and the config does not say to skip such
        steps (it names the term, the step and the pairs); the run folder cannot be written; another
        worker is gone. The last checkpoint stays as it was.
    """
    try:
        return _Loop(state, step, folder, validate, observer, should_stop, describe).run(batches)
    except SavingError as error:
        raise TrainingError(str(error)) from error
    except OSError as error:
        raise TrainingError(
            f"{folder}: cannot be written ({error}); the last checkpoint is intact."
        ) from error
    except tf.errors.OpError as error:
        if devices.worker_count(state.strategy) == 1:
            raise
        raise TrainingError(
            "another worker is gone or does not answer; start all of them again with the same "
            "command, which resumes from the last checkpoint."
        ) from error


class _Loop:
    def __init__(self, state, step, folder, validate, observer, should_stop, describe):
        self._state = state
        self._step = step
        self._folder = folder
        self._training = state.config.training
        self._validate = validate
        self._observer = observer or Observer()
        self._asked = should_stop or (lambda: False)
        # Read together, when something is logged: reading each step's would make the device wait.
        self._pending = _Pending(self._training.on_nonfinite, describe)
        self._chief = devices.is_chief(state.strategy)
        self._keeper = self._writer = None

    def run(self, batches):
        first, steps = int(self._state.step.numpy()), self._training.steps
        if self._chief:
            self._keeper = Keeper(self._state, self._folder)
            self._writer = SummaryWriter(self._folder)
        self._observer.on_start(first, steps)
        try:
            return self._steps(_Waiting(batches), first, steps)
        finally:
            if self._writer is not None:
                self._writer.close()
            self._observer.on_end()

    def _steps(self, batches, first, steps):
        training = self._training
        for index, batch in zip(range(first, steps), batches):
            self._pending.add(index, _take(self._state, self._step, batch, index))
            done = index + 1
            last = done == steps
            logging = last or done % training.summarize_every == 0
            stop = not last and self._should_stop(logging)
            saving = last or stop or done % training.checkpoint_every == 0
            if saving or logging:
                self._report(done, batches)
            self._observer.on_step(done)
            if self._chief:
                if last or done % training.validate_every == 0:
                    self._look(batch, done)
                if saving:
                    self._keeper.save(done)
            if stop:
                return False
        return True

    def _should_stop(self, logging):
        """Asks after every step; many workers, who must leave together, ask each other rarely."""
        if devices.worker_count(self._state.strategy) == 1:
            return self._asked()
        return logging and devices.agree(self._state.strategy, self._asked())

    def _report(self, done, batches):
        scalars = self._pending.read()
        scalars["waiting_percent"] = batches.percent()
        scalars["peak_memory_mb"] = devices.peak_memory() / 1e6
        if self._writer is not None:
            self._writer.scalars(done, scalars)
        self._observer.on_scalars(done, scalars)

    def _look(self, batch, done):
        """Validates, keeps the network if it is the best so far, and draws a pair."""
        if self._validate is None:
            return
        figures = self._validate()
        self._writer.scalars(done, figures, "validation/")
        self._observer.on_validation(done, figures)
        self._keeper.save_if_best(done, figures)
        pictures = self._step.look(devices.first_share(self._state.strategy, batch))
        self._writer.pictures(done, *pictures)


def _take(state, step, batch, index):
    rate = learning_rate(state.config.training, index)
    state.optimizer.learning_rate.assign(rate)
    full = is_full_step(state.config.distillation, index)
    scalars = step.full(batch) if full else step.reconstruction(batch)
    state.step.assign(index + 1)
    return {**scalars, "learning_rate": rate}


class _Waiting:
    """Iterates over batches and knows the share of the time that went into waiting for them."""

    def __init__(self, batches):
        self._iterator = iter(batches)
        self._waited = 0.0
        self._since = time.perf_counter()

    def __iter__(self):
        return self

    def __next__(self):
        started = time.perf_counter()
        batch = next(self._iterator)
        self._waited += time.perf_counter() - started
        return batch

    def percent(self):
        """Returns the share since the last call, in percent."""
        now = time.perf_counter()
        percent = 100.0 * self._waited / max(now - self._since, 1e-9)
        self._waited, self._since = 0.0, now
        return percent


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
            self._skipped += bool(bad) or bool(values.get("overflow"))
        self._steps.clear()
        return {**values, "skipped_steps": self._skipped}
