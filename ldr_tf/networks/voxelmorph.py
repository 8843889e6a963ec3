"""VoxelMorph, RCN's second base network, and its variant that was released as "LDR"."""

import tensorflow as tf

from ldr_tf.keras import keras
from ldr_tf.networks import layers


class VoxelMorph(keras.Model):
    """An encoder to 1/16 and a decoder that ends at full resolution, 3x3x3, LeakyReLU 0.1.

    300,547 parameters at 16 channels. Source: Balakrishnan et al., "An Unsupervised Learning Model
    for Deformable Medical Image Registration", 2018, as "Recursive Cascaded Networks" builds it.

    Attributes:
      size_multiple: sides of the volume must be multiples of this.
    """

    size_multiple = 16
    # In units of the first layer's channels.
    _ENCODER = (1, 2, 2, 2)  # conv1 .. conv4, each of stride 2
    _DECODER = (2, 2, 2, 2, 2, 1, 1)  # decode4, 3, 2, 1, 1_1, 0, 0_1

    def __init__(self, channels=16, multiplier=1.0, **kwargs):
        """Creates the weights; see `ldr_tf.networks.student.LDR` for the arguments."""
        super().__init__(**kwargs)
        self.multiplier = multiplier
        encoder = [channels * n for n in self._ENCODER]
        d4, d3, d2, d1, d1_1, d0, d0_1 = (channels * n for n in self._DECODER)
        skips = [2, *encoder[:-1]]  # the image pair, conv1, conv2, conv3
        for level, (inputs, outputs) in enumerate(zip(skips, encoder), 1):
            setattr(self, f"conv{level}", _convolution(inputs, outputs, 2))
        self.decode4 = _convolution(encoder[-1], d4)
        self.decode3 = _convolution(d4 + skips[3], d3)
        self.decode2 = _convolution(d3 + skips[2], d2)
        self.decode1 = _convolution(d2 + skips[1], d1)
        self.decode1_1 = _convolution(d1, d1_1)
        self.decode0 = _convolution(d1_1 + skips[0], d0)
        self.decode0_1 = _convolution(d0, d0_1)
        self.flow = layers.convolution(d0_1, 3, initializer=layers.SMALL)
        self.built = True  # the weights exist

    @property
    def heads(self):
        """The layers whose outputs are the flow, up to a factor."""
        return [self.flow]

    def call(self, fixed, moving):
        """Predicts the flow in voxels, [B, x, y, z, 3], of two volumes [B, x, y, z, 1]."""
        x0 = layers.image_pair(fixed, moving)
        x1 = self.conv1(x0)
        x2 = self.conv2(x1)
        x3 = self.conv3(x2)
        x = self.decode4(self.conv4(x3))
        x = self.decode3(_upsample_onto(x, x3))
        x = self.decode2(_upsample_onto(x, x2))
        x = self.decode1_1(self.decode1(_upsample_onto(x, x1)))
        x = self.decode0_1(self.decode0(_upsample_onto(x, x0)))
        return self.flow(x) * self.multiplier


class LDRReleased(VoxelMorph):
    """What the authors' repository ships under the name LDR: 280,659 parameters at 16 channels.

    Not the network of the paper's text (that is `ldr_tf.networks.student.LDR`); kept so that
    released weights load. For livers the release puts a first stem of the same kind in the affine
    stem's place; here that is simply one more cascade.
    """

    _ENCODER = (2, 2, 2, 1)
    _DECODER = (2, 2, 2, 2, 1, 1, 1)


def _convolution(inputs, outputs, strides=1):
    return layers.convolution(inputs, outputs, 3, strides, layers.leaky_relu)


def _upsample_onto(x, skip):
    """Doubles `x` by nearest neighbour and concatenates it with the skip."""
    for axis in (1, 2, 3):
        x = tf.repeat(x, 2, axis=axis)
    return tf.concat([x, skip], axis=-1)
