"""A model kept in a run folder, trained, imported or shipped."""

from concurrent.futures import wait

import tensorflow as tf

from ldr_tf.beside import beside
from ldr_tf.conventions import unit_intensity
from ldr_tf.models.model import RegistrationModel
from ldr_tf.runs import checkpoints
from ldr_tf.runs.precision import precision_of


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
        self._tracing = None

    @property
    def parameters(self):
        return self._network.count_params()

    def _weights(self):
        return self._network.get_weights()

    def prepare(self, size):
        self._tracing = beside(lambda: self._network.trace(size))

    def _flow(self, fixed, moving):
        if self._tracing is not None:
            wait([self._tracing])  # what it raised, the call below raises again
        return self._network(*[unit_intensity(tf.constant(v)) for v in (fixed, moving)]).flow


def load(name, precision="auto"):
    """Returns the RunModel of a run folder or shipped model.

    Raises:
      InputError: as `ldr_tf.load_run`.
    """
    return RunModel(name, checkpoints.load_run(name, precision=precision))
