"""The training loop: owns time and disk, and reports to its observer."""

import contextlib
import math
import time

import tensorflow as tf

from ldr_tf.metrics.memory import peak_memory
from ldr_tf.training import devices
from ldr_tf.training.keeper import Keeper, SavingError
from ldr_tf.training.schedules import is_full_step, learning_rate
from ldr_tf.training.summaries import SummaryWriter


class TrainingError(RuntimeError):
    """A training cannot go on: a loss is not finite, a checkpoint not written, a worker lost."""


class TrainingLoop:
    """Takes the steps of a training; writes, validates and reports along the way.

    Writes checkpoints, TensorBoard events and metrics.jsonl into the run folder; of several workers
    only one does. Everything random depends on seed and step alone, so a training that was stopped
    resumes as if it never had been.
    """

    def __init__(self, state, step, folder, *, validate, observer, should_stop, describe, profile):
        """Binds the loop.

        Args:
          state: `TrainingState`, already restored if the training resumes.
          step: `TrainingStep` on that state.
          folder: the run folder.
          validate: callable that returns figures by name, or None.
          observer: an `Observer`.
          should_stop: callable asked after every step; True saves and stops. With several workers
            one True is enough; they compare answers whenever losses are logged.
          describe: callable that names the pairs of a step, for messages.
          profile: (first, last) step that TensorFlow's profiler records, counted from 1, or None.
        """
        self._state = state
        self._step = step
        self._folder = folder
        self._config = state.config.optimisation
        self._validate = validate
        self._observer = observer
        self._asked = should_stop
        # Read only when something is logged: reading after every step would make the device wait.
        self._pending = _Pending(self._config.on_nonfinite, describe)
        self._chief = devices.is_chief(state.strategy)
        self._profiler = _Profiler(folder, profile if self._chief else None)
        self._keeper = self._writer = None

    def run(self, batches):
        """Trains from the state's step to the config's last one.

        Args:
          batches: iterable of batches, starting at the state's step.

        Returns:
          True if the last step was taken, False if the training was stopped before.

        Raises:
          TrainingError: a loss or gradient norm is not finite and the config does not say to skip
            such steps (the message names the term, the step and the pairs); the run folder cannot
            be written; memory runs out; another worker is gone. The last checkpoint is intact.
        """
        with _explained(self._state.strategy):
            first, steps = int(self._state.step.numpy()), self._config.steps
            if self._chief:
                with _writing(self._folder):
                    self._keeper = Keeper(self._state, self._folder)
                    self._writer = SummaryWriter(self._folder)
            self._observer.on_start(first, steps)
            try:
                return self._steps(_Waiting(batches), first, steps)
            finally:
                self._profiler.stop()
                if self._writer is not None:
                    with _writing(self._folder):
                        self._writer.close()
                self._observer.on_end()

    def _steps(self, batches, first, steps):
        config = self._config
        for index, batch in zip(range(first, steps), batches):
            self._profiler.before(index + 1)
            self._pending.add(index, self._take(batch, index))
            done = index + 1
            self._profiler.after(done)
            last = done == steps
            logging = last or done % config.summarize_every == 0
            validating = last or done % config.validate_every == 0
            stop = not last and self._should_stop(logging)
            saving = last or stop or done % config.checkpoint_every == 0
            if saving or logging or validating:  # finds losses that are not finite before these do
                self._report(done, batches)
            self._observer.on_step(done)
            if self._chief:
                if validating and self._validate is not None:
                    self._look(batch, done)
                if saving:
                    self._keeper.save(done)
            if stop:
                return False
        return True

    def _take(self, batch, index):
        state = self._state
        rate = learning_rate(self._config, index)
        state.optimizer.learning_rate.assign(rate)
        full = is_full_step(state.config.distillation, index)
        scalars = self._step.full(batch) if full else self._step.reconstruction(batch)
        state.follow(index + 1)
        state.step.assign(index + 1)
        return {**scalars, "learning_rate": rate}

    def _should_stop(self, logging):
        """Asks after every step; several workers, who must stop together, only when logging."""
        if devices.worker_count(self._state.strategy) == 1:
            return self._asked()
        return logging and devices.agree(self._state.strategy, self._asked())

    def _report(self, done, batches):
        scalars = self._pending.read()
        scalars["waiting_percent"] = batches.percent()
        scalars["peak_memory_mb"] = peak_memory() / 1e6
        if self._writer is not None:
            with _writing(self._folder):
                self._writer.scalars(done, scalars)
        self._observer.on_scalars(done, scalars)

    def _look(self, batch, done):
        """Validates, keeps the network if it is the best so far, and draws a pair."""
        figures = self._validate()
        pictures = self._step.look(devices.first_share(self._state.strategy, batch))
        self._observer.on_validation(done, figures)
        with _writing(self._folder):
            self._writer.scalars(done, figures, "validation/")
            self._keeper.save_if_best(done, figures)
            self._writer.pictures(done, *pictures)


@contextlib.contextmanager
def _writing(folder):
    """Turns an OSError into a SavingError: the run folder cannot be written."""
    try:
        yield
    except OSError as error:
        raise SavingError(
            f"{folder}: cannot be written ({error}); the last checkpoint is intact."
        ) from error


@contextlib.contextmanager
def _explained(strategy):
    """Turns the failures to be expected of a training into a TrainingError that explains them."""
    try:
        yield
    except SavingError as error:
        raise TrainingError(str(error)) from error
    except tf.errors.ResourceExhaustedError as error:
        raise TrainingError(
            f"out of memory ({_first_line(error)}); smaller batches, optimisation.accumulate or "
            "optimisation.recompute need less."
        ) from error
    except _LOST as error:
        if devices.worker_count(strategy) == 1:
            raise
        raise TrainingError(
            "another worker is gone or does not answer; restart all of them with the same command, "
            "which resumes from the last checkpoint."
        ) from error


_LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.InternalError,
)
"""What TensorFlow raises when a worker of the cluster is missing."""


def _first_line(error):
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


class _Waiting:
    """Iterates over batches and measures the share of time spent waiting for them."""

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


class _Profiler:
    """TensorFlow's profiler, running from one step to another; TensorBoard reads its files."""

    def __init__(self, folder, steps):
        self._folder, self._steps, self._running = folder, steps, False

    def before(self, number):
        if self._steps is not None and not self._running:
            first, last = self._steps
            if first <= number <= last:
                tf.profiler.experimental.start(self._folder)
                self._running = True

    def after(self, number):
        if self._running and number >= self._steps[1]:
            self.stop()

    def stop(self):
        if self._running:
            self._running = False
            tf.profiler.experimental.stop()


class _Pending:
    """The scalars of steps taken that have not been read yet."""

    def __init__(self, on_nonfinite, describe):
        self._stops = on_nonfinite == "stop"
        self._describe = describe
        self._steps = []
        self._skipped = 0

    def add(self, index, scalars):
        self._steps.append((index, scalars))

    def read(self):
        """Checks every value, returns the newest one of each scalar, and empties the list."""
        newest = {}
        for index, scalars in self._steps:
            values = {name: float(value) for name, value in scalars.items()}
            bad = [name for name, value in values.items() if not math.isfinite(value)]
            if bad and self._stops:
                raise TrainingError(
                    f"step {index + 1}: {bad[0]} is {values[bad[0]]} (pairs: "
                    f"{self._describe(index)}); training stops, the last checkpoint is intact."
                )
            self._skipped += bool(bad) or bool(values.get("overflow"))
            newest.update(values)
        self._steps.clear()
        return {**newest, "skipped_steps": self._skipped}
