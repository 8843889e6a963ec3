"""The stages of a registration: what each took, and what it leaves in memory."""

import contextlib
import ctypes
import time


@contextlib.contextmanager
def stage(seconds, name):
    """Adds the seconds that the block takes to `seconds` as `name`, then gives memory back.

    The memory of scans worked on slab by slab by many threads would otherwise stay with them: the
    C library keeps what threads free for their next requests, some 1 GB after a large CT.
    """
    start = time.perf_counter()
    yield
    _give_back()
    seconds[name] = since(start)


def since(start):
    """Returns the seconds since a time.perf_counter()."""
    return round(time.perf_counter() - start, 3)


def _give_back():
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc alone has it
    if trim is not None:
        trim(0)
