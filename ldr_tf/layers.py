"""Building blocks of the networks: 3D convolutions whose weights exist from the start."""

import tensorflow as tf

from ldr_tf.keras import keras
from ldr_tf.ops.warp import spatial_size

HE_UNIFORM = "he_uniform"
SMALL = "small"


def leaky_relu(tensor):
    """LeakyReLU with the slope 0.1 of the VTN family."""
    return tf.nn.leaky_relu(tensor, alpha=0.1)


def convolution(in_channels, filters, kernel=3, strides=1, activation=None, **options):
    """Returns a built Conv3D (see `_built`)."""
    return _built(keras.layers.Conv3D, in_channels, filters, kernel, strides, activation, **options)


def transposed_convolution(in_channels, filters, activation=None, **options):
    """Returns a built 4x4x4 Conv3DTranspose of stride 2 without bias (see `_built`)."""
    return _built(
        keras.layers.Conv3DTranspose,
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
):
    """Creates the layer's weights at once: checkpoints restore into them without a first call.

    `initializer` SMALL is for heads that predict a displacement: training then starts next to the
    identity.
    """
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
    )
    layer.build((None, None, None, None, in_channels))
    return layer


def pad_to_multiple(tensor, multiple):
    """Pads a volume with zeros, evenly on both sides, so that each side is a multiple.

    Returns:
      The padded volume and `crop`, a function that takes the same part out again.
    """
    size = spatial_size(tensor)
    before = [(-n % multiple) // 2 for n in size]
    after = [(-n % multiple) - b for n, b in zip(size, before)]
    if all(isinstance(n, int) and n % multiple == 0 for n in size):
        return tensor, lambda volume: volume

    def crop(volume):
        return tf.slice(volume, [0, *before, 0], [tf.shape(volume)[0], *size, volume.shape[-1]])

    padded = tf.pad(tensor, [[0, 0], *([b, a] for b, a in zip(before, after)), [0, 0]])
    return padded, crop
