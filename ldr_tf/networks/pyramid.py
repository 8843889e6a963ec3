"""A dual-stream pyramid: one encoder for both images, flows from coarse to fine, composed."""

import math

import tensorflow as tf

from ldr_tf.keras import keras
from ldr_tf.networks import layers
from ldr_tf.ops.flow import compose
from ldr_tf.ops.local_correlation import local_correlation
from ldr_tf.ops.upsampling import upsample
from ldr_tf.ops.warp import spatial_size, warp


class Pyramid(keras.Model):
    """A light network that matches features of both images on four levels.

    One encoder, with the same weights for both images, makes features at 1/2, 1/4, 1/8 and 1/16 of
    the resolution. From the coarsest level to the finest each level upsamples the flow so far,
    warps the moving features by it, correlates them locally with the fixed ones, and composes the
    small flow that it finds, in these and in the correlation, onto the flow so far. The last is the
    flow at half the resolution.

    At 16 channels, all convolutions 3x3x3 with LeakyReLU 0.1 unless said otherwise:

    | level | encoder, stride 2 and 1 | correlation, fixed, moving, hidden | convolutions |
    | ----- | ----------------------- | ---------------------------------- | ------------ |
    | 1/16  | 32 to 64, 64 to 64      | 27 + 64 + 64                       | 64, 64, 64   |
    | 1/8   | 16 to 32, 32 to 32      | 27 + 32 + 32 + 32                  | 32, 32, 32   |
    | 1/4   | 8 to 16, 16 to 16       | 27 + 16 + 16 + 16                  | 16, 16, 16   |
    | 1/2   | 1 to 8, 8 to 8          | 7 + 8 + 8 + 8                      | 8, 8, 8      |

    A correlation has a channel for each neighbour that is looked at.
    "Hidden" are the features of the coarser level's last convolution, brought to this level's width
    by a 1x1x1 convolution and upsampled. A 1x1x1 convolution without bias predicts each level's
    flow from its last features; it starts at zero, so that the network starts as the identity.
    930,288 parameters.

    Sources: the comparison of dual-stream pyramids, with and without local correlation, in the
    repository HengjieLiu/Unsupervised-DL-DIR-Revisited; Mok and Chung, "Large Deformation
    Diffeomorphic Image Registration with Laplacian Pyramid Networks", MICCAI 2020, for hidden
    features handed down the pyramid; "Encoder-Only Image Registration" (EOIR), 2025, for flows
    that are composed instead of added.

    Attributes:
      size_multiple: sides of the volume must be multiples of this.
      compiled: whether warps, correlations and upsamplings are XLA functions, on levels where that
        pays; False: plain TensorFlow operations, for exports.
    """

    size_multiple = 16
    _WIDTHS = (1, 2, 4, 8)  # of the levels from fine to coarse, in halves of `channels`
    # On the finest level, which costs most, the flow that is left to find is short.
    _NEIGHBOURS = (7, 27, 27, 27)

    def __init__(self, channels=16, multiplier=1.0, flow_resolution="full", **kwargs):
        """Creates the weights.

        Args:
          channels: of the level at 1/4; half as many at 1/2, the others in proportion.
          multiplier: factor on the flow that each level adds.
          flow_resolution: "full" or "half": the grid of the flow that is returned. It is predicted
            at half the resolution in both cases.
        """
        super().__init__(**kwargs)
        self.compiled = True
        self._flow_resolution = flow_resolution
        widths = [-(-channels * n // 2) for n in self._WIDTHS]
        self.encoder = [
            [_convolution(inputs, width, 2), _convolution(width, width)]
            for inputs, width in zip([1, *widths], widths)
        ]
        self.levels = [
            PyramidLevel(width, coarser, neighbours, multiplier)
            for width, coarser, neighbours in zip(widths, [*widths[1:], 0], self._NEIGHBOURS)
        ]
        self.built = True  # the weights exist

    @property
    def heads(self):
        """The layers whose outputs, but for a factor, are the flows that make up the flow."""
        return [level.flow for level in self.levels]

    def call(self, fixed, moving):
        """Predicts the flow of two volumes [B, x, y, z, 1].

        Returns:
          [B, x, y, z, 3], or [B, x / 2, y / 2, z / 2, 3] at half the resolution, float32; in voxels
          of the volumes in both cases.
        """
        flow = hidden = None
        for level, features in zip(reversed(self.levels), reversed(self._encode(fixed, moving))):
            flow, hidden = level(*tf.split(features, 2), flow, hidden, compiled=self.compiled)
        flow *= 2.0
        if self._flow_resolution == "half":
            return flow
        return upsample(flow, spatial_size(fixed), self.compiled)

    def _encode(self, fixed, moving):
        """Returns the features of both, one after the other in the batch, from fine to coarse."""
        features, x = [], tf.concat([fixed, moving], axis=0)
        for down, same in self.encoder:
            x = same(down(x))
            features.append(x)
        return features


class PyramidLevel(keras.layers.Layer):
    """One level: finds the flow that is left between fixed features and warped moving ones."""

    # A 1x1x1 head has few weights a voxel: so Adam moves its flow as fast as a larger kernel's.
    _FLOW_SCALE = 8.0
    # On levels of up to so many voxels a call saves too little to compile functions for them.
    PLAIN_VOXELS = 16384
    _CONVOLUTIONS = 3

    def __init__(self, width, coarser, neighbours, multiplier, **kwargs):
        """Creates the weights.

        Args:
          width: channels of the features.
          coarser: channels of the next coarser level's hidden features; 0 for the coarsest level.
          neighbours: of the correlation, 7 or 27.
          multiplier: factor on the flow that is added.
        """
        super().__init__(autocast=False, **kwargs)  # flows stay in float32
        self._neighbours = neighbours
        self._flow_scale = self._FLOW_SCALE * multiplier
        inputs = neighbours + 2 * width
        if coarser:
            self.lift = layers.convolution(coarser, width, kernel=1, use_bias=False)
            inputs += width
        self.convolutions = [
            _convolution(width if number else inputs, width) for number in range(self._CONVOLUTIONS)
        ]
        self.flow = layers.convolution(width, 3, kernel=1, use_bias=False, initializer=layers.ZEROS)
        self.built = True  # the weights exist

    def call(self, fixed, moving, flow, hidden, compiled):
        """Composes this level's flow onto that of the coarser ones.

        Args:
          fixed, moving: features, [B, x, y, z, width].
          flow, hidden: what the next coarser level returned; None on the coarsest.
          compiled: see `Pyramid`.

        Returns:
          The flow, [B, x, y, z, 3], float32, in voxels of this level, and the hidden features,
          [B, x, y, z, width].
        """
        size = spatial_size(fixed)
        compiled = compiled and math.prod(size) > self.PLAIN_VOXELS
        moving = tf.cast(moving, tf.float32)
        inputs = [fixed]
        if flow is not None:
            flow = 2.0 * upsample(flow, size, compiled)
            moving = warp(moving, flow, compiled)
            inputs.append(upsample(self.lift(hidden), size, compiled))
        matches = local_correlation(tf.cast(fixed, tf.float32), moving, self._neighbours, compiled)
        inputs += [tf.cast(moving, fixed.dtype), tf.cast(matches, fixed.dtype)]
        x = tf.concat(inputs, axis=-1)
        for layer in self.convolutions:
            x = layer(x)
        found = self.flow(x) * self._flow_scale
        return (found if flow is None else compose(flow, found, compiled)), x


def _convolution(inputs, outputs, strides=1):
    return layers.convolution(inputs, outputs, 3, strides, layers.leaky_relu)
