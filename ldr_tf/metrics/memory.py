"""The most memory that a process, or its GPU, has held.

psutil knows no high-water mark on Linux, so the kernel is asked: VmHWM is that of this program
alone, while getrusage's ru_maxrss begins with what the parent held when it started this process.
"""

import resource
import sys

_RESET, _STATUS = "/proc/self/clear_refs", "/proc/self/status"


def peak_memory():
    """Returns the most bytes held so far: of the first GPU, without one of the process."""
    import tensorflow as tf

    if tf.config.list_physical_devices("GPU"):
        return tf.config.experimental.get_memory_info("GPU:0")["peak"]
    return peak_of_process()


def peak_of_process():
    """Returns the most bytes of main memory that the process has had resident so far."""
    try:
        with open(_STATUS, encoding="ascii") as file:
            lines = dict(line.split(":", 1) for line in file)
        return int(lines["VmHWM"].split()[0]) * 1024
    except (OSError, KeyError):  # no Linux
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


class PeakMemory:
    """A context manager; `megabytes` is then the most that the process had resident inside it.

    `so_far()` tells in between.

    Linux alone can start the count anew; elsewhere it is the most since the process began.
    """

    def __init__(self):
        self.megabytes = float("nan")

    def __enter__(self):
        try:
            with open(_RESET, "w", encoding="ascii") as file:
                file.write("5")
        except OSError:
            pass
        return self

    def __exit__(self, *_):
        self.megabytes = self.so_far()

    def so_far(self):
        """Returns the most MB that the process has had resident since the block began."""
        return peak_of_process() / 2**20
