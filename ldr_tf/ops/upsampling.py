"""Upsampling of fields from a grid of half the resolution to the full grid.

Voxel i of the half grid covers the voxels 2i and 2i + 1 of the full one along each axis, so its
centre lies at 2i + 1/2. Between centres the field is trilinear, beyond the outermost ones constant:
along an axis, full[2i] = 1/4 half[i - 1] + 3/4 half[i] and
full[2i + 1] = 3/4 half[i] + 1/4 half[i + 1]. `ldr_tf.ops.flow.resize` computes the same for any
sizes, eight times slower.
"""

import tensorflow as tf

from ldr_tf.conventions import check_volume
from ldr_tf.ops.compiling import compiled_by_shape, traced_by_shape


def half_size(size):
    """Returns the half grid's size; along an odd side its last voxel covers only one voxel."""
    return tuple(-(-extent // 2) for extent in size)


def upsample(field, size, compiled=True):
    """Upsamples trilinearly by two, values unchanged.

    Args:
      field: [batch, *half_size(size), channels], for example a flow in voxels of the full grid.
      size: voxels of the full grid along x, y, z.
      compiled: whether to run as one XLA function; results agree to rounding.

    Returns:
      [batch, *size, channels].

    Raises:
      ValueError: the sizes do not fit, or are not known before the graph runs.
    """
    check_volume(field, "field")
    if not all(isinstance(extent, int) for extent in (*size, *field.shape[1:4])):
        raise ValueError("upsampling needs sizes that are known before the graph runs.")
    if tuple(field.shape[1:4]) != half_size(size):
        raise ValueError(
            f"field must have half the voxels of {tuple(size)} along each axis, "
            f"not {tuple(field.shape[1:4])}."
        )
    doubled = (_double_compiled if compiled else _double_plain)(field)
    if any(extent % 2 for extent in size):
        doubled = doubled[:, : size[0], : size[1], : size[2]]
    return doubled


def _double(field):
    for axis in (3, 2, 1):
        field = _double_along(field, axis)
    return field


def _double_along(field, axis):
    shape = field.shape.as_list()
    first, most = tf.split(field, [1, shape[axis] - 1], axis)
    rest, last = tf.split(field, [shape[axis] - 1, 1], axis)
    before, after = tf.concat([first, rest], axis), tf.concat([most, last], axis)
    voxels = tf.stack([0.25 * before + 0.75 * field, 0.75 * field + 0.25 * after], axis + 1)
    shape[axis] *= 2
    return tf.reshape(voxels, [-1, *shape[1:]])


_double_compiled = compiled_by_shape(_double)
_double_plain = traced_by_shape(_double)
