"""What every kind of model is to those who register by it."""

import abc
import functools
import hashlib
import json

import numpy as np

from ldr_tf import records


class RegistrationModel(abc.ABC):
    """What computes the flow of two volumes that lie on one grid.

    A kind of model writes `_flow`, `_weights` and `parameters`.

    Attributes:
      name: a path, a shipped model's name, an address.
      network: the NetworkConfig; `image_size` is the size of its working grid.
      image: the ImageConfig: how a scan becomes its input.
      free_size: whether it takes volumes of other sizes than `network.image_size` too.
      precision: "float32" or "bfloat16": in which its dense stems compute; None where it is not
        known, since a server decides.
    """

    def __init__(self, name, config, free_size, precision="float32"):
        """Takes over what a run's config tells.

        Args:
          name, free_size, precision: see the attributes.
          config: the RunConfig of the run from which the model comes.
        """
        self._config = config
        self.name = name
        self.network = config.network
        self.image = config.image
        self.free_size = free_size
        self.precision = precision

    def takes(self, size):
        """Whether volumes of `size`, voxels along x, y, z, can be registered as they are."""
        return self.free_size or tuple(size) == tuple(self.network.image_size)

    def prepare(self, size):
        """Starts, beside whatever else is done, what the first `flow` needs; returns at once.

        Args:
          size: voxels along x, y, z of the volumes to come.
        """
        del size  # by itself a model needs nothing

    def flow(self, fixed, moving):
        """Returns the flow that brings a moving volume onto a fixed one.

        Args:
          fixed, moving: numbers [x, y, z] in 0..255, prepared as `image` says.

        Returns:
          float32 [x, y, z, 3], voxels.

        Raises:
          ValueError: the volumes' sizes differ.
          InputError: a server does not answer or refuses.
        """
        volumes = [np.asarray(volume, np.float32) for volume in (fixed, moving)]
        if volumes[0].ndim != 3 or volumes[0].shape != volumes[1].shape:
            shapes = " and ".join(str(volume.shape) for volume in volumes)
            raise ValueError(f"fixed and moving must be [x, y, z] of one size, not {shapes}.")
        flow = self._flow(*[volume[None, ..., None] for volume in volumes])
        return np.asarray(flow, np.float32)[0]

    @functools.cached_property
    def fingerprint(self):
        """The SHA-256 of config and weights: it tells whether a name still means the same model."""
        found = hashlib.sha256(json.dumps(records.to_dict(self._config), sort_keys=True).encode())
        for array in self._weights():
            found.update(np.ascontiguousarray(array))
        return found.hexdigest()

    @property
    @abc.abstractmethod
    def parameters(self):
        """The number of weights; None where it is not known."""

    @abc.abstractmethod
    def _weights(self):
        """Lists the arrays that tell the model from others of the same config."""

    @abc.abstractmethod
    def _flow(self, fixed, moving):
        """Returns the flow [1, x, y, z, 3] of volumes [1, x, y, z, 1] in 0..255."""
