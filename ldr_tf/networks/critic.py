"""The critic that compares deformations."""

import tensorflow as tf

from ldr_tf.errors import InputError
from ldr_tf.keras import keras
from ldr_tf.networks import layers
from ldr_tf.ops.flow import resize


class Critic(keras.Model):
    """Six 4x4x4 convolutions from a deformation to a vector of 256 mean features in 0..1.

    The first keeps the size (3 to 3 channels); five of stride 2 follow with 16, 32, 64, 128, 256
    channels; ReLU, but a sigmoid after the last; then the mean over space. 2,789,427 parameters.

    Source: the ALDK paper's discriminator; its text says one input channel, but a deformation has
    three.
    """

    _CHANNELS = (3, 16, 32, 64, 128, 256)
    _CLIP = 0.01

    def __init__(self, size=None, constraint="gradient_penalty", **kwargs):
        """Creates the weights.

        Args:
          size: voxels along x, y, z to which deformations are resized first (averaging down,
            trilinear up); None keeps their size.
          constraint: see `ldr_tf.config.CriticConfig`; only "spectral_norm" and
            "weight_clipping" act on the weights, see `constrain`.

        Raises:
          InputError: "spectral_norm" without tensorflow-addons.
        """
        super().__init__(**kwargs)
        self.size = tuple(size) if size else None
        self._constraint = constraint
        normalized = _spectral_normalization() if constraint == "spectral_norm" else None
        self.convolutions = []
        in_channels = 3
        for index, filters in enumerate(self._CHANNELS):
            last = index == len(self._CHANNELS) - 1
            activation = tf.sigmoid if last else tf.nn.relu
            strides = 1 if index == 0 else 2
            layer = layers.convolution(in_channels, filters, 4, strides, activation)
            if normalized is not None:
                layer = normalized(layer)
                layer.build((None, None, None, None, in_channels))
            self.convolutions.append(layer)
            in_channels = filters
        self.built = True  # the weights exist
        self.constrain()

    def call(self, deformation):
        """Returns the features M, [B, 256], of a deformation [B, x, y, z, 3]."""
        x = resize(deformation, self.size, average=True) if self.size else deformation
        for layer in self.convolutions:
            x = layer(x)
        return tf.reduce_mean(x, axis=(1, 2, 3))

    def constrain(self):
        """Brings the weights back within bounds; must be called after each step of the critic.

        "spectral_norm": kernels divided by their largest singular value (Miyato et al., 2018).
        "weight_clipping": all weights clipped to 0.01 (Arjovsky et al., 2017).
        """
        if self._constraint == "spectral_norm":
            for layer in self.convolutions:
                layer.normalize_weights()
        elif self._constraint == "weight_clipping":
            for variable in self.trainable_variables:
                variable.assign(tf.clip_by_value(variable, -self._CLIP, self._CLIP))


def _spectral_normalization():
    try:
        from tensorflow_addons.layers import SpectralNormalization
    except ImportError as error:
        raise InputError(
            "the critic's constraint spectral_norm needs the package tensorflow-addons, which is "
            "not installed (it exists for Python up to 3.11)."
        ) from error
    return SpectralNormalization
