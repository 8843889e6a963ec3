"""Networks as they travel: a run folder whose weights are half-precision numbers in one small file.

A packed run holds config.json, weights.h5 and the model card README.md, and is loaded as any run.
The package brings some along, in the folder `shipped`; they are named without a path.
"""

import hashlib
import os

import h5py
import numpy as np

from ldr_tf import hdf5
from ldr_tf.errors import InputError
from ldr_tf.files import atomic_path

WEIGHTS_NAME = "weights.h5"
CARD_NAME = "README.md"
CHECK_SUM = "weights_sha256"
"""Attribute of the file: the digest of its weights and of the next attribute, where that is there;
files of earlier versions are without it."""

BFLOAT16_ERROR = "bfloat16_error"
"""Attribute of the file: see `ldr_tf.runs.precision`; not there where it was not measured."""

_SHIPPED = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "shipped")


def shipped_names():
    """Returns the names of the models that come with the package, sorted."""
    if not os.path.isdir(_SHIPPED):
        return []
    return sorted(
        name
        for name in os.listdir(_SHIPPED)
        if os.path.isfile(os.path.join(_SHIPPED, name, WEIGHTS_NAME))
    )


def find_run(name):
    """Returns the run folder that a name means: that of a shipped model, unless a folder is there.

    Args:
      name: a path or the name of a shipped model.
    """
    if not os.path.exists(name) and name in shipped_names():
        return os.path.join(_SHIPPED, name)
    return name


def write_weights(folder, network, bfloat16_error=None):
    """Writes a network's weights as `folder/weights.h5`, whole or not at all.

    Half precision keeps 11 bits: a flow changes by about a thousandth of itself.

    Args:
      folder: an existing folder.
      network: with `variables`, all of a floating type.
      bfloat16_error: by how much bfloat16 changes its flow, voxels; None where nobody measured.

    Raises:
      InputError: a weight is beyond the range of half precision, or not finite.
    """
    path = os.path.join(folder, WEIGHTS_NAME)
    weights = []
    for variable in network.variables:
        with np.errstate(over="ignore"):
            weights.append(variable.numpy().astype(np.float16))
        if not np.isfinite(weights[-1]).all():
            raise InputError(f"{path}: the weight {variable.name} does not fit half precision.")
    with atomic_path(path) as temporary, h5py.File(temporary, "w") as file:
        for index, (variable, values) in enumerate(zip(network.variables, weights)):
            file.create_dataset(_key(index), data=values).attrs["name"] = variable.name
        if bfloat16_error is not None:
            file.attrs[BFLOAT16_ERROR] = bfloat16_error
        file.attrs[CHECK_SUM] = weights_digest(_signed(weights, bfloat16_error))


def read_bfloat16_error(folder):
    """Returns by how much bfloat16 changes the flow of a packed network, voxels, or None.

    Raises:
      InputError: the file cannot be read, or says something else than a number.
    """
    path = os.path.join(folder, WEIGHTS_NAME)
    with hdf5.open_file(path) as file:
        return _bfloat16_error(file, path)


def read_weights(folder, network):
    """Sets a network's weights to those in `folder/weights.h5`.

    Raises:
      InputError: the file cannot be read, holds the weights of another network or numbers that
        are not finite, or was changed since it was written.
    """
    path = os.path.join(folder, WEIGHTS_NAME)
    variables = network.variables
    with hdf5.open_file(path) as file:
        with hdf5.damage_named(path):
            fits = sorted(file) == sorted(_key(index) for index in range(len(variables)))
        sets = [_weight(file, index, path) for index in range(len(variables))] if fits else []
        if not fits or [one.shape for one in sets] != [tuple(v.shape) for v in variables]:
            raise InputError(f"{path}: holds the weights of another network than config.json says.")
        values = [hdf5.read(one, path) for one in sets]
        wanted = hdf5.attribute(file, CHECK_SUM, path)
        signed = _signed(values, _bfloat16_error(file, path))
    if wanted is not None and not np.array_equal(wanted, weights_digest(signed)):
        raise InputError(f"{path}: was changed or damaged since it was written (check sum).")
    for variable, value in zip(variables, values):
        value = value.astype(np.float32)
        if not np.isfinite(value).all():
            raise InputError(f"{path}: the weight {variable.name} holds numbers that are none.")
        variable.assign(value)


def weights_digest(weights):
    """Returns the SHA-256, hexadecimal, of arrays: their types, shapes and values, in order."""
    digest = hashlib.sha256()
    for values in weights:
        kind = values.dtype.newbyteorder("<")
        digest.update(f"{kind.str} {values.shape}\n".encode())
        digest.update(np.ascontiguousarray(values, kind))
    return digest.hexdigest()


def _bfloat16_error(file, path):
    found = hdf5.attribute(file, BFLOAT16_ERROR, path)
    if found is None:
        return None
    if np.ndim(found) != 0 or not np.issubdtype(np.asarray(found).dtype, np.floating):
        raise InputError(f"{path}: {BFLOAT16_ERROR} must be a number, not {found!r}.")
    return float(found)


def _signed(weights, bfloat16_error):
    """Lists what the check sum is of."""
    return weights if bfloat16_error is None else [*weights, np.float64(bfloat16_error)]


def _weight(file, index, path):
    found = hdf5.dataset(file, _key(index), f"{path}: {_key(index)}")
    if found.dtype.kind != "f":
        raise InputError(f"{path}: {_key(index)} must hold floats, not {found.dtype}.")
    return found


def _key(index):
    return f"{index:03d}"
