"""Many pairs of ldr-register: the run through a list, and its table.

Scans are read in a process of its own, so that one that crashes a library costs its pair alone.
"""

import dataclasses
import os
import traceback
from typing import Optional

from tqdm import tqdm

from ldr_tf.commands import cli, results
from ldr_tf.commands.folder import held, is_same_place, listed
from ldr_tf.commands.pair import ReadPair, check_pair, is_finished, register_pair
from ldr_tf.errors import InputError
from ldr_tf.workers import Crash, Worker


@dataclasses.dataclass(frozen=True)
class Failure:
    """Why a pair came to nothing.

    Attributes:
      reason: a sentence.
      trace: the traceback where the reason is not its input; else None.
    """

    reason: str
    trace: Optional[str] = None

    @classmethod
    def of(cls, error):
        """Returns the Failure of an exception that is being handled."""
        if isinstance(error, InputError):
            return cls(str(error))
        words = " ".join(str(error).split())
        return cls(f"{type(error).__name__}{': ' if words else ''}{words}", traceback.format_exc())


def start_reader():
    """Returns the Worker that reads pairs; it starts while others work."""
    return Worker(read)


def read(paths, files):
    """Returns the ReadPair of a PairFiles, or its Failure."""
    try:
        return ReadPair.read(paths, files)
    except Exception as error:  # the other pairs are not to suffer
        return Failure.of(error)


def run_pairs(pairs, setup, output, reader, screen):
    """Registers all pairs that are not finished yet; shows a line each.

    A pair that fails, for whatever reason, is named and the rest goes on. Afterwards `results.csv`
    in the output folder has a line for each pair.

    Args:
      pairs: list of PairFiles.
      setup: a Setup.
      output: the output folder, which must be held.
      reader: a Worker, see `start_reader`.
      screen: a Screen.

    Returns:
      The exit code: 1 where a pair failed for a reason of ours, else 2 where one was bad, else what
      `screen` says of warnings.
    """
    failed, skipped = {}, 0
    bar = tqdm(pairs, unit="pair", disable=not screen.draws)
    for number, paths in enumerate(bar, 1):
        head = f"{number}/{len(pairs)} {os.path.relpath(paths.place, output)}: "
        try:
            _spare_foreign(paths, pairs)
            if is_finished(paths, setup):
                skipped += 1
                continue
            screen.say(head + _registered(paths, setup, reader, screen, head))
        except Exception as error:  # the other pairs are not to suffer
            failure = error.failure if isinstance(error, _Failed) else Failure.of(error)
            failed[paths.place] = failure
            screen.warn(f"{head}failed: {failure.reason}")
            if failure.trace and screen.verbose:
                screen.warn(failure.trace.rstrip())
    rows = results.rows(pairs, {where: failure.reason for where, failure in failed.items()}, output)
    results.write(rows, output)
    done = len(pairs) - skipped - len(failed)
    screen.say(f"{done} registered, {skipped} finished before, {len(failed)} failed")
    if any(failure.trace for failure in failed.values()):
        return cli.FAILURE
    return cli.BAD_INPUT if failed else screen.code(any(row["warnings"] for row in rows))


class _Failed(Exception):
    def __init__(self, failure):
        super().__init__(failure.reason)
        self.failure = failure


def _registered(paths, setup, reader, screen, head):
    """Registers a pair; returns the line that tells how it went."""
    check_pair(paths)
    with held(paths.output, paths.names):
        pair = reader(paths, setup.files)
        if isinstance(pair, Crash):
            raise InputError(_crashed(paths, setup.files, reader, pair))
        if isinstance(pair, Failure):
            raise _Failed(pair)
        result, _ = register_pair(pair, setup, screen)
    screen.tell(result.notices, head)
    after = "-" if result.correlation_after is None else f"{result.correlation_after:.4f}"
    return (
        f"correlation {after}, folds {result.folds_percent:.4f} % "
        f"({result.folds_any_percent:.4f} % towards any corner), {sum(pair.seconds.values()):.1f} s"
    )


def _crashed(paths, files, reader, crash):
    """Returns the sentence that names the scan that ended the reader: each is tried by itself."""
    for path in (paths.fixed, paths.moving):
        alone = dataclasses.replace(
            paths, fixed=path, moving=path, **dict.fromkeys(_COMPANIONS, None)
        )
        if isinstance(reader(alone, files), Crash):
            return f"{path}: reading it ended the reader ({crash.reason}); the file is damaged."
    spoken = ", ".join(path for path in paths.inputs.values() if path)
    return f"{spoken}: reading these ended the reader ({crash.reason}); one of them is damaged."


_COMPANIONS = ("fixed_labels", "moving_labels", "fixed_points", "moving_points")


def _spare_foreign(paths, pairs):
    """Refuses a pair that would write over what another pair reads and nobody here has written."""
    names = set(paths.names.all())
    for other in pairs:
        for path in other.inputs.values():
            folder, name = os.path.split(path or "")
            if (
                path
                and name in names
                and is_same_place(path, os.path.join(paths.output, name))
                and os.path.lexists(path)
                and name not in listed(folder, paths.names)
            ):
                raise InputError(
                    f"{path}: is an input of the list and lies where {name} will be written; "
                    "another output folder is needed."
                )
