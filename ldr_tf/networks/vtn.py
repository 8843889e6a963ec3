"""VTN, the teacher's dense sub-network."""

import tensorflow as tf

from ldr_tf.keras import keras
from ldr_tf.networks import layers


class VTNEncoder(keras.layers.Layer):
    """Ten 3x3x3 convolutions down to 1/64: the encoder of VTN and of its affine stem.

    Channels c, 2c, 4c, 4c, 8c, 8c, 16c, 16c, 32c, 32c; LeakyReLU 0.1.
    """

    _PLAN = (  # name, channels in and out in units of c (0: the image pair), stride
        ("conv1", 0, 1, 2),
        ("conv2", 1, 2, 2),
        ("conv3", 2, 4, 2),
        ("conv3_1", 4, 4, 1),
        ("conv4", 4, 8, 2),
        ("conv4_1", 8, 8, 1),
        ("conv5", 8, 16, 2),
        ("conv5_1", 16, 16, 1),
        ("conv6", 16, 32, 2),
        ("conv6_1", 32, 32, 1),
    )
    SKIPS = ("conv1", "conv2", "conv3_1", "conv4_1", "conv5_1", "conv6_1")

    def __init__(self, channels=16, **kwargs):
        super().__init__(**kwargs)
        for name, inputs, outputs, stride in self._PLAN:
            in_channels = inputs * channels or 2
            layer = layers.convolution(
                in_channels, outputs * channels, 3, stride, layers.leaky_relu
            )
            setattr(self, name, layer)

    def call(self, fixed, moving):
        """Returns the features at 1/2, 1/4, .. 1/64 of the size, finest first."""
        x = layers.image_pair(fixed, moving)
        features = {}
        for name, *_ in self._PLAN:
            x = features[name] = getattr(self, name)(x)
        return [features[name] for name in self.SKIPS]


class VTN(keras.Model):
    """The volume tweening network's dense stem: an encoder to 1/64, a flow at every level.

    28,252,203 parameters at 16 channels. Each level's flow is upsampled and fed to the next; the
    last one, times 20, times the multiplier, is the output.

    Source: Zhao et al., "Unsupervised 3D End-to-End Medical Image Registration with Volume
    Tweening Network", 2019; as in "Recursive Cascaded Networks", 2019.

    Attributes:
      size_multiple: sides of the volume must be multiples of this.
    """

    size_multiple = 64
    _FLOW_SCALE = 20.0

    def __init__(self, channels=16, multiplier=1.0, **kwargs):
        """Creates the weights; see `LDR` for the arguments."""
        super().__init__(**kwargs)
        self.multiplier = multiplier
        self.encoder = VTNEncoder(channels)
        skips = [channels * n for n in (16, 8, 4, 2, 1)]
        in_channels = 32 * channels
        for level, skip in zip((6, 5, 4, 3, 2), skips):
            predict = layers.convolution(in_channels, 3, initializer=layers.SMALL)
            upsample = layers.transposed_convolution(3, 3)
            deconvolve = layers.transposed_convolution(in_channels, skip, layers.leaky_relu)
            setattr(self, f"pred{level}", predict)
            setattr(self, f"upsamp{level}to{level - 1}", upsample)
            setattr(self, f"deconv{level - 1}", deconvolve)
            in_channels = 2 * skip + 3
        self.upsamp1to0 = layers.transposed_convolution(in_channels, 3, initializer=layers.SMALL)
        self.built = True  # the weights exist

    @property
    def heads(self):
        """The layers whose outputs are the flow, up to a factor."""
        return [self.upsamp1to0]

    def call(self, fixed, moving):
        """Predicts the flow in voxels, [B, x, y, z, 3], of two volumes [B, x, y, z, 1]."""
        *skips, x = self.encoder(fixed, moving)
        for level, skip in zip((6, 5, 4, 3, 2), reversed(skips)):
            flow = getattr(self, f"pred{level}")(x)
            up = getattr(self, f"upsamp{level}to{level - 1}")(flow)
            deconvolved = getattr(self, f"deconv{level - 1}")(x)
            x = tf.concat([skip, deconvolved, up], axis=-1)
        return self.upsamp1to0(x) * (self._FLOW_SCALE * self.multiplier)
