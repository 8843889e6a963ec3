"""The folder of a pair's results: what may lie there, who writes there, how files come there.

All files are written and checked in a hidden folder inside, on the same file system, and then
renamed one by one; summary.json, which says that all are there, goes last. In between it says that
they are not: a registration that is killed is never taken for a finished one.
"""

import contextlib
import os
import shutil

from ldr_tf.errors import InputError
from ldr_tf.files import check_output_folder, only_writer, read_json, write_json
from ldr_tf.registration.result_names import PLAIN

_LOCK = ".lock"
_UNFINISHED = ".ldr-register-unfinished"


def check_folder(output, inputs, names=PLAIN):
    """Refuses, with InputError and before any work, a folder where the results cannot go.

    Args:
      output: the folder; it need not exist.
      inputs: paths of what is read, which must not lie where results are written.
      names: the ResultNames.
    """
    check_output_folder(output)
    for name in names.all():
        target = os.path.join(output, name)
        if os.path.isdir(target):
            raise InputError(f"{target}: is a folder, where a file will be written.")
        for path in inputs:
            if is_same_place(path, target):
                raise InputError(
                    f"{path}: lies where {name} will be written; another output folder is needed."
                )


def is_same_place(first, second):
    """Whether two paths are those of one file, or of one link, there or not."""
    return bool(_places(first) & _places(second))


def _places(path):
    folder, name = os.path.split(os.path.abspath(path))
    return {os.path.join(os.path.realpath(folder), name), os.path.realpath(path)}


@contextlib.contextmanager
def held(folder, names=PLAIN):
    """Makes a folder where needed and keeps it to this process in the block.

    Where pairs share a folder, only the pair with these names is kept to it. What was made of the
    path goes again where it stays empty.

    Raises:
      InputError: it cannot be made, or another process writes there.
    """
    made = []
    try:
        _make(os.path.abspath(folder), made)
        with only_writer(folder, names.hidden(_LOCK)):
            yield
    finally:
        for path in reversed(made):
            with contextlib.suppress(OSError):  # not empty
                os.rmdir(path)


def _make(folder, made):
    missing = []
    while not os.path.isdir(folder) and os.path.dirname(folder) != folder:
        missing.append(folder)
        folder = os.path.dirname(folder)
    for path in reversed(missing):
        try:
            os.mkdir(path)
            made.append(path)
        except FileExistsError:  # by another process, just now
            continue
        except OSError as error:
            raise InputError(f"{path}: cannot be made ({error.strerror}).") from error


@contextlib.contextmanager
def results_of(folder, names=PLAIN):
    """Yields an empty folder for a result's files and its summary; moves them to `folder`.

    `folder` must be held. Nothing changes there unless the block ends well. Files of an earlier
    registration that this one does not write are deleted, if its summary lists them; no others.

    Raises:
      InputError: a file cannot be written; it names the file in `folder`.
    """
    folder = os.fspath(folder)
    unfinished = os.path.join(folder, names.hidden(_UNFINISHED))
    with _saying_which(unfinished, folder):
        shutil.rmtree(unfinished, ignore_errors=True)  # of a process that was killed
        try:
            os.mkdir(unfinished)
            yield unfinished
            _move(unfinished, folder, names)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)


@contextlib.contextmanager
def naming(path):
    """Raises, in place of an OSError that names no file, an InputError that names `path`."""
    try:
        yield
    except OSError as error:
        path = error.filename or path
        raise InputError(f"{path}: cannot be written ({error.strerror or error}).") from error


@contextlib.contextmanager
def _saying_which(unfinished, folder):
    try:
        with naming(folder):
            yield
    except InputError as error:
        raise InputError(str(error).replace(unfinished, folder)) from error


def _move(unfinished, folder, names):
    new, old = set(os.listdir(unfinished)), listed(folder, names)
    summary = os.path.join(folder, names.summary)
    mark = os.path.join(unfinished, ".mark")
    write_json(mark, {"finished": False, "files": sorted(new | old)})
    os.replace(mark, summary)
    for name in sorted(new - {names.summary}):
        os.replace(os.path.join(unfinished, name), os.path.join(folder, name))
    for name in old - new:
        with contextlib.suppress(FileNotFoundError):
            os.remove(os.path.join(folder, name))
    os.replace(os.path.join(unfinished, names.summary), summary)


def read_summary(folder, names=PLAIN):
    """Returns what the summary of a folder says, {} where there is none or it is something else."""
    try:
        summary = read_json(os.path.join(folder, names.summary))
    except InputError:
        return {}
    return summary if isinstance(summary, dict) else {}


def listed(folder, names=PLAIN):
    """Returns the names of the files that a folder's summary lists as written with it."""
    found = read_summary(folder, names).get("files")
    return set(names.all()).intersection(map(str, found)) if isinstance(found, list) else set()
