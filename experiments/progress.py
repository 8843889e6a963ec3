"""How long work looks on the screen: a bar on a terminal, plain lines elsewhere."""

import sys
import time

from tqdm import tqdm

from ldr_tf.training.observer import Observer

_LINE_SECONDS = 15.0


class Progress:
    """Shows how far a work of known length is, its rate and the time left.

    A context manager; `advance` after each piece.
    """

    def __init__(self, total, unit, first=0):
        """Starts.

        Args:
          total: pieces in all.
          unit: what a piece is called, such as "pair".
          first: pieces done by an earlier call.
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
        """One more piece is done; `note` says what is worth knowing now."""
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
            text = f"{self._unit} {self._done}/{self._total}, {rate:.2f}/s, {left:.0f} s left"
            self.write(f"{text}, {note}" if note else text)

    def write(self, line):
        """Shows a line of its own."""
        if self._bar is not None:
            self._bar.write(line, file=sys.stderr)
        else:
            print(line, file=sys.stderr, flush=True)


class TrainingProgress(Observer):
    """Shows a training: steps, losses, validation figures."""

    def __init__(self):
        self._progress = None
        self._note = ""

    def on_start(self, first_step, last_step):
        self._progress = Progress(last_step, "step", first_step)

    def on_step(self, step):
        self._progress.advance(self._note)

    def on_scalars(self, step, scalars):
        self._note = f"loss {scalars['loss']:.4f}"

    def on_validation(self, step, figures):
        text = ", ".join(f"{name} {value:.4f}" for name, value in figures.items())
        self._progress.write(f"step {step}: validation {text}")

    def on_end(self):
        self._progress.__exit__()
