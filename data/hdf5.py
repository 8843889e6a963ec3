"""HDF5 files on disks that may be full.

The HDF5 library cannot be closed, and ends the process, where the disk refuses its last bytes. So
small files are made in memory and written as bytes; for large ones there is a look at the space.
"""

import contextlib
import errno
import os
import shutil

import h5py

from ldr_tf.errors import InputError
from ldr_tf.files import atomic_path

_SLACK = 1 << 20


@contextlib.contextmanager
def small_file(path):
    """Yields an h5py.File in memory; writes it to `path`, whole or not at all, when left well.

    Raises:
      InputError: the disk refuses it.
    """
    with h5py.File(os.path.basename(path), "w", driver="core", backing_store=False) as file:
        yield file
        file.flush()
        image = file.id.get_file_image()
    try:
        with atomic_path(path) as temporary, open(temporary, "wb") as out:
            out.write(image)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error}).") from error


def check_space(path, needed):
    """Refuses, with InputError, a file of `needed` bytes for which its disk has no room."""
    free = shutil.disk_usage(os.path.dirname(os.path.abspath(path))).free
    if free < needed + _SLACK:
        raise InputError(
            f"{path}: cannot be written ({os.strerror(errno.ENOSPC)}: it needs "
            f"{needed / 1e6:.0f} MB, {free / 1e6:.0f} MB are free)."
        )
