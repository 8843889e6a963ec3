"""Reads the teacher flows of the authors' release: pickles, let in as arrays and nothing else."""

import codecs
import glob
import os
import pickle

import numpy as np

from data.manifest import scan_id
from ldr_tf.errors import InputError

_PATTERN = "*_teacher_deformation_c_*.pkl"


def _allowed():
    """Returns what a pickled array is made of, by (module, name) in NumPy 1 and 2."""
    reconstruct = np.zeros(1).__reduce__()[0]
    from_buffer = np.zeros(1).__reduce_ex__(5)[0]
    scalar = np.float32(0).__reduce__()[0]
    found = {
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
        ("_codecs", "encode"): codecs.encode,  # bytes, as Python 3 writes them for Python 2
    }
    for core in ("numpy.core", "numpy._core"):
        found[f"{core}.multiarray", "_reconstruct"] = reconstruct
        found[f"{core}.multiarray", "scalar"] = scalar
        found[f"{core}.numeric", "_frombuffer"] = from_buffer
    return found


_ALLOWED = _allowed()


class _ArrayUnpickler(pickle.Unpickler):
    """Refuses every name but those of arrays, before anything is called."""

    def find_class(self, module, name):
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(
                f"it asks for {module}.{name}, arrays alone are let in"
            ) from None


def find_pickles(folder):
    """Returns the release's files in a folder, in order; InputError where there is none."""
    paths = sorted(glob.glob(os.path.join(glob.escape(folder), _PATTERN)))
    if not paths:
        raise InputError(f"{folder}: holds no file {_PATTERN}.")
    return paths


def read_pickle(path):
    """Returns the dictionary "id1-id2" -> array of one file.

    Raises:
      InputError: the file is truncated, or holds anything but such a dictionary of arrays.
    """
    try:
        with open(path, "rb") as file:
            content = _ArrayUnpickler(file, encoding="latin1").load()
    except (
        *(pickle.UnpicklingError, EOFError, OSError, ValueError, TypeError, KeyError),
        *(IndexError, AttributeError, UnicodeError, MemoryError),
    ) as error:
        raise InputError(f"{path}: is no pickle of flows that can be read ({error}).") from error
    if not isinstance(content, dict) or not all(
        isinstance(key, str) and isinstance(value, np.ndarray) and value.dtype.kind == "f"
        for key, value in content.items()
    ):
        raise InputError(f"{path}: must hold a dictionary from id1-id2 to arrays of numbers.")
    return content


def split_key(key, ids, path):
    """Returns (fixed id, moving id) of a key "id1-id2".

    Ids contain hyphens too, so a key is matched against the ids there are.

    Raises:
      InputError: no pair of ids, or more than one, reads like the key.
    """
    places = [place for place, sign in enumerate(key) if sign == "-"]
    pairs = [(key[:place], key[place + 1 :]) for place in places]
    fitting = [pair for pair in pairs if pair[0] in ids and pair[1] in ids]
    if len(fitting) != 1:
        problem = "fits no pair" if not fitting else "fits several pairs"
        raise InputError(f"{path}: the key {key!r} {problem} of the data set's scans.")
    return fitting[0]


def all_ids(manifest):
    """Returns the ids of all scans of a data set, its atlas included."""
    keys = {key for members in manifest.subsets.values() for key in members}
    if manifest.atlas is not None:
        keys.add(manifest.atlas)
    return {scan_id(key) for key in keys}
