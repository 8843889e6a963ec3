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


def place(kind):
    """Returns the folder of one kind of things, which may not exist yet, or None."""
    return _chosen["folder"] and os.path.join(_chosen["folder"], kind)


def read(kind, name):
    """Returns the bytes that were kept under a name; None where they are not there, or damaged."""
    folder = place(kind)
    if folder is not None:
        with contextlib.suppress(OSError), open(os.path.join(folder, name), "rb") as file:
            seal, content = file.read(_SEAL), file.read()
            if seal == _sealed(name, content):
                return content
    return None


def keep(kind, name, content, most):
    """Keeps bytes under a name, if that can be done, and forgets the oldest of their kind.

    Args:
      kind: a word, which becomes a folder.
      name: of the file.
      content: the bytes.
      most: files that may stay.
    """
    folder = place(kind)
    if folder is None:
        return
    with contextlib.suppress(OSError):
        os.makedirs(folder, mode=0o700, exist_ok=True)
        with atomic_path(os.path.join(folder, name)) as temporary, open(temporary, "wb") as file:
            file.write(_sealed(name, content) + content)
        forget(folder, most)


def forget(folder, most):
    """Removes the oldest files of a folder, so that `most` of them stay."""
    with contextlib.suppress(OSError):
        paths = [entry.path for entry in os.scandir(folder) if entry.is_file()]
        for path in sorted(paths, key=os.path.getmtime)[:-most]:
            os.remove(path)


def _sealed(name, content):
    return hashlib.sha256(name.encode() + b"\0" + content).digest()
