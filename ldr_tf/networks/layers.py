"""Building blocks of the networks: 3D convolutions whose weights exist from the start."""

import tensorflow as tf

from ldr_tf.keras import keras
from ldr_tf.ops import subpixel
from ldr_tf.ops.warp import spatial_size

HE_UNIFORM = "he_uniform"
SMALL = "small"
ZEROS = "zeros"


def leaky_relu(tensor):
    """LeakyReLU with the slope 0.1 of the VTN family."""
    return tf.nn.leaky_relu(tensor, alpha=0.1)


_MOST_SUBPIXEL_FILTERS = 4
"""Up to this many filters a sub-pixel convolution is faster, as measured on a CPU."""


class Conv3DTranspose(keras.layers.Conv3DTranspose):
    """Keras' layer, computed as a sub-pixel convolution if it has few filters.

    Weights and results are those of Keras' layer. For 4x4x4 kernels of stride 2 without bias.

    Attributes:
      subpixel: whether it is computed as a sub-pixel convolution.
      compiled: see `ldr_tf.ops.subpixel.transposed_convolution`.
    """

    def __init__(self, filters, *args, compiled=True, **kwargs):
        super().__init__(filters, *args, **kwargs)
        self.subpixel = filters <= _MOST_SUBPIXEL_FILTERS
        self.compiled = compiled

    def call(self, inputs):
        if not self.subpixel:
            return super().call(inputs)
        kernel = tf.convert_to_tensor(self.kernel)
        return self.activation(subpixel.transposed_convolution(inputs, kernel, self.compiled))


def image_pair(fixed, moving):
    """Returns [B, x, y, z, 2] of two volumes [B, x, y, z, 1], as `tf.concat` would, but faster."""
    shape = tf.shape(fixed)
    planes = tf.stack([tf.reshape(v, [shape[0], -1]) for v in (fixed, moving)], axis=1)
    pair = tf.reshape(tf.transpose(planes, [0, 2, 1]), tf.concat([shape[:-1], [2]], axis=0))
    return tf.ensure_shape(pair, [*fixed.shape[:-1], 2])


def convolution(in_channels, filters, kernel=3, strides=1, activation=None, **options):
    """Returns a built Conv3D (see `_built`)."""
    return _built(keras.layers.Conv3D, in_channels, filters, kernel, strides, activation, **options)


def transposed_convolution(in_channels, filters, activation=None, **options):
    """Returns a built 4x4x4 Conv3DTranspose of stride 2 without bias (see `_built`)."""
    return _built(
        Conv3DTranspose,
        in_channels,
        filters,
        4,
        2,
        activation,
        use_bias=False,
        **options,
    )


def _built(
    layer_class,
    in_channels,
    filters,
    kernel,
    strides,
    activation,
    use_bias=True,
    padding="same",
    initializer=HE_UNIFORM,
    **options,
):
    """Returns a layer whose weights exist already, so that checkpoints restore before any call.

    The initializers SMALL and ZEROS are for heads that predict a displacement: training then starts
    near or at the identity. Heads compute in float32 whatever the other layers do: rounded to
    bfloat16, a displacement of 7 voxels alone is 0.02 off.
    """
    if initializer in (SMALL, ZEROS):
        options.setdefault("dtype", "float32")
    if initializer == SMALL:
        initializer = keras.initializers.RandomNormal(stddev=1e-3)
    layer = layer_class(
        filters,
        kernel,
        strides=strides,
        padding=padding,
        activation=activation,
        use_bias=use_bias,
        kernel_initializer=initializer,
        **options,
    )
    layer.build((None, None, None, None, in_channels))
    return layer


def pad_to_multiple(tensor, multiple, step=1):
    """Pads a volume with zeros, evenly at both ends, until each side is a multiple of `multiple`.

    Args:
      tensor: [B, x, y, z, channels].
      multiple: a multiple of `step`.
      step: 1 or 2: voxels along an axis per voxel of the volumes that `crop` takes; the padding
        before the volume is a multiple of it.

    Returns:
      The padded volume and `crop`, a function that cuts the original extent out of a volume whose
      voxels are `step` times as wide.
    """
    size = spatial_size(tensor)
    before = [(-n % multiple) // 2 // step * step for n in size]
    after = [(-n % multiple) - b for n, b in zip(size, before)]
    if all(isinstance(n, int) and n % multiple == 0 for n in size):
        return tensor, lambda volume: volume

    def crop(volume):
        begin, extent = [b // step for b in before], [-(-n // step) for n in size]
        return tf.slice(volume, [0, *begin, 0], [tf.shape(volume)[0], *extent, volume.shape[-1]])

    padded = tf.pad(tensor, [[0, 0], *([b, a] for b, a in zip(before, after)), [0, 0]])
    return padded, crop
