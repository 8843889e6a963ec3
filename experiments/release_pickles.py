"""Reads the teacher flows of the authors' release: pickles, of which only arrays are accepted."""

import glob
import os

from data.manifest import scan_id
from experiments.array_pickles import read_arrays
from ldr_tf.errors import InputError

_PATTERN = "*_teacher_deformation_c_*.pkl"


def find_pickles(folder):
    """Returns the release's files in a folder, in order; InputError if there is none."""
    paths = sorted(glob.glob(os.path.join(glob.escape(folder), _PATTERN)))
    if not paths:
        raise InputError(f"{folder}: holds no file {_PATTERN}.")
    return paths


def read_pickle(path, size=None):
    """Returns the dictionary "id1-id2" -> array of floats of one file.

    Args:
      path: the file.
      size: voxels along x, y, z of every flow, where they are known.

    Raises:
      InputError: the file is truncated, or holds anything but such a dictionary of arrays.
    """
    content = read_arrays(path, None if size is None else (*size, 3))
    for key, array in content.items():
        if array.dtype.kind != "f":
            raise InputError(f"{path}: {key!r} must hold floats, not {array.dtype}.")
    return content


def split_key(key, ids, path):
    """Returns (fixed id, moving id) of a key "id1-id2".

    Ids contain hyphens too, so a key is matched against the ids there are.

    Raises:
      InputError: no pair of ids, or more than one, matches the key.
    """
    places = [place for place, sign in enumerate(key) if sign == "-"]
    pairs = [(key[:place], key[place + 1 :]) for place in places]
    fitting = [(a, b) for a, b in pairs if a in ids and b in ids and a != b]
    if len(fitting) != 1:
        problem = "fits no pair" if not fitting else "fits several pairs"
        raise InputError(f"{path}: the key {key!r} {problem} of the data set's scans.")
    return fitting[0]


def all_ids(manifest):
    """Returns the ids of all scans of a data set, its atlas included.

    Raises:
      InputError: two scans share an id, so that flows kept by id could not be told apart.
    """
    keys = [key for members in manifest.subsets.values() for key in members]
    found = {}
    for key in keys if manifest.atlas is None else [manifest.atlas, *keys]:
        name = scan_id(key)
        if found.setdefault(name, key) != key:
            raise InputError(
                f"{manifest.path}: the scans {found[name]!r} and {key!r} share the id {name!r}."
            )
    return set(found)
