"""How much memory a piece of work takes."""

import resource

import numpy as np

_RESET, _STATUS = "/proc/self/clear_refs", "/proc/self/status"


class PeakMemory:
    """A context manager; `megabytes` is then the most that the process had resident inside it.

    Linux alone can start the count anew; elsewhere it is the most since the process began.
    """

    def __init__(self):
        self.megabytes = np.nan

    def __enter__(self):
        try:
            with open(_RESET, "w", encoding="ascii") as file:
                file.write("5")
        except OSError:
            pass
        return self

    def __exit__(self, *_):
        try:
            with open(_STATUS, encoding="ascii") as file:
                (line,) = [line for line in file if line.startswith("VmHWM")]
            self.megabytes = int(line.split()[1]) / 1024
        except (OSError, ValueError):
            self.megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
