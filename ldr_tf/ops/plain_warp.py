"""Trilinear sampling in ordinary TensorFlow operations only, for exports.

Eight gathers over a whole volume cost mostly memory traffic: every intermediate result, 8 MB at
128^3, is written and read again. Here a loop takes a few planes at a time, which stay in the
processor's cache: about half the time (`experiments.benchmark export`); what fits into one turn
needs no loop. Measured and slower: wider gathers of tables that hold two, four or eight neighbours
as channels, two neighbours packed into one complex number, tf.image.crop_and_resize.
"""

import tensorflow as tf

from ldr_tf.ops.cells import corner_rows, strides

_POSITIONS = 32768
"""Positions per turn of the loop: arrays of 128 KB."""

_TURNS_AT_ONCE = 8


def sample(image, positions, size):
    """As `ldr_tf.ops.warp.sample`; `size` is the image's along x, y, z."""
    return _in_turns(image, positions, size, moves=False)


def warp(image, flow, size):
    """As `ldr_tf.ops.warp.warp`; `size` is the image's along x, y, z."""
    return _in_turns(image, flow, size, moves=True)


def _in_turns(image, where, size, moves):
    """Samples at the positions `where` or, if it `moves`, at each voxel displaced by it."""
    image, where = tf.convert_to_tensor(image), tf.convert_to_tensor(where)
    channels = image.shape[-1]
    shape = tf.concat([tf.shape(where)[:-1], [channels]], axis=0)
    planes, turns = _turns(where)
    table = tf.reshape(image, [-1] if channels == 1 else [-1, channels])
    if planes == where.shape[1]:
        batch = tf.reshape(tf.range(tf.shape(where)[0]), [-1] + [1] * (where.shape.rank - 2))
        first = 0.0 if moves else None
        coordinates = [_axis(where, axis, extent, first) for axis, extent in enumerate(size)]
        return tf.reshape(_interpolated(table, batch, coordinates, size, channels), shape)
    parts = tf.reshape(where, tf.concat([[-1, planes], tf.shape(where)[2:]], axis=0))
    parts = tf.ensure_shape(parts, [None, None, *where.shape[2:]])

    def turn(number):
        part = tf.gather(parts, number)
        batch = number // turns
        first = tf.cast(number % turns * planes, where.dtype) if moves else None
        coordinates = [_axis(part, axis, extent, first) for axis, extent in enumerate(size)]
        return _interpolated(table, batch, coordinates, size, channels)

    numbers = tf.range(tf.shape(where)[0] * turns)
    sampled = tf.map_fn(
        turn, numbers, fn_output_signature=image.dtype, parallel_iterations=_TURNS_AT_ONCE
    )
    sampled = tf.reshape(sampled, shape)
    return tf.ensure_shape(sampled, [*where.shape[:-1], channels])


def _turns(where):
    """Returns the planes along the first axis per turn, and the turns per example."""
    extent, others = where.shape[1], where.shape[2:-1].num_elements()
    if extent is None or others is None:
        return tf.shape(where)[1], 1
    most = max(1, _POSITIONS // max(others, 1))
    planes = max(n for n in range(1, min(extent, most) + 1) if extent % n == 0)
    return planes, extent // planes


def _axis(part, axis, extent, first):
    """Returns the lower corners (int32) and the fractions between corners along an axis."""
    position = part[..., axis]
    if first is not None:
        # The sizes along x, y, z stand before the last.
        voxels = part.shape[axis - 4] or tf.shape(part)[axis - 4]
        own = tf.cast(tf.range(voxels), part.dtype) + (first if axis == 0 else 0.0)
        position += tf.reshape(own, [-1] + [1] * (2 - axis))
    position = tf.clip_by_value(position, 0.0, tf.cast(extent, part.dtype) - 1.0)
    lower = tf.minimum(tf.cast(position, tf.int32), tf.maximum(extent - 2, 0))
    return lower, position - tf.cast(lower, part.dtype)


def _interpolated(table, batch, coordinates, size, channels):
    """Interpolates between the eight corners, along z, then y, then x."""
    (x, fx), (y, fy), (z, fz) = coordinates
    row = ((batch * size[0] + x) * size[1] + y) * size[2] + z
    corners = [tf.gather(table, at) for at in corner_rows(row, strides(size)).values()]
    for fraction in (fz, fy, fx):
        place = fraction if channels == 1 else fraction[..., tf.newaxis]
        pairs = zip(corners[::2], corners[1::2])
        corners = [low + place * (high - low) for low, high in pairs]
    return corners[0]
