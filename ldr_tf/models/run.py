"""A model kept in a run folder, trained, imported or shipped."""

from concurrent.futures import wait

import tensorflow as tf

from ldr_tf.beside import beside
from ldr_tf.conventions import unit_intensity
from ldr_tf.errors import InputError
from ldr_tf.models.model import RegistrationModel
from ldr_tf.runs import checkpoints

_FOR_BFLOAT16 = ("LDR", "VTN")


class RunModel(RegistrationModel):
    """A network in this process."""

    def __init__(self, name, network, precision="float32"):
        """Wraps a network.

        Args:
          name: of the run, for people.
          network: as `ldr_tf.load_run` returns it.
          precision: in which it computes.
        """
        config = network.run_config
        super().__init__(name, config, config.network.affine_stem == "none", precision)
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


def load(name, precision="float32"):
    """Returns the RunModel of a run folder or shipped model.

    Raises:
      InputError: as `ldr_tf.load_run`; or the network loses too much in that precision.
    """
    network = checkpoints.load_run(name, precision=precision)
    base = network.run_config.network.base_network
    if precision == "mixed_bfloat16" and base not in _FOR_BFLOAT16:
        raise InputError(
            f"{name}: bfloat16 is for {' and '.join(_FOR_BFLOAT16)}, not for {base}, whose flow it "
            "changes by more than 0.05 voxel."
        )
    return RunModel(name, network, precision)
