"""The critic that compares deformations."""

import tensorflow as tf

from ldr_tf import layers
from ldr_tf.keras import keras
from ldr_tf.ops.flow import resize


class Critic(keras.Model):
    """Six 4x4x4 convolutions from a deformation to a vector of 256 mean features in 0..1.

    The first keeps the size (3 to 3 channels), five of stride 2 follow with 16, 32, 64, 128, 256
    channels; ReLU, the last a sigmoid; then the mean over space. 2,789,427 parameters.

    Source: the ALDK paper, discriminator; the paper's text writes one input channel, but a
    deformation has three.
    """

    _CHANNELS = (3, 16, 32, 64, 128, 256)

    def __init__(self, size=None, **kwargs):
        """Creates the weights.

        Args:
          size: the working size, reached by trilinear resizing; None keeps the volume's own.
        """
        super().__init__(**kwargs)
        self.size = tuple(size) if size else None
        self.convolutions = []
        in_channels = 3
        for index, filters in enumerate(self._CHANNELS):
            last = index == len(self._CHANNELS) - 1
            activation = tf.sigmoid if last else tf.nn.relu
            strides = 1 if index == 0 else 2
            layer = layers.convolution(in_channels, filters, 4, strides, activation)
            self.convolutions.append(layer)
            in_channels = filters
        self.built = True  # the weights exist

    def call(self, deformation):
        """Returns the features M, [B, 256], of a deformation [B, x, y, z, 3]."""
        x = resize(deformation, self.size) if self.size else deformation
        for layer in self.convolutions:
            x = layer(x)
        return tf.reduce_mean(x, axis=(1, 2, 3))
