"""What `--model` may name: nothing, a run (also a shipped one), a SavedModel, one on a server.

Each kind becomes an object that registration calls in one way.
"""

import math
import os
from types import SimpleNamespace

import tensorflow as tf

from ldr_tf.conventions import INTENSITY_MAX
from ldr_tf.errors import InputError
from ldr_tf.models import server
from ldr_tf.runs import checkpoints
from ldr_tf.serving import export

_FOR_BFLOAT16 = ("LDR", "VTN")


def load_model(name, precision="float32", connection=None):
    """Returns a model as registration calls it.

    Args:
      name: "none"; a run folder, or the name of a shipped model; a folder that
        `ldr_tf.serving.export` has written, of which the highest version is taken, or a version's
        folder in it; or "grpc://HOST:PORT/MODEL" (see `ldr_tf.models.server.RemoteNetwork`).
      precision: see `ldr_tf.runs.checkpoints.load_run`; of an exported model it is what it is.
      connection: a `ldr_tf.models.server.Connection`, for a server.

    Returns:
      None for "none", else a network: `network(fixed, moving).flow` is the flow, in voxels, of
      volumes [1, x, y, z, 1] in 0..1, and `network.run_config` its RunConfig.

    Raises:
      InputError: the folder is none of these, or damaged; the server does not answer; the network
        loses too much in that precision.
    """
    if name == "none":
        return None
    if name.startswith(server.SCHEMES):
        return server.RemoteNetwork(name, connection)
    version = version_folder(name)
    if version is not None:
        return ServedNetwork(version)
    network = checkpoints.load_run(name, precision=precision)
    base = network.run_config.network.base_network
    if precision == "mixed_bfloat16" and base not in _FOR_BFLOAT16:
        raise InputError(
            f"{name}: bfloat16 is for {' and '.join(_FOR_BFLOAT16)}, not for {base}, whose flow it "
            "changes by more than 0.05 voxel."
        )
    return network


class ServedNetwork:
    """An exported network; takes volumes of the very size in its config.

    Attributes:
      run_config: the RunConfig of the run from which it was exported.
      free_size: False.
    """

    free_size = False

    def __init__(self, folder):
        self.run_config = checkpoints.read_config(os.path.join(folder, export.EXTRA_NAME))
        try:
            self._module = tf.saved_model.load(folder)  # must outlive its signature
            self._serve = self._module.signatures["serving_default"]
        except (OSError, KeyError, ValueError, tf.errors.OpError) as error:
            raise InputError(f"{folder}: the SavedModel cannot be loaded.") from error

    def count_params(self):
        """Returns the number of weights."""
        return sum(math.prod(variable.shape) for variable in self._module.weights)

    def __call__(self, fixed, moving):
        answer = self._serve(fixed=fixed * INTENSITY_MAX, moving=moving * INTENSITY_MAX)
        return SimpleNamespace(flow=answer["flow"], warped=answer["warped"] / INTENSITY_MAX)


def version_folder(name):
    """Returns the folder of the (highest) SavedModel in or at `name`, None where there is none."""
    if _is_saved_model(name):
        return name
    if not os.path.isdir(name):
        return None
    versions = [entry for entry in os.listdir(name) if entry.isdigit()]
    folders = [os.path.join(name, version) for version in sorted(versions, key=int)]
    return next((folder for folder in reversed(folders) if _is_saved_model(folder)), None)


def _is_saved_model(folder):
    return os.path.isfile(os.path.join(folder, "saved_model.pb"))
