"""Bytes of files, packed or not, whatever their names say: gzip is known by its first bytes."""

import os
import stat

import numpy as np
from isal import igzip_lib, isal_zlib

from ldr_tf.errors import InputError

_BLOCK = 1 << 20
_GZIP = b"\x1f\x8b"
_WBITS_ZLIB, _WBITS_GZIP = 15, 31
RATIO = 1032
"""No packed byte of deflate gives more than this many bytes."""


def check_exists(path):
    """Refuses, with InputError, what is missing, empty, or neither a file nor a folder."""
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file or folder.") from error
    except (OSError, ValueError) as error:  # ValueError: a NUL byte in the name
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path}: cannot be read ({reason}).") from error
    if stat.S_ISDIR(mode):
        return
    if not stat.S_ISREG(mode):
        raise InputError(f"{path}: is neither a file nor a folder but a device or a pipe.")
    if os.path.getsize(path) == 0:
        raise InputError(f"{path}: the file is empty.")


def check_memory(path, needed):
    """Refuses, with InputError, voxels of `needed` bytes that this machine cannot hold."""
    have = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if 2 * needed > have:
        raise InputError(
            f"{path}: its voxels take {needed / 2**30:.3g} GB by the header, too much for the "
            f"{have / 2**30:.3g} GB of memory of this machine."
        )


def check_length(path, offset, length):
    """Refuses, with InputError, a file that cannot hold `length` bytes after `offset`."""
    check_memory(path, length)
    size = os.path.getsize(path)
    if offset + length > (size * RATIO if is_packed(path) else size):
        raise InputError(damaged(path))


def damaged(path):
    """Returns the sentence about a file whose bytes are not all there or not as written."""
    return f"{path}: the file is truncated or damaged."


def is_packed(path):
    """Whether a file is gzip."""
    return first_bytes(path, 2, unpack=False) == _GZIP


def first_bytes(path, count, unpack=True):
    """Returns up to `count` bytes from a file's start, unpacked where it is gzip.

    Raises:
      InputError: it cannot be read or unpacked so far.
    """
    try:
        with open(path, "rb") as file:
            start = file.read(count)
            if not unpack or start[:2] != _GZIP:
                return start
            rest, found = start + file.read(count + _BLOCK - len(start)), b""
            while len(found) < count and rest[:2] == _GZIP:
                member = isal_zlib.decompressobj(_WBITS_GZIP)
                found += member.decompress(rest, count - len(found))
                rest = member.unused_data
            return found
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}).") from error
    except igzip_lib.IsalError as error:
        raise InputError(damaged(path)) from error


def read_bytes(path, offset, length, notices=None):
    """Returns bytes of a file, unpacked where it is gzip, whose check sum is then compared.

    Args:
      path: the file.
      offset, length: which bytes; see `check_length`, which comes before.
      notices: says of a gzip file that something else follows its end.

    Returns:
      uint8 [length].

    Raises:
      InputError: the file is shorter, damaged or cannot be read.
    """
    try:
        if not is_packed(path):
            values = np.fromfile(path, np.uint8, length, offset=offset)
        else:
            values, junk = _unpack(path, offset, length)
            if junk and notices is not None:
                notices.notice(
                    "file-junk-tail",
                    f"{path}: after the end of the packed data come bytes that do not belong to "
                    "it; they were passed over, the check sum before them is right.",
                )
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}).") from error
    except igzip_lib.IsalError as error:
        raise InputError(damaged(path)) from error
    if values.size < length:
        raise InputError(damaged(path))
    return values


def check_zlib(path, offset, length):
    """Refuses, with InputError, zlib or gzip data that do not give `length` bytes."""
    found = 0
    try:
        with open(path, "rb") as file:
            file.seek(offset)
            packed_as_gzip = file.read(2) == _GZIP
            stream = isal_zlib.decompressobj(_WBITS_GZIP if packed_as_gzip else _WBITS_ZLIB)
            file.seek(offset)
            while not stream.eof:
                block = file.read(_BLOCK)
                if not block:
                    break
                found += len(stream.decompress(block))
    except igzip_lib.IsalError as error:
        raise InputError(damaged(path)) from error
    if not stream.eof or found != length:
        raise InputError(damaged(path))


def _unpack(path, offset, length):
    """Returns the bytes asked for, as many as there are, and whether junk follows the gzip data."""
    values, position = np.empty(length, np.uint8), 0
    with open(path, "rb") as file:
        rest, started = b"", False
        while True:
            rest = rest.lstrip(b"\0") if started else rest
            rest = rest or file.read(_BLOCK)
            if started and not rest.strip(b"\0"):
                if not rest:
                    return values[: max(0, position - offset)], False
                continue
            if len(rest) < 2:
                rest += file.read(_BLOCK)
            if started and rest[:2] != _GZIP:
                return values[: max(0, position - offset)], True
            member, started = isal_zlib.decompressobj(_WBITS_GZIP), True
            while not member.eof:
                if not rest:
                    raise igzip_lib.IsalError("the stream ends too early")
                piece, rest = member.decompress(rest), b""
                start, stop = max(offset, position), min(position + len(piece), offset + length)
                if stop > start:
                    values[start - offset : stop - offset] = np.frombuffer(
                        piece, np.uint8, stop - start, start - position
                    )
                position += len(piece)
                rest = member.unused_data if member.eof else file.read(_BLOCK)
