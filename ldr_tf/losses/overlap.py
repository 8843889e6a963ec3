"""Overlap of labels: an auxiliary loss for pairs with segmentations."""

import tensorflow as tf

from ldr_tf.conventions import AXES, check_flow, check_same_grid, check_volume
from ldr_tf.ops.compiling import compiled_by_shape
from ldr_tf.ops.warp import warp

_BLOCK = 2


def soft_dice_loss(fixed_labels, moving_labels, flow, classes):
    """One minus the mean Dice of the labels' shares in blocks of 2x2x2 voxels.

    With f and w the shares of a class in the blocks of the fixed and of the warped moving labels,
    `1 - mean over classes of 2 sum(f w) / (sum(f^2) + sum(w^2))`. Shares vary smoothly where labels
    jump, and there are eight times fewer blocks than voxels. A class that either side lacks does
    not count. Sources: Milletari et al., "V-Net", 2016, for the form; Balakrishnan et al.,
    "VoxelMorph", 2019, for labels as an auxiliary loss.

    Args:
      fixed_labels, moving_labels: integers [batch, x, y, z, 1]; an odd side loses its last layer.
      flow: [batch, x, y, z, 3], voxels.
      classes: the labels that count, integers [n], n known.

    Returns:
      [batch], in 0..1; 0 if no class is on both sides.

    Raises:
      ValueError: shapes do not fit.
    """
    for name, labels in (("fixed_labels", fixed_labels), ("moving_labels", moving_labels)):
        check_volume(labels, name)
        check_same_grid(labels, flow, name, "flow")
    check_flow(flow, "flow")
    fixed, moving = (_shares(labels, classes) for labels in (fixed_labels, moving_labels))
    blocks = tf.nn.avg_pool3d(flow, _BLOCK, _BLOCK, "VALID") / _BLOCK
    warped = warp(moving, blocks)
    product = tf.reduce_sum(fixed * warped, AXES)
    squares = tf.reduce_sum(fixed * fixed + warped * warped, AXES)
    on_both = tf.logical_and(tf.reduce_any(fixed > 0, AXES), tf.reduce_any(moving > 0, AXES))
    dice = tf.where(on_both, 2.0 * tf.math.divide_no_nan(product, squares), 0.0)
    present = tf.reduce_sum(tf.cast(on_both, tf.float32), -1)
    return tf.where(present > 0, 1.0 - tf.math.divide_no_nan(tf.reduce_sum(dice, -1), present), 0.0)


@compiled_by_shape
def _shares(labels, classes):
    """Returns the classes' shares of the blocks, float32 [batch, x/2, y/2, z/2, n].

    Compiled, because the comparison of every voxel with every class then needs no memory.
    """
    batch, *size, _ = labels.shape
    size = [n // _BLOCK for n in size]
    labels = labels[:, : size[0] * _BLOCK, : size[1] * _BLOCK, : size[2] * _BLOCK, 0]
    spread = [n for extent in size for n in (extent, _BLOCK)]
    blocks = tf.reshape(labels, [batch if batch is not None else -1, *spread, 1])
    equal = tf.equal(tf.cast(blocks, tf.int32), tf.cast(classes, tf.int32))
    return tf.reduce_mean(tf.cast(equal, tf.float32), [2, 4, 6])
