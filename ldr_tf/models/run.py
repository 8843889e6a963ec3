"""A model kept in a run folder, trained, imported or shipped."""

import functools

import tensorflow as tf

from ldr_tf.beside import beside
from ldr_tf.conventions import unit_intensity
from ldr_tf.models.graphs import flow_function
from ldr_tf.models.model import RegistrationModel
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
        self._graph = functools.lru_cache(maxsize=_SIZES)(of_size)

    @property
    def parameters(self):
        return self._network.count_params()

    def _weights(self):
        return self._network.get_weights()

    def prepare(self, size):
        self._graph(tuple(size))

    def _flow(self, fixed, moving):
        volumes = [unit_intensity(tf.constant(volume)) for volume in (fixed, moving)]
        return self._graph(fixed.shape[1:4]).result()(*volumes)


def load(name, precision="auto"):
    """Returns the RunModel of a run folder or shipped model.

    Raises:
      InputError: as `ldr_tf.load_run`.
    """
    return RunModel(name, checkpoints.load_run(name, precision=precision))
