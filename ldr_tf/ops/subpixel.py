"""Transposed convolution as sub-pixel convolution (Shi et al., CVPR 2016).

A 4x4x4 transposed convolution of stride 2 gives each of the eight voxels of a 2x2x2 block a kernel
of its own, which reaches 2x2x2 voxels of the input. So it equals one 2x2x2 convolution of stride 1
with eight times the channels, followed by a rearrangement. The multiplications are the same, but
few channels, such as a flow's three, fill the processor's vectors eight times better this way.
"""

import tensorflow as tf

from ldr_tf.ops.compiling import compiled_by_shape


def transposed_convolution(features, kernel, compiled=True):
    """Computes what `tf.nn.conv3d_transpose` does with stride 2 and "SAME".

    Args:
      features: [batch, x, y, z, in], any floating type.
      kernel: [4, 4, 4, out, in], as in Keras.
      compiled: whether the rearrangement runs as one XLA function; the results are equal.

    Returns:
      [batch, 2x, 2y, 2z, out].
    """
    padded = tf.pad(features, [[0, 0], [1, 1], [1, 1], [1, 1], [0, 0]])
    blocks = tf.nn.conv3d(padded, _block_kernel(kernel), [1] * 5, "VALID")
    return _rearrange_compiled(blocks) if compiled else _rearrange(blocks)


def _block_kernel(kernel):
    """Returns the kernel of the sub-pixel convolution, [2, 2, 2, in, 8 * out].

    Block t of the output holds the voxels 2t - 1 and 2t along an axis. Voxel 2t - 1 + q sees
    padded input t through element 2 + q of the kernel and padded input t + 1 through element q.
    """
    outputs, inputs = kernel.shape[3:]
    taps = tf.reshape(kernel, [2, 2, 2, 2, 2, 2, outputs, inputs])
    for axis in (0, 2, 4):  # one at a time: OpenVINO reads no reversal of several axes
        taps = tf.reverse(taps, [axis])
    taps = tf.transpose(taps, [0, 2, 4, 7, 1, 3, 5, 6])
    return tf.reshape(taps, [2, 2, 2, inputs, 8 * outputs])


def _rearrange(blocks):
    """Turns blocks [B, x + 1, y + 1, z + 1, 8 * out] into voxels [B, 2x, 2y, 2z, out]."""
    outputs = blocks.shape[-1] // 8
    x, y, z = [n or tf.shape(blocks)[i + 1] for i, n in enumerate(blocks.shape[1:4])]
    voxels = tf.reshape(blocks, [-1, x, y, z, 2, 2, 2, outputs])
    voxels = tf.transpose(voxels, [0, 1, 4, 2, 5, 3, 6, 7])
    voxels = tf.reshape(voxels, [-1, 2 * x, 2 * y, 2 * z, outputs])
    return voxels[:, 1:-1, 1:-1, 1:-1]  # the outermost half blocks lie outside


_rearrange_compiled = compiled_by_shape(_rearrange)
