"""Affine stems: networks that predict an affine map about the volume's centre."""

import tensorflow as tf

from ldr_tf import layers
from ldr_tf.keras import keras
from ldr_tf.networks.vtn import VTNEncoder
from ldr_tf.ops.flow import affine_flow
from ldr_tf.ops.warp import spatial_size


class AffineHead(keras.layers.Layer):
    """Turns the last features into W and b by kernels of their whole size, no bias.

    Called with features [B, x, y, z, channels] of exactly `size`; returns W [B, 3, 3] and b
    [B, 3] (voxels) of the flow W (p - centre) + b.
    """

    def __init__(self, in_channels, size, multiplier=1.0, **kwargs):
        super().__init__(**kwargs)
        self.multiplier = multiplier
        options = {"use_bias": False, "padding": "valid", "initializer": layers.SMALL}
        self.conv7_W = layers.convolution(in_channels, 9, size, **options)
        self.conv7_b = layers.convolution(in_channels, 3, size, **options)

    def call(self, features):
        matrix = tf.reshape(self.conv7_W(features), [-1, 3, 3]) * self.multiplier
        translation = tf.reshape(self.conv7_b(features), [-1, 3]) * self.multiplier
        return matrix, translation


class VTNAffineStem(keras.Model):
    """VTN's affine stem: the encoder to 1/64, then W and b; 14,166,288 parameters at 128^3.

    Bound to one image size, by the head's kernels. Source: as `ldr_tf.networks.vtn.VTN`.
    """

    def __init__(self, image_size, channels=16, multiplier=1.0, **kwargs):
        """Creates the weights.

        Args:
          image_size: voxels along x, y, z, multiples of 64.
          channels, multiplier: see `LDR`; the multiplier acts on W and b.
        """
        super().__init__(**kwargs)
        self.encoder = VTNEncoder(channels)
        self.head = AffineHead(32 * channels, [n // 64 for n in image_size], multiplier)
        self.built = True  # the weights exist

    def call(self, fixed, moving):
        """Returns the affine map's flow [B, x, y, z, 3] in voxels and its W [B, 3, 3]."""
        matrix, translation = self.head(self.encoder(fixed, moving)[-1])
        return affine_flow(matrix, translation, spatial_size(fixed)), matrix
