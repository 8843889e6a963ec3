"""Networks as they travel: a run folder whose weights are half-precision numbers in one small file.

A packed run holds config.json, weights.h5 and the model card README.md, and is loaded as any run.
The package brings some along, in the folder `shipped`; they are named without a path.
"""

import os

import h5py
import numpy as np

from ldr_tf.errors import InputError
from ldr_tf.files import atomic_path

WEIGHTS_NAME = "weights.h5"
CARD_NAME = "README.md"

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


def write_weights(folder, network):
    """Writes a network's weights as `folder/weights.h5`, whole or not at all.

    Half precision keeps 11 bits: a flow changes by about a thousandth of itself.

    Args:
      folder: an existing folder.
      network: with `variables`, all of a floating type.

    Raises:
      InputError: a weight is beyond the range of half precision, or not finite.
    """
    path = os.path.join(folder, WEIGHTS_NAME)
    with atomic_path(path) as temporary, h5py.File(temporary, "w") as file:
        for index, variable in enumerate(network.variables):
            with np.errstate(over="ignore"):
                values = variable.numpy().astype(np.float16)
            if not np.isfinite(values).all():
                raise InputError(f"{path}: the weight {variable.name} does not fit half precision.")
            file.create_dataset(_key(index), data=values).attrs["name"] = variable.name


def read_weights(folder, network):
    """Sets a network's weights to those in `folder/weights.h5`.

    Raises:
      InputError: the file cannot be read, or holds the weights of another network.
    """
    path = os.path.join(folder, WEIGHTS_NAME)
    try:
        with h5py.File(path, "r") as file:
            values = [file[_key(index)][()] for index in range(len(file))]
    except (OSError, KeyError) as error:
        raise InputError(f"{path}: cannot be read as packed weights ({error}).") from error
    shapes = [tuple(variable.shape) for variable in network.variables]
    if [value.shape for value in values] != shapes:
        raise InputError(f"{path}: holds the weights of another network than config.json says.")
    for variable, value in zip(network.variables, values):
        variable.assign(value.astype(np.float32))


def _key(index):
    return f"{index:03d}"
