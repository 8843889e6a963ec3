"""Several commands in a row, as one command that resumes where it stopped."""

import dataclasses
import os
import shlex
import sys
from typing import Optional

from ldr_tf.commands import register


@dataclasses.dataclass(frozen=True)
class Command:
    """A command of the project with its flags; work of a stage, like a `Training`."""

    module: object
    flags: tuple[str, ...]

    def _name(self):
        return "ldr-register" if self.module is register else f"python -m {self.module.__name__}"

    def shown(self):
        """Returns the command line."""
        return f"{self._name()} {shlex.join(self.flags)}"

    def run(self):
        """Runs it in this process; returns the exit code."""
        return self.module.main([self._name(), *self.flags])


@dataclasses.dataclass(frozen=True)
class Stage:
    """One stage of a plan.

    Attributes:
      title: what it does.
      work: a `Command` or a `Training`: something with `shown()` and `run()`.
      done: a file whose existence shows that the stage is done; None if the work itself can tell.
    """

    title: str
    work: object
    done: Optional[str] = None


def run_stages(name, plan):
    """Runs stages one after the other, each shown before it runs.

    Args:
      name: the command that runs them, for messages.
      plan: list of `Stage`.

    Returns:
      The exit code of the stage that failed, else 0.
    """
    for number, stage in enumerate(plan, 1):
        print(f"\n== {number} of {len(plan)}: {stage.title}", flush=True)
        print(f"$ {stage.work.shown()}", flush=True)
        if stage.done is not None and os.path.exists(stage.done):
            print(f"exists already: {stage.done}")
            continue
        code = stage.work.run()
        if code:
            print(f"{name}: stopped at stage {number}; the same command resumes.", file=sys.stderr)
            return code
    return 0
