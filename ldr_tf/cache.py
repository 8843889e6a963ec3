"""What one process keeps on disk for the next, where a command has chosen a folder for it.

Nothing in it is needed: what is missing, damaged or of another version is made anew, and where the
folder cannot be written nothing is kept. Without a folder, as in a program that imports the
library, nothing is read or written.
"""

import contextlib
import hashlib
import os

from ldr_tf.files import atomic_path

_chosen = {"folder": None}
_SEAL = 32
"""Bytes at the start of a file that tell whether the rest is what was written, under that name."""


def use(folder):
    """Chooses this process's folder, which is made where needed; None: nothing is kept."""
    _chosen["folder"] = folder


def _place(kind):
    """Returns the folder of one kind of things, which may not exist yet, or None."""
    return _chosen["folder"] and os.path.join(_chosen["folder"], kind)


def read(kind, name):
    """Returns the bytes that were kept under a name; None where they are not there, or damaged."""
    folder = _place(kind)
    if folder is None:
        return None
    with contextlib.suppress(OSError):
        path = os.path.join(folder, name)
        with open(path, "rb") as file:
            seal, content = file.read(_SEAL), file.read()
        if seal == _sealed(name, content):
            with contextlib.suppress(OSError):  # of a folder that may only be read
                os.utime(path)  # it was of use: others are forgotten first
            return content
    return None


def keep(kind, name, content, most):
    """Keeps bytes under a name, if that can be done; what was not used for longest is forgotten.

    Args:
      kind: a word, which becomes a folder.
      name: of the file.
      content: the bytes.
      most: files of the kind that may stay.
    """
    folder = _place(kind)
    if folder is None:
        return
    with contextlib.suppress(OSError):
        os.makedirs(folder, mode=0o700, exist_ok=True)
        with atomic_path(os.path.join(folder, name)) as temporary, open(temporary, "wb") as file:
            file.write(_sealed(name, content) + content)
        paths = [entry.path for entry in os.scandir(folder) if entry.is_file()]
        for path in sorted(paths, key=os.path.getmtime)[:-most]:
            os.remove(path)


def _sealed(name, content):
    return hashlib.sha256(name.encode() + b"\0" + content).digest()
