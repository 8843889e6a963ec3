"""Sampling a volume at displaced positions: the inner loop of registration.

`sample` interpolates a volume at any positions; the warps are thin names on top of it. The plain
form (`compiled=False`) is `ldr_tf.ops.plain_warp`. The compiled form runs eight gathers
as one fused XLA function, on the CPU too, with gradients written out so that
the scatter that the image's gradient needs runs only where somebody asks for that gradient.
"""

import itertools

import tensorflow as tf

from ldr_tf.conventions import check_flow, check_same_grid, check_volume
from ldr_tf.ops import plain_warp
from ldr_tf.ops.compiling import compiled_by_shape


def identity_grid(size, dtype=tf.float32):
    """Returns each voxel's own coordinates, [x, y, z, 3]."""
    axes = [tf.range(tf.cast(extent, tf.int32)) for extent in size]
    return tf.cast(tf.stack(tf.meshgrid(*axes, indexing="ij"), axis=-1), dtype)


def spatial_size(tensor):
    """Returns the sizes along x, y, z: numbers where they are known, else scalar tensors."""
    dynamic = tf.shape(tensor)
    return [n if n is not None else dynamic[i + 1] for i, n in enumerate(tensor.shape[1:4])]


def warp(image, flow, compiled=True):
    """Warps an image by a flow: `warped(p) = image(p + flow(p))`.

    Args:
      image: [batch, x, y, z, channels], floating point.
      flow: [batch, x, y, z, 3], voxels.
      compiled: whether to run as one fused XLA function; results agree to rounding.

    Returns:
      [batch, x, y, z, channels]; trilinear, coordinates clamped to the volume.

    Raises:
      ValueError: shapes do not fit.
    """
    _check(image, flow)
    if not compiled:
        return plain_warp.warp(image, flow, spatial_size(image))
    return sample(image, identity_grid(spatial_size(flow)) + flow)


def warp_zero_border(image, flow, compiled=True):
    """As `warp`, but the volume is surrounded by zeros, one voxel away from its edge."""
    _check(image, flow)
    return sample_zero_border(image, identity_grid(spatial_size(flow)) + flow, compiled)


def warp_nearest(image, flow):
    """As `warp`, but takes the nearest voxel; for labels of any type."""
    _check(image, flow)
    size = spatial_size(image)
    positions = identity_grid(spatial_size(flow)) + flow
    nearest = tf.cast(tf.floor(_clamp(positions, size) + 0.5), tf.int32)
    return _gather(image, [nearest[..., axis] for axis in range(3)], size)


def sample(image, positions, compiled=True):
    """Interpolates trilinearly.

    Args:
      image: [batch, x, y, z, channels].
      positions: [batch, ..., 3], voxel coordinates; clamped to the volume.
      compiled: see `warp`.

    Returns:
      [batch, ..., channels].
    """
    if not compiled:
        return plain_warp.sample(image, positions, spatial_size(image))
    return _sample_compiled(image, positions)


def sample_zero_border(image, positions, compiled=True):
    """As `sample`, but with one voxel of zeros around the volume."""
    padded = tf.pad(image, [[0, 0], [1, 1], [1, 1], [1, 1], [0, 0]])
    return sample(padded, positions + 1.0, compiled)


def _check(image, flow):
    check_volume(image, "image")
    check_flow(flow, "flow")
    check_same_grid(image, flow, "image", "flow")


def _clamp(positions, size):
    return tf.clip_by_value(positions, 0.0, tf.cast(tf.stack(size), positions.dtype) - 1.0)


def _gather(image, index, size):
    """Takes image[b, i, j, k] for the integer positions index = (i, j, k), each [batch, ...]."""
    flat = tf.reshape(image, [-1, image.shape[-1]])
    batch = tf.range(tf.shape(image)[0])
    batch = tf.reshape(batch, [-1] + [1] * (index[0].shape.rank - 1))
    row = ((batch * size[0] + index[0]) * size[1] + index[1]) * size[2] + index[2]
    return tf.gather(flat, row)


def _cell(positions, size):
    """Returns the lower corner of each position's cell (int32, by axis) and the place within it."""
    clamped = _clamp(positions, size)
    lower = tf.minimum(tf.floor(clamped), tf.cast(tf.stack(size), positions.dtype) - 2.0)
    lower = tf.maximum(lower, 0.0)
    fraction = clamped - lower
    lower = tf.cast(lower, tf.int32)
    return [lower[..., a] for a in range(3)], [fraction[..., a, tf.newaxis] for a in range(3)]


def _corner(image, lower, offsets, size):
    upper = [tf.minimum(lower[a] + offsets[a], size[a] - 1) for a in range(3)]
    return _gather(image, upper, size)


def _sample_fused(image, positions):
    size = spatial_size(image)
    lower, fraction = _cell(positions, size)
    result = 0.0
    for offsets in itertools.product((0, 1), repeat=3):
        weight = 1.0
        for axis in range(3):
            weight *= fraction[axis] if offsets[axis] else 1.0 - fraction[axis]
        result += weight * _corner(image, lower, offsets, size)
    return result


def _position_gradient(image, positions, upstream):
    """Gradient with respect to the positions; zero along an axis where they were clamped."""
    size = spatial_size(image)
    lower, (fx, fy, fz) = _cell(positions, size)
    fx, fy, fz = fx[..., 0], fy[..., 0], fz[..., 0]
    # The derivative along an axis is the difference of the two faces of the cell across it, so
    # every corner is reduced over channels once and serves all three axes.
    c = {
        offsets: tf.reduce_sum(_corner(image, lower, offsets, size) * upstream, axis=-1)
        for offsets in itertools.product((0, 1), repeat=3)
    }
    pairs = list(itertools.product((0, 1), repeat=2))
    edges_x = {(j, k): c[1, j, k] - c[0, j, k] for j, k in pairs}
    edges_y = {(i, k): c[i, 1, k] - c[i, 0, k] for i, k in pairs}
    edges_z = {(i, j): c[i, j, 1] - c[i, j, 0] for i, j in pairs}
    gradient = tf.stack(
        [_bilinear(edges_x, fy, fz), _bilinear(edges_y, fx, fz), _bilinear(edges_z, fx, fy)],
        axis=-1,
    )
    limits = tf.cast(tf.stack(size), positions.dtype) - 1.0
    inside = tf.logical_and(positions >= 0.0, positions <= limits)
    return tf.where(inside, gradient, tf.zeros_like(positions))


def _bilinear(values, first, second):
    """Interpolates between values[0 or 1, 0 or 1] at the fractions along the two axes."""
    low = values[0, 0] + second * (values[0, 1] - values[0, 0])
    high = values[1, 0] + second * (values[1, 1] - values[1, 0])
    return low + first * (high - low)


def _image_gradient(image, positions, upstream):
    """Gradient with respect to the image: the upstream values scattered to the cells' corners."""
    size = spatial_size(image)
    lower, fraction = _cell(positions, size)
    batch = tf.reshape(tf.range(tf.shape(image)[0]), [-1] + [1] * (lower[0].shape.rank - 1))
    channels = image.shape[-1]
    rows = tf.shape(image)[0] * size[0] * size[1] * size[2]
    total = 0.0
    for offsets in itertools.product((0, 1), repeat=3):
        weight = 1.0
        for axis in range(3):
            weight *= fraction[axis] if offsets[axis] else 1.0 - fraction[axis]
        i, j, k = [tf.minimum(lower[a] + offsets[a], size[a] - 1) for a in range(3)]
        row = ((batch * size[0] + i) * size[1] + j) * size[2] + k
        total += tf.math.unsorted_segment_sum(
            tf.reshape(weight * upstream, [-1, channels]), tf.reshape(row, [-1]), rows
        )
    return tf.reshape(total, tf.shape(image))


_forward = compiled_by_shape(_sample_fused)
_backward = compiled_by_shape(_position_gradient)


@tf.custom_gradient
def _sample_compiled(image, positions):
    def gradient(upstream):
        return _image_gradient(image, positions, upstream), _backward(image, positions, upstream)

    return _forward(image, positions), gradient
