"""Many pairs of ldr-register: the run through a list, and its table.

Alone, a command has scans read in a process of its own, so that one that crashes a library costs
its pair alone; on a cluster the pair's worker is what it costs.
"""

import contextlib
import dataclasses
import functools
import os
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from typing import Optional

from tqdm import tqdm

from ldr_tf.cluster import hold_threads
from ldr_tf.commands import cli, results
from ldr_tf.commands.folder import held, is_same_place, listed
from ldr_tf.commands.pair import (
    ReadPair,
    RegisteredPair,
    check_pair,
    is_finished,
    register_pair,
)
from ldr_tf.commands.quiet import quiet_native
from ldr_tf.errors import InputError
from ldr_tf.registration import memory
from ldr_tf.registration.pair import SIDES
from ldr_tf.workers import Crash, Worker

REGISTERED, FINISHED, FAILED = "registered", "finished before", "failed"


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of a pair.

    Attributes:
      status: REGISTERED, FINISHED (by an earlier call) or FAILED.
      text: how it went, or why it failed: a sentence.
      notices: what must be said of it, each a `ldr_tf.notices.Notice`.
      trace: the traceback of a failure where the reason is not its input; else None.
    """

    status: str
    text: str = ""
    notices: tuple = ()
    trace: Optional[str] = None

    @classmethod
    def of(cls, error):
        """Returns the Outcome of an exception that is being handled."""
        if isinstance(error, _Failed):
            return error.outcome
        if isinstance(error, InputError):
            return cls(FAILED, str(error))
        words = " ".join(str(error).split())
        text = f"{type(error).__name__}{': ' if words else ''}{words}"
        return cls(FAILED, text, trace=traceback.format_exc())


def start_reader():
    """Returns the Worker that reads pairs; it starts while others work."""
    return Worker(read)


def read(paths, files):
    """Returns the ReadPair of a PairFiles, or the Outcome of its failure."""
    try:
        return ReadPair.read(paths, files)
    except Exception as error:  # the other pairs are not to suffer
        return Outcome.of(error)


def run_pairs(pairs, outcomes, output, screen):
    """Shows a line for each pair and writes `results.csv` into the output folder.

    Args:
      pairs: list of PairFiles.
      outcomes: yields (index, Outcome) of all of them, in any order: `one_by_one`, `on_cluster`.
      output: the output folder, which must be held.
      screen: a Screen.

    Returns:
      The exit code: 1 where a pair failed for a reason of ours, else 2 where one was bad, else what
      `screen` says of warnings.
    """
    start, found = time.perf_counter(), {}
    with tqdm(total=len(pairs), unit="pair", disable=not screen.draws) as bar:
        for index, outcome in outcomes:
            found[index] = outcome
            head = f"{len(found)}/{len(pairs)} {os.path.relpath(pairs[index].place, output)}: "
            if outcome.status == REGISTERED:
                screen.tell(outcome.notices, head)
                screen.say(head + outcome.text)
            elif outcome.status == FAILED:
                screen.warn(f"{head}failed: {outcome.text}")
                if outcome.trace and screen.verbose:
                    screen.warn(outcome.trace.rstrip())
            bar.update()
    failed = {index: o for index, o in found.items() if o.status == FAILED}
    rows = results.rows(pairs, {pairs[i].place: o.text for i, o in failed.items()}, output)
    results.write(rows, output)
    counts = {
        status: sum(outcome.status == status for outcome in found.values())
        for status in (REGISTERED, FINISHED, FAILED)
    }
    rate = counts[REGISTERED] / (time.perf_counter() - start)
    spoken = ", ".join(f"{count} {status}" for status, count in counts.items())
    screen.say(f"{spoken}; {rate:.2f} pairs a second")
    if any(outcome.trace for outcome in failed.values()):
        return cli.FAILURE
    return cli.BAD_INPUT if failed else screen.code(any(row["warnings"] for row in rows))


def one_by_one(pairs, setup, reader, native):
    """Registers in this process all pairs that are not finished yet.

    A pair that fails, for whatever reason, is named and the rest goes on. The results of a pair are
    written while the next one is registered, unless that reads them or memory is short.

    Args:
      pairs: list of PairFiles.
      setup: a Setup.
      reader: a Worker, see `start_reader`.
      native: see `RegisteredPair.write`.

    Yields:
      (index, Outcome).
    """
    by_reader = functools.partial(_by_reader, reader)
    with ThreadPoolExecutor(1) as executor:
        writing = []  # the index of a pair, and a future of its Outcome
        for index, paths in enumerate(pairs):
            if _awaited(paths, pairs):
                yield from _written(writing)
            refusal = _foreign(paths, pairs)
            if refusal is None:
                done = _registered(paths, setup, by_reader)
            else:
                done = Outcome(FAILED, refusal)
            with contextlib.ExitStack() as interrupted:
                if isinstance(done, _Unwritten):
                    interrupted.callback(done.holding.close)
                yield from _written(writing)  # and the screen is free: writing covers it
                interrupted.pop_all()
            if isinstance(done, Outcome):
                yield index, done
            else:
                writing.append((index, executor.submit(done.write, native)))
                if not memory.leaves_room(done.registered.result.estimated_mb):
                    yield from _written(writing)
        yield from _written(writing)


def _written(writing):
    """Yields (index, Outcome) of what is being written, once it is."""
    while writing:
        index, outcome = writing.pop()
        yield index, outcome.result()


def on_cluster(pairs, source, cluster):
    """Registers on a cluster's workers all pairs that are not finished yet.

    Args:
      pairs: list of PairFiles.
      source: a SetupSource.
      cluster: a `ldr_tf.cluster.Cluster`.

    Yields:
      (index, Outcome).
    """
    places = []
    for index, paths in enumerate(pairs):
        refusal = _foreign(paths, pairs) or _awaited(paths, pairs)
        if refusal is None:
            places.append(index)
        else:
            yield index, Outcome(FAILED, refusal)
    jobs = [(pairs[index],) for index in places]
    load = functools.partial(_load_on_worker, source)
    for place, outcome in cluster.results(_attempt_on_worker, jobs, load):
        if isinstance(outcome, Crash):
            outcome = Outcome(FAILED, f"ended its process: {outcome.reason}.")
        yield places[place], outcome


def _load_on_worker(source):
    hold_threads()
    return source.load()


def _attempt_on_worker(setup, paths):
    return _attempt(paths, setup, _quietly, quiet_native)


def _attempt(paths, setup, reading, native):
    """Returns the Outcome of a pair; `reading` gives its ReadPair or raises."""
    done = _registered(paths, setup, reading)
    return done if isinstance(done, Outcome) else done.write(native)


def _registered(paths, setup, reading):
    """Returns the `_Unwritten` of a pair, or its Outcome where there is nothing to write."""
    try:
        if is_finished(paths, setup):
            return Outcome(FINISHED)
        check_pair(paths)
        with contextlib.ExitStack() as holding:
            holding.enter_context(held(paths.output, paths.names))
            registered = register_pair(reading(paths, setup.files), setup)
            return _Unwritten(registered, holding.pop_all())
    except Exception as error:  # the other pairs are not to suffer
        return Outcome.of(error)


@dataclasses.dataclass(frozen=True)
class _Unwritten:
    """A pair that is registered, its folder still held.

    Attributes:
      registered: the RegisteredPair.
      holding: the context that holds the folder.
    """

    registered: RegisteredPair
    holding: contextlib.ExitStack

    def write(self, native):
        """Writes the pair's folder and lets it go; returns the Outcome."""
        try:
            with self.holding:
                self.registered.write(native)
        except Exception as error:  # the other pairs are not to suffer
            return Outcome.of(error)
        result, seconds = self.registered.result, self.registered.pair.seconds
        after = "-" if result.correlation_after is None else f"{result.correlation_after:.4f}"
        text = (
            f"correlation {after}, folds {result.folds_percent:.4f} % "
            f"({result.folds_any_percent:.4f} % towards any corner), {sum(seconds.values()):.1f} s"
        )
        return Outcome(REGISTERED, text, tuple(result.notices))


class _Failed(Exception):
    def __init__(self, outcome):
        super().__init__(outcome.text)
        self.outcome = outcome


def _quietly(paths, files):
    with quiet_native():
        return ReadPair.read(paths, files)


def _by_reader(reader, paths, files):
    pair = reader(paths, files)
    if isinstance(pair, Crash):
        raise InputError(_crashed(paths, files, reader, pair))
    if isinstance(pair, Outcome):
        raise _Failed(pair)
    return pair


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


_COMPANIONS = tuple(f"{side}_{what}" for side in SIDES for what in ("labels", "points", "mask"))


def _foreign(paths, pairs):
    """Returns a sentence where a pair would write over what nobody here has written; or None."""
    for path, name in _results_read(paths, pairs):
        if os.path.lexists(path) and name not in listed(os.path.dirname(path), paths.names):
            return (
                f"{path}: is an input of the list and lies where {name} will be written; "
                "another output folder is needed."
            )
    return None


def _awaited(paths, pairs):
    """Returns a sentence where a pair reads what another one writes, in no order; or None."""
    for other in pairs:
        for path, _ in _results_read(other, [paths]):
            return (
                f"{path}: is a result of another pair of the list; with several workers it must "
                "be there beforehand, of a list of its own."
            )
    return None


def _results_read(paths, pairs):
    """Yields (path, name) of what `pairs` read where a pair writes its file of that name."""
    names = set(paths.names.all())
    for other in pairs:
        for path in other.inputs.values():
            name = os.path.basename(path or "")
            if name in names and is_same_place(path, os.path.join(paths.output, name)):
                yield path, name
