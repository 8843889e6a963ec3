"""Progress of long-running work: a bar on a terminal, plain lines elsewhere."""

import sys
import time

from tqdm import tqdm

from ldr_tf.commands.quiet import quiet_xla
from ldr_tf.training.observer import Observer

_LINE_SECONDS = 15.0
_LOSSES = ("reconstruction", "full_loss")
_WORTH_SAYING = 5.0


class Progress:
    """Shows the progress of work of known length, its rate and the time left.

    A context manager; call `advance` after each piece.
    """

    def __init__(self, total, unit, first=0):
        """Starts.

        Args:
          total: number of pieces, including `first`.
          unit: what a piece is called, such as "pair".
          first: pieces that an earlier call has done.
        """
        self._total, self._unit, self._first = total, unit, first
        self._done = first
        self._started = self._shown = time.monotonic()
        self._bar = None
        if sys.stderr.isatty():
            self._bar = tqdm(total=total, initial=first, unit=unit, dynamic_ncols=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._bar is not None:
            self._bar.close()

    def advance(self, note=""):
        """Counts one more piece as done, and shows `note` beside the progress."""
        self._done += 1
        if self._bar is not None:
            self._bar.set_postfix_str(note, refresh=False)
            self._bar.update()
            return
        now = time.monotonic()
        if now - self._shown >= _LINE_SECONDS or self._done == self._total:
            self._shown = now
            rate = (self._done - self._first) / max(now - self._started, 1e-9)
            left = (self._total - self._done) / rate
            speed = f"{rate:.2f}/s" if rate >= 1 else f"{1 / rate:.2f} s per {self._unit}"
            text = f"{self._unit} {self._done}/{self._total}, {speed}, {left:.0f} s left"
            self.write(f"{text}, {note}" if note else text)

    def write(self, line):
        """Shows a line of its own."""
        if self._bar is not None:
            self._bar.write(line, file=sys.stderr)
        else:
            print(line, file=sys.stderr, flush=True)


_MEASURED = (
    "as measured, no teacher lifts a student above what the images alone teach it under the same "
    "schedule, with enough regularisation (docs/distillation.md)"
)


class TrainingProgress(Observer):
    """Shows a training: what is trained, steps, losses, validation figures, how it ended."""

    def __init__(self):
        self._progress = None
        self._note = ""

    def on_run(self, config, parameters, first_step):
        quiet_xla()  # not earlier: several workers must be joined before TensorFlow does anything
        start = f"resuming at step {first_step}" if first_step else "from the start"
        network = config.network.base_network
        print(f"{config.stage}: {network}, {parameters:,} parameters, {start}", flush=True)
        kind = config.distillation.kind
        if kind != "none":
            print(f"{config.stage}: learns from its teacher by {kind}; {_MEASURED}", flush=True)

    def on_start(self, first_step, last_step):
        self._progress = Progress(last_step, "step", first_step)

    def on_step(self, step):
        self._progress.advance(self._note)

    def on_scalars(self, step, scalars):
        losses = [f"{name} {scalars[name]:.4f}" for name in _LOSSES if name in scalars]
        waiting = scalars.get("waiting_percent", 0.0)
        if waiting >= _WORTH_SAYING:
            losses.append(f"{waiting:.0f} % waiting for data")
        self._note = ", ".join(losses)

    def on_validation(self, step, figures):
        text = ", ".join(f"{name} {value:.4f}" for name, value in figures.items())
        self._progress.write(f"step {step}: validation {text}")

    def on_end(self):
        self._progress.__exit__()

    def finished(self, folder, step, steps):
        """The training has left its loop after `step` of `steps`."""
        if step < steps:
            print(f"stopped at step {step}, saved; the same command resumes.", flush=True)
        else:
            print(f"trained: {folder}", flush=True)

    def failed(self, error):
        """The training cannot go on."""
        print(f"train: {error}", file=sys.stderr, flush=True)
