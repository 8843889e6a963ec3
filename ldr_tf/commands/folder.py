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

SUMMARY = "summary.json"
VIEW = "view.html"
NAMES = (
    "warped.nii.gz",
    "displacement.nii.gz",
    "affine.tfm",
    "warped_labels.nii.gz",
    "jacobian.nii.gz",
    "inverse_displacement.nii.gz",
    "preview.png",
    VIEW,
    SUMMARY,
)
"""All files that a registration may write."""

_UNFINISHED = ".ldr-register-unfinished"


def check_folder(output, inputs):
    """Refuses, with InputError and before any work, a folder where the results cannot go.

    Args:
      output: the folder; it need not exist.
      inputs: paths of what is read, which must not lie where results are written.
    """
    check_output_folder(output)
    for name in NAMES:
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
def held(folder):
    """Makes a folder where needed and keeps it to this process in the block.

    What was made of its path goes again where it stays empty.

    Raises:
      InputError: it cannot be made, or another process writes there.
    """
    made = []
    try:
        _make(os.path.abspath(folder), made)
        with only_writer(folder):
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
def results_of(folder):
    """Yields an empty folder for the files of a result, among them SUMMARY; moves them to `folder`.

    `folder` must be held. Nothing changes there unless the block ends well. Files of an earlier
    registration that this one does not write are deleted, if its summary lists them; no others.

    Raises:
      InputError: a file cannot be written; it names the file in `folder`.
    """
    folder = os.fspath(folder)
    unfinished = os.path.join(folder, _UNFINISHED)
    with _saying_which(unfinished, folder):
        shutil.rmtree(unfinished, ignore_errors=True)  # of a process that was killed
        try:
            os.mkdir(unfinished)
            yield unfinished
            _move(unfinished, folder)
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


def _move(unfinished, folder):
    new, old = set(os.listdir(unfinished)), listed(folder)
    mark = os.path.join(unfinished, ".mark")
    write_json(mark, {"finished": False, "files": sorted(new | old)})
    os.replace(mark, os.path.join(folder, SUMMARY))
    for name in sorted(new - {SUMMARY}):
        os.replace(os.path.join(unfinished, name), os.path.join(folder, name))
    for name in old - new:
        with contextlib.suppress(FileNotFoundError):
            os.remove(os.path.join(folder, name))
    os.replace(os.path.join(unfinished, SUMMARY), os.path.join(folder, SUMMARY))


def read_summary(folder):
    """Returns what the summary of a folder says, {} where there is none or it is something else."""
    try:
        summary = read_json(os.path.join(folder, SUMMARY))
    except InputError:
        return {}
    return summary if isinstance(summary, dict) else {}


def listed(folder):
    """Returns the names of the files that a folder's summary lists as written by it."""
    names = read_summary(folder).get("files")
    known = {name for name in names if name in NAMES} if isinstance(names, list) else set()
    return known
