"""Learned steps of gradient descent on the pair itself, after a cascade has found the flow."""

import functools

import tensorflow as tf

from ldr_tf.keras import keras
from ldr_tf.networks import layers
from ldr_tf.ops.compiling import compiled_by_shape, traced_by_shape
from ldr_tf.ops.force import correlation_force
from ldr_tf.ops.gradients import laplacian
from ldr_tf.ops.upsampling import upsample
from ldr_tf.ops.warp import spatial_size


class Descent(keras.Model):
    """A light network that turns the gradient of what a flow is to minimise into a better flow.

    A step sees, at full resolution, the fixed image, the moving one as warped so far, the force of
    local correlation between them, and the composed flow's Laplacian, which is the force of its
    smoothness. So the network does not have to find out from the images what makes them more
    alike, and learns within some hundred steps how far to go.

    At 16 channels, all convolutions 3x3x3 with LeakyReLU 0.1 unless said otherwise:

    | resolution | down, stride 2 and 1 | up |
    | ---------- | -------------------- | -- |
    | 1/2        | 8 to 16, 16 to 16    | 16 + 16 to 16 |
    | 1/4        | 16 to 32, 32 to 32   | 32 + 32 to 32, 32 to 16 by 1x1x1 without activation |
    | 1/8        | 32 to 32, 32 to 32   | |

    The way up is by trilinear interpolation, and a transposed convolution of 4x4x4, stride 2,
    without bias, predicts the flow at full resolution; it starts at zero. 180,048 parameters.

    Sources: Qiu et al., "Embedding Gradient-Based Optimization in Image Registration Networks",
    MICCAI 2022, for a network that is given the gradient; Avants et al., 2008, for the force.

    Attributes:
      size_multiple: what sides are padded to a multiple of.
      compiled: whether force and interpolation are XLA functions; False: plain TensorFlow
        operations, for exports.
    """

    size_multiple = 8

    def __init__(self, channels=16, **kwargs):
        """Creates the weights.

        Args:
          channels: at 1/2; twice as many below.
        """
        super().__init__(autocast=False, **kwargs)  # what it sees is computed in float32
        self.compiled = True
        fine, coarse = channels, 2 * channels
        self.down = [
            [_convolution(inputs, width, 2), _convolution(width, width)]
            for inputs, width in ((8, fine), (fine, coarse), (coarse, coarse))
        ]
        self.up = [_convolution(2 * fine, fine), _convolution(2 * coarse, coarse)]
        self.lift = layers.convolution(coarse, fine, kernel=1, use_bias=False)
        self.flow = layers.transposed_convolution(fine, 3, initializer=layers.ZEROS)
        self.built = True  # the weights exist

    @property
    def heads(self):
        """The layer whose output is the flow."""
        return [self.flow]

    def call(self, fixed, warped, composed):
        """Takes a step.

        Args:
          fixed, warped: [B, x, y, z, 1], float32; the moving image as warped so far.
          composed: the flow so far, [B, x, y, z, 3], voxels. No gradient passes through what is
            seen of it and of the force.

        Returns:
          The flow to compose onto it, [B, x, y, z, 3], float32, voxels.
        """
        seen = (_seen_compiled if self.compiled else _seen_plain)(fixed, warped, composed)
        x, crop = self._padded(tf.cast(seen, self.compute_dtype))
        found = []
        for down, same in self.down:
            x = same(down(x))
            found.append(x)
        half, quarter, eighth = found
        x = self.up[1](tf.concat([quarter, self._doubled(eighth, quarter)], axis=-1))
        x = self.up[0](tf.concat([half, self._doubled(self.lift(x), half)], axis=-1))
        return crop(tf.cast(self.flow(x), tf.float32))

    def _padded(self, seen):
        padded, crop = layers.pad_to_multiple(seen, self.size_multiple)
        if padded is seen:
            return seen, crop
        # Part by part: a convolution right behind a padding would be fused with it by TensorFlow's
        # oneDNN, which then forgets the padding of the convolution itself.
        halves = tf.split(seen, 2, axis=-1)
        halves = [layers.pad_to_multiple(half, self.size_multiple)[0] for half in halves]
        return tf.concat(halves, axis=-1), crop

    def _doubled(self, features, like):
        return upsample(features, spatial_size(like), self.compiled)


# Both are brought to about the size of the images' intensities; a few voxels are far above it.
_FORCE_SCALE, _BEND_SCALE, _MOST = 3.0, 2.0 / 3.0, 4.0


def _seen(fixed, warped, composed, compiled):
    """Returns images and forces, [B, x, y, z, 8]."""
    force = _FORCE_SCALE * correlation_force(fixed, warped, compiled)
    bend = _BEND_SCALE * laplacian(composed)
    given = tf.clip_by_value(tf.concat([force, bend], axis=-1), -_MOST, _MOST)
    return tf.concat([fixed, warped, tf.stop_gradient(given)], axis=-1)


_seen_compiled = compiled_by_shape(functools.partial(_seen, compiled=True))
_seen_plain = traced_by_shape(functools.partial(_seen, compiled=False))


def _convolution(inputs, outputs, strides=1):
    return layers.convolution(inputs, outputs, 3, strides, layers.leaky_relu)
