"""A model kept in a run folder, trained, imported or shipped."""

import functools

import tensorflow as tf

from ldr_tf import records
from ldr_tf.beside import beside
from ldr_tf.conventions import unit_intensity
from ldr_tf.graphs import kept_function
from ldr_tf.models.model import RegistrationModel
from ldr_tf.networks.cascade import CascadeNetwork
from ldr_tf.runs import checkpoints
from ldr_tf.runs.precision import precision_of

_SIZES = 64
"""Sizes of volumes for which a process keeps the graph."""


class RunModel(RegistrationModel):
    """A network in this process."""

    def __init__(self, name, network):
        """Wraps a network.

        Args:
          name: of the run, for people.
          network: as `ldr_tf.load_run` returns it.
        """
        config = network.run_config
        free_size = config.network.affine_stem == "none"
        super().__init__(name, config, free_size, precision_of(network))
        self._network = network
        of_size = functools.partial(beside, flow_function, network)
        self._function = functools.lru_cache(maxsize=_SIZES)(of_size)

    @property
    def parameters(self):
        return self._network.count_params()

    def _weights(self):
        return self._network.get_weights()

    def prepare(self, size):
        self._function(tuple(size))

    def _flow(self, fixed, moving):
        volumes = [unit_intensity(tf.constant(volume)) for volume in (fixed, moving)]
        return self._function(fixed.shape[1:4]).result()(*volumes)[0]


def flow_function(network, size):
    """Returns a network as a graph for volumes of one size, see `ldr_tf.graphs`.

    Args:
      network: a CascadeNetwork; another one is called as it is.
      size: voxels along x, y, z.

    Returns:
      A function of a fixed and a moving volume, [1, *size, 1], float32 in 0..1, that returns a list
      of the flow, [1, *size, 3], voxels.
    """
    if not isinstance(network, CascadeNetwork):  # nobody here knows on what its graph depends
        return lambda *pair: [network(*pair).flow]
    about = {
        "network": records.to_dict(network.config),
        "precision": network.precision,
        "compiled": network.compiled_warp,
        "size": list(size),
    }
    specs = [tf.TensorSpec((1, *size, 1), tf.float32)] * 2
    return kept_function(lambda *pair: [network(*pair).flow], specs, about, network.variables)


def load(name, precision="auto"):
    """Returns the RunModel of a run folder or shipped model.

    Raises:
      InputError: as `ldr_tf.load_run`.
    """
    return RunModel(name, checkpoints.load_run(name, precision=precision))
