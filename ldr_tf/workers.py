"""Processes that each do one job at a time, so that a job that ends its process costs itself alone.

A library in C may crash on a damaged file, or the system may kill what takes too much memory. The
process that did the job is then replaced, and the others never notice.
"""

import contextlib
import dataclasses
import multiprocessing
import os
import signal
import sys
from multiprocessing import connection

_PATIENCE, _REMINDER = 5.0, 0.25  # seconds

FAILURES = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    BufferError,
    EOFError,
    ImportError,
    LookupError,
    MemoryError,
    NameError,
    OSError,
    RuntimeError,
    SystemError,
    TypeError,
    ValueError,
)
"""What a job may raise, whatever library it comes from."""


@dataclasses.dataclass(frozen=True)
class Crash:
    """The result of a job whose process ended.

    Attributes:
      reason: what ended it, for people.
    """

    reason: str

    @classmethod
    def of(cls, exit_code):
        """Returns the Crash of a process with that exit code."""
        if exit_code is not None and exit_code < 0:
            with contextlib.suppress(ValueError):
                return cls(signal.Signals(-exit_code).name)
        return cls(f"exit code {exit_code}")


def results(function, jobs, workers):
    """Yields (index, result) of each job, as they finish; a `Crash` where its process ended.

    Args:
      function: of a module; what it raises is raised here.
      jobs: list of tuples, its arguments.
      workers: processes at most.
    """
    context = multiprocessing.get_context("spawn")
    waiting = list(range(len(jobs)))[::-1]
    busy = {}  # connection -> (process, index of the job)
    idle = []  # (process, connection)
    try:
        while waiting or busy:
            while waiting and len(busy) < workers:
                process, end = idle.pop() if idle else _start(context, function)
                index = waiting.pop()
                with contextlib.suppress(OSError):  # it has ended: that is seen below
                    end.send(jobs[index])
                busy[end] = process, index
            for end in connection.wait(list(busy)):
                process, index = busy.pop(end)
                try:
                    error, result = end.recv()
                except (EOFError, OSError):
                    process.join(_PATIENCE)
                    end.close()
                    yield index, Crash.of(process.exitcode)
                    continue
                idle.append((process, end))
                if error is not None:
                    raise error
                yield index, result
    finally:
        for process, end in [*idle, *((process, end) for end, (process, _) in busy.items())]:
            end.close()
            _end(process)


class Worker:
    """One process that does one job after the other, replaced where a job ends it.

    A context manager: the process ends with the block.
    """

    def __init__(self, function):
        """Starts the process, and does not wait until it has; `function` as of `results`."""
        self._function = function
        self._context = multiprocessing.get_context("spawn")
        self._process, self._end = _start(self._context, function)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._stop()

    def __call__(self, *arguments):
        """Returns what the function returns, a `Crash` where the process ended; raises as it."""
        if self._process is None:
            self._process, self._end = _start(self._context, self._function)
        try:
            self._end.send(arguments)
            error, result = self._end.recv()
        except (EOFError, OSError):
            self._process.join(_PATIENCE)
            crash = Crash.of(self._process.exitcode)
            self._stop()
            return crash
        if error is not None:
            raise error
        return result

    def _stop(self):
        if self._process is not None:
            self._end.close()
            _end(self._process)
        self._process = None


def _start(context, function):
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs, function), daemon=True)
    process.start()
    theirs.close()
    return process, ours


def _end(process):
    """Asks a process to end, and kills one that does not, as within a library in C."""
    for _ in range(round(_PATIENCE / _REMINDER)):
        # More than once: a signal that comes just before a process begins to wait does not wake it.
        process.terminate()
        process.join(_REMINDER)
        if not process.is_alive():
            break
    process.kill()
    process.join()


def _leave(*_):
    """Ends this process by an exception: what the job was writing is removed on the way out."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a reminder would interrupt the removing
    sys.exit()


def _work(end, function):
    """Does the jobs that come; ends with its parent."""
    signal.signal(signal.SIGTERM, _leave)
    # Ctrl-C is the parent's to answer, and a crash is told by it in a sentence of its own.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    silence = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(silence, stream)
    with contextlib.suppress(EOFError, OSError):
        while True:
            arguments = end.recv()
            try:
                answer = None, function(*arguments)
            except FAILURES as error:
                answer = error, None
            end.send(answer)
