"""Several commands in a row, as one command that goes on where it stopped."""

import os
import shlex
import sys

from ldr_tf.commands import register


def run_stages(name, plan):
    """Runs commands one after the other, each shown before it runs.

    Args:
      name: of the command that runs them, for messages.
      plan: list of (title, file that shows the stage is done or None, module, flags).

    Returns:
      The exit code of the stage that failed, else 0.
    """
    for number, (title, done, module, arguments) in enumerate(plan, 1):
        command = "ldr-register" if module is register else f"python -m {module.__name__}"
        print(f"\n== {number} of {len(plan)}: {title}", flush=True)
        print(f"$ {command} {shlex.join(arguments)}", flush=True)
        if done is not None and os.path.exists(done):
            print(f"there already: {done}")
            continue
        code = module.main([command, *arguments])
        if code:
            print(f"{name}: stopped at stage {number}; the same command goes on.", file=sys.stderr)
            return code
    return 0
