"""Affine stems: networks that predict an affine map about the volume's centre."""

import tensorflow as tf

from ldr_tf.keras import keras
from ldr_tf.networks import layers
from ldr_tf.networks.vtn import VTNEncoder
from ldr_tf.ops.flow import affine_flow
from ldr_tf.ops.warp import spatial_size


class AffineHead(keras.layers.Layer):
    """Turns the last features into W and b, with bias-free kernels that span the features whole.

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

    Tied to one image size by the head's kernels. Source: as for `ldr_tf.networks.vtn.VTN`.
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


class LDRUtilStem(keras.Model):
    """The light affine stem of the authors' release; 332,880 parameters at 128^3.

    Four 3x3x3 convolutions of stride 2 with 16, 32, 64, 128 channels, LeakyReLU 0.1, a 3x3x3
    average pooling of stride 2, then W and b. Tied to one image size by the head's kernels.
    """

    def __init__(self, image_size, channels=16, multiplier=1.0, **kwargs):
        """Creates the weights; see `VTNAffineStem`. Sides are multiples of 16, at least 48."""
        super().__init__(**kwargs)
        in_channels = 2
        for level in range(4):
            outputs = channels << level
            layer = layers.convolution(in_channels, outputs, 3, 2, layers.leaky_relu)
            setattr(self, f"conv{level + 1}", layer)
            in_channels = outputs
        self.head = AffineHead(
            in_channels, [(n // 16 - 3) // 2 + 1 for n in image_size], multiplier
        )
        self.built = True  # the weights exist

    def call(self, fixed, moving):
        """Returns the affine map's flow [B, x, y, z, 3] in voxels and its W [B, 3, 3]."""
        x = layers.image_pair(fixed, moving)
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            x = layer(x)
        matrix, translation = self.head(tf.nn.avg_pool3d(x, 3, 2, "VALID"))
        return affine_flow(matrix, translation, spatial_size(fixed)), matrix
