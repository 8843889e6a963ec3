"""The flags --workers and --scheduler: who shares the work, if not this process alone."""

import contextlib
import sys
import time

from absl import flags

from ldr_tf.cluster import Cluster
from ldr_tf.errors import InputError

_SECONDS_BETWEEN_LOOKS = 1.0


def define_flags(flag_values, workers):
    """Defines the flags in a command's own.

    Args:
      flag_values: of the command.
      workers: help of --workers.
    """
    flags.DEFINE_integer("workers", None, workers, lower_bound=1, flag_values=flag_values)
    flags.DEFINE_string(
        "scheduler",
        None,
        "address of a running scheduler of dask, such as tcp://HOST:8786, whose workers share the "
        "work",
        flag_values=flag_values,
    )


def wanted(flag_values):
    """Whether the work is to be shared; InputError where both flags say how."""
    workers, scheduler = flag_values["workers"].value, flag_values["scheduler"].value
    if workers is not None and scheduler is not None:
        raise InputError("--workers starts processes here, --scheduler needs none: one of the two.")
    return workers is not None or scheduler is not None


@contextlib.contextmanager
def opened(flag_values):
    """Yields the Cluster that the flags ask for, once it has a worker; closes it."""
    with Cluster(flag_values["workers"].value, flag_values["scheduler"].value) as cluster:
        if not cluster.workers():
            print(f"{cluster.address}: has no worker yet; waiting for one.", file=sys.stderr)
        while not cluster.workers():
            time.sleep(_SECONDS_BETWEEN_LOOKS)
        yield cluster
