"""Outputs that are whole or absent: written under a temporary name, then renamed."""

import contextlib
import errno
import fcntl
import os
import shutil
import stat
import tempfile
import time

from ldr_tf.errors import InputError
from ldr_tf.json_text import json_of, parse_json

_ATTEMPTS = 10
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS)
"""What file systems answer that know no locks; there the lock is left out."""
_LARGEST_TEXT = 1 << 25

_LONGEST_NAME, _LONGEST_PATH = 255, 4095
"""Bytes of a file's name, and of a path, that Linux takes."""

_LOCKED_BY = 60
"""Characters of a folder's name in the name of its lock, which stays a name that Linux takes."""

_HOLDER, _OLD = ".writing-", ".old"
_YOUNG = 24 * 3600.0
"""Seconds for which a holder is left alone, locked or not: some file systems lock nothing, or only
against processes of the same machine."""

_SWEPT = set()
"""Folders in which this process has looked for holders: they may hold many files."""

_DETACHED = (".hdr", ".img", ".mhd", ".nhdr")
"""Endings of files that hold a scan together with another one of the same stem."""


def check_output_folder(folder):
    """Refuses, with InputError and before any work, what is no folder to write into.

    The folder itself need not exist yet; what exists of its path must be a writable folder.
    """
    path = os.path.abspath(folder)
    check_path_length(path)
    existing = path
    while not os.path.lexists(existing):
        existing = os.path.dirname(existing)
    if not os.path.isdir(existing):
        what = "leads nowhere" if os.path.islink(existing) else "is a file"
        raise InputError(f"{folder}: must be a folder, but {existing} {what}.")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise InputError(f"{folder}: cannot be written, the folder {existing} is not writable.")


def check_path_length(path):
    """Refuses, with InputError, a path that no file system of Linux takes."""
    names = os.fsencode(path).split(b"/")
    longest = max(names, key=len)
    if len(longest) > _LONGEST_NAME:
        raise InputError(
            f"{path}: a name in it is {len(longest)} bytes long; {_LONGEST_NAME} are allowed."
        )
    if len(os.fsencode(path)) > _LONGEST_PATH:
        raise InputError(f"{path[:40]}...: the path is longer than {_LONGEST_PATH} bytes.")
    if "\0" in path:
        raise InputError(f"{path!r}: is no path of a file.")


def file_state(path):
    """Returns what tells that a file, or a folder of files (a DICOM series), was written anew.

    Where a scan takes a header and a file of voxels, all files of that stem count together.

    Returns:
      {"bytes": of all, "modified": the latest time of change in ns}; {} of what is missing.
    """
    folder, name = os.path.split(os.path.abspath(path))
    stem, ending = os.path.splitext(name)
    paths = [path]
    if os.path.isdir(path):
        paths += [entry.path for entry in os.scandir(path)]
    elif ending.lower() in _DETACHED and os.path.isdir(folder):
        paths += [e.path for e in os.scandir(folder) if e.name.startswith(stem + ".")]
    paths = sorted({os.path.abspath(each) for each in paths if os.path.exists(each)})
    found = [os.stat(each) for each in paths]
    if not found:
        return {}
    sizes, times = zip(*[(state.st_size, state.st_mtime_ns) for state in found])
    return {"bytes": sum(sizes), "modified": max(times)}


@contextlib.contextmanager
def only_writer(folder, name=".lock"):
    """Keeps an existing folder to one process; InputError where another one holds it already.

    Args:
      folder: the folder.
      name: of the lock's file in it, where only a part of the folder is to be kept. The file is
        deleted at the end; one that a killed process left holds nobody up.
    """
    path = os.path.join(folder, name)
    try:
        descriptor = _lock(path)
    except BlockingIOError as error:
        raise InputError(f"{folder}: another process is writing here.") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be made or locked ({error.strerror}).") from error
    try:
        yield
    finally:
        # While it is still held: whoever opened it in between finds that it is not there any more.
        with contextlib.suppress(OSError):
            if _is_at(descriptor, path):
                os.unlink(path)
        os.close(descriptor)


def _lock(path):
    """Returns the descriptor of a locked file, made where needed, its content left alone."""
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    for _ in range(_ATTEMPTS):
        with contextlib.ExitStack() as opened:
            descriptor = os.open(path, flags, 0o666)
            opened.callback(os.close, descriptor)
            _flock(descriptor)
            with contextlib.suppress(FileNotFoundError):  # its last holder has just deleted it
                if _is_at(descriptor, path):
                    opened.pop_all()
                    return descriptor
    raise BlockingIOError


def _is_at(descriptor, path):
    return os.path.samestat(os.fstat(descriptor), os.stat(path))


def _flock(descriptor):
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise


@contextlib.contextmanager
def atomic_path(path):
    """Yields a temporary path beside `path` with its ending; renames it to `path` on success.

    For a file, or for a folder that is not there yet. On any exception, Ctrl-C included, what
    was written is removed and `path` stays as it was.
    """
    path = os.fspath(path)
    folder, name = os.path.split(os.path.abspath(path))
    with _holder(folder) as holder:
        # The name stays last: writers choose the format by its ending.
        temporary = os.path.join(holder, name)
        yield temporary
        os.replace(temporary, path)


@contextlib.contextmanager
def replaced_folder(path):
    """As `atomic_path`, for a folder that may be there: the old one stays until the new is whole.

    On any exception `path` is as it was. (Between two renames, for an instant, it is absent.)
    """
    path = os.path.abspath(path)
    folder, name = os.path.split(path)
    with _holder(folder) as holder:
        new, old = os.path.join(holder, name), os.path.join(holder, name + _OLD)
        try:
            yield new
            if os.path.lexists(path):
                os.replace(path, old)
            os.replace(new, path)
        finally:
            if os.path.lexists(old) and not os.path.lexists(path):
                os.replace(old, path)


@contextlib.contextmanager
def _holder(folder):
    """Yields a hidden folder for files in the making, locked as long as it lives."""
    if folder not in _SWEPT:
        _SWEPT.add(folder)
        _sweep(folder)
    holder = tempfile.mkdtemp(prefix=_HOLDER, dir=folder)
    descriptor = os.open(holder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(OSError):  # some file systems lock no folders
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield holder
    finally:
        shutil.rmtree(holder, ignore_errors=True)
        os.close(descriptor)


def _sweep(folder):
    """Deletes what processes that were killed left of their `_holder`s.

    One that was killed between the two renames of `replaced_folder` gets its old folder back.
    """
    holders = []
    with contextlib.suppress(OSError), os.scandir(folder) as entries:  # it may not be listed
        holders = [entry for entry in entries if entry.name.startswith(_HOLDER)]
    for entry in holders:
        with contextlib.suppress(OSError):  # it is locked, it has gone, it is no folder
            if time.time() - entry.stat(follow_symlinks=False).st_mtime < _YOUNG:
                continue  # it may not be locked yet
            descriptor = os.open(entry.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_DIRECTORY)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                for name in os.listdir(entry.path):
                    target = os.path.join(folder, name.removesuffix(_OLD))
                    if name.endswith(_OLD) and not os.path.lexists(target):
                        os.replace(os.path.join(entry.path, name), target)
                shutil.rmtree(entry.path)
            finally:
                os.close(descriptor)


@contextlib.contextmanager
def new_folder(path):
    """Yields a temporary path that becomes the folder `path`, which must not be there yet.

    Raises:
      InputError: it is there already, or another process is making it.
    """
    path = os.path.abspath(path)
    parent, name = os.path.split(path)
    check_output_folder(parent)
    os.makedirs(parent, exist_ok=True)
    with only_writer(parent, f".{name[:_LOCKED_BY]}.lock"):
        if os.path.lexists(path):
            raise InputError(f"{path}: exists already.")
        with atomic_path(path) as temporary:
            yield temporary


def remove_folder_of(folder, names):
    """Deletes files of a folder by name, then the folder; files that it does not name stay."""
    for name in names:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(folder, name))
    with contextlib.suppress(OSError):  # not empty, or a link
        os.rmdir(folder)


def write_json(path, content):
    """Writes `content` as indented JSON, atomically; numbers that are not finite become null."""
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
        file.write(json_of(content))


def read_json(path):
    """Returns the content of a JSON file, see `ldr_tf.json_text`.

    Raises:
      InputError: names a file that is missing, no regular one, over 32 MB or no JSON.
    """
    return parse_json(read_bytes(path), path)


def read_text(path):
    """Returns the text of a file in UTF-8, without a byte order mark; lines end as they do there.

    Raises:
      InputError: names a file that is missing, no regular one, over 32 MB or not UTF-8.
    """
    try:
        return read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is not text in UTF-8, from byte {error.start} on.") from error


def read_bytes(path, largest=_LARGEST_TEXT):
    """Returns the content of a regular file of `largest` bytes at most; InputError otherwise."""
    try:
        with open_regular(path) as file:
            content = file.read(largest + 1)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}).") from error
    if len(content) > largest:
        raise InputError(f"{path}: must not hold more than {largest / 1e6:.0f} MB.")
    return content


def open_regular(path):
    """Opens a regular file to read bytes; whatever else is there is refused, not waited for.

    Raises:
      InputError: the path cannot be one, or is that of a folder, a pipe or a device.
      OSError: it cannot be opened.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except ValueError as error:  # a character 0
        raise InputError(f"{path}: is no path of a file.") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise InputError(f"{path}: is not a file but a folder, a pipe or a device.")
    return open(descriptor, "rb")
