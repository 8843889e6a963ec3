"""Spatial derivatives of volumes."""

import tensorflow as tf

from ldr_tf.conventions import AXES, check_volume


def spatial_gradient(volume):
    """Returns the gradient by central differences, the outermost voxels repeated beyond the border.

    Args:
      volume: [batch, x, y, z, 1], sides known.

    Returns:
      [batch, x, y, z, 3], per voxel.
    """
    pairs = [neighbours(check_volume(volume, "volume"), axis) for axis in AXES]
    return tf.concat([(ahead - behind) / 2.0 for ahead, behind in pairs], -1)


def laplacian(volume):
    """Returns each voxel's difference to its six neighbours, summed; positive in a dent.

    Args:
      volume: [batch, x, y, z, channels], sides known.

    Returns:
      The same shape; voxels at the border have no neighbours beyond it.
    """
    total = 0.0
    for axis in AXES:
        ahead, behind = neighbours(check_volume(volume, "volume"), axis)
        total += ahead + behind - 2.0 * volume
    return total


def neighbours(volume, axis):
    """Returns the voxels ahead and behind along an axis; beyond the border the outermost one."""
    length = volume.shape[axis]
    first, most = tf.split(volume, [1, length - 1], axis)
    rest, last = tf.split(volume, [length - 1, 1], axis)
    return tf.concat([most, last], axis), tf.concat([first, rest], axis)
