"""HDF5 files as input from anywhere: looked at before they are read, and never left.

An HDF5 file can name other files of the machine: by external links, by raw (external) storage and
by virtual data sets. None of them is followed unless the caller says `allow_external`; soft links
inside the file are.
"""

import contextlib
import functools
import math
import mmap
import os

import h5py
import numpy as np

from ldr_tf.errors import InputError
from ldr_tf.files import open_regular

_MOST_LINKS = 16
_LARGEST_CHUNK = 1 << 26
_HEAP = b"GCOL\x01\0\0\0"
_HEADER = 16
"""Bytes before a global heap's objects, and before each object."""

_DAMAGE = (
    AttributeError,
    KeyError,
    MemoryError,
    OSError,
    OverflowError,
    RuntimeError,
    SystemError,
    TypeError,
    ValueError,
)
"""What h5py raises where a file is damaged."""


@contextlib.contextmanager
def damage_named(name):
    """Turns whatever h5py raises inside into an InputError that begins with `name`."""
    try:
        yield
    except InputError:
        raise
    except _DAMAGE as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise InputError(f"{name} cannot be read ({reason}).") from error


def open_file(path):
    """Opens an HDF5 file for reading; InputError where it is missing or none."""
    try:
        with open_regular(path):
            pass
        return h5py.File(path, "r")
    except InputError:
        raise
    except _DAMAGE as error:
        raise InputError(f"{path}: cannot be read as HDF5 ({error}).") from error


def find(group, path, name, allow_external=False):
    """Returns the group or data set at `path` in a group, None where there is none.

    Args:
      group: h5py.Group or File.
      path: with "/" between names.
      name: what messages call it.
      allow_external: whether links to other files are followed.

    Raises:
      InputError: a link leads out of the file, to nothing or in a circle; the file is damaged.
    """
    with damage_named(name):
        return _walk(group, path, name, allow_external, [])


def _walk(here, path, name, allow_external, followed):
    for part in path.split("/"):
        if part in ("", "."):
            continue
        if not isinstance(here, h5py.Group):
            return None
        link = here.get(part, getlink=True)
        if link is None:
            return None
        if isinstance(link, h5py.SoftLink):
            followed.append(link.path)
            if len(followed) > _MOST_LINKS:
                raise InputError(f"{name} is a link that leads in a circle.")
            start = here.file["/"] if link.path.startswith("/") else here
            here = _walk(start, link.path, name, allow_external, followed)
            if here is None:
                raise InputError(f"{name} is a link to {link.path!r}, where nothing is.")
        else:
            if isinstance(link, h5py.ExternalLink) and not allow_external:
                raise InputError(
                    f"{name} is a link to another file, {link.filename!r}; links out of a file "
                    "are not followed here."
                )
            here = here[part]
    return here


def dataset(group, path, name, allow_external=False):
    """Returns the data set of numbers at `path` in a group, its values not read yet.

    Raises:
      InputError: as `find`; there is none; it holds no numbers; its values lie in other files;
        its chunks are far larger than itself.
    """
    found = find(group, path, name, allow_external)
    with damage_named(name):
        if not isinstance(found, h5py.Dataset):
            raise InputError(f"{name} must be a data set, not {_kind(found)}.")
        if found.dtype.kind not in "biuf":
            raise InputError(f"{name} must hold numbers, not {found.dtype}.")
        if (found.is_virtual or found.external) and not allow_external:
            raise InputError(
                f"{name} keeps its values in other files; they are not opened from here."
            )
        if found.chunks and math.prod(found.chunks) * found.dtype.itemsize > max(
            _LARGEST_CHUNK, found.nbytes
        ):
            raise InputError(f"{name} has chunks of {found.chunks}, far larger than itself.")
    return found


def read(found, name):
    """Returns the values of a data set from `dataset`, in the machine's order of bytes.

    The caller has looked at the shape: this much memory is taken.
    """
    with damage_named(name):
        values = np.asarray(found[()])
        return values.astype(values.dtype.newbyteorder("="), copy=False)


def attribute(found, key, name, default=None):
    """Returns an attribute of a group or data set, `default` where there is none.

    Raises:
      InputError: the file is damaged where it lies.
    """
    with damage_named(name):
        if key in found.attrs and found.attrs.get_id(key).dtype.kind == "O":
            state = os.stat(found.file.filename)
            if not _heaps_are_sound(found.file.filename, state.st_size, state.st_mtime_ns):
                raise InputError(f"{name}: is damaged where its texts lie.")
        return found.attrs.get(key, default)


@functools.lru_cache(maxsize=64)
def _heaps_are_sound(path, *_):
    """Whether the objects of all global heaps of a file, where texts lie, follow one another.

    HDF5 goes from object to object by their sizes, and for ever round and round where one is 0.
    Source: "HDF5 File Format Specification", III.E.
    """
    if not os.path.getsize(path):
        return True
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        start = content.find(_HEAP)
        while start >= 0:
            end = start + int.from_bytes(content[start + 8 : start + 16], "little")
            place = start + _HEADER
            while place + _HEADER <= min(end, len(content)):
                index = int.from_bytes(content[place : place + 2], "little")
                size = int.from_bytes(content[place + 8 : place + 16], "little")
                # Free space, of index 0, counts its own header; objects fill whole words.
                step = size if index == 0 else _HEADER + -(-size // 8) * 8
                if step < _HEADER or place + step > end:
                    return False
                place += step
            start = content.find(_HEAP, start + 1)
    return True


def _kind(found):
    return "a group" if isinstance(found, h5py.Group) else "nothing" if found is None else "a type"
