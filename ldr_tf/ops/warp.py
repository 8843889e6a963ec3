"""Sampling a volume at displaced positions: the inner loop of registration.

`sample` interpolates a volume at any positions, `warp` at each voxel displaced by a flow. The plain
form (`compiled=False`) is `ldr_tf.ops.plain_warp`; the compiled form is `ldr_tf.ops.fused_warp`.
"""

import tensorflow as tf

from ldr_tf.conventions import check_flow, check_same_grid, check_volume
from ldr_tf.ops import fused_warp, plain_warp
from ldr_tf.ops.compiling import traced_by_shape


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
    if compiled:
        return fused_warp.warp(image, flow)
    return _plain_warp(image, flow)


def warp_gradient(image, flow, upstream):
    """Returns the gradient of `sum(upstream * warp(image, flow))` by the flow, compiled.

    Args:
      image, flow: as in `warp`.
      upstream: [batch, x, y, z, channels].

    Returns:
      [batch, x, y, z, 3]; zero along an axis where coordinates were clamped.
    """
    _check(image, flow)
    return fused_warp.flow_gradient(image, flow, upstream)


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
    if compiled:
        return fused_warp.sample(image, positions)
    return plain_warp.sample(image, positions, spatial_size(image))


def sample_zero_border(image, positions, compiled=True):
    """As `sample`, but with one voxel of zeros around the volume."""
    padded = tf.pad(image, [[0, 0], [1, 1], [1, 1], [1, 1], [0, 0]])
    return sample(padded, positions + 1.0, compiled)


@traced_by_shape
def _plain_warp(image, flow):
    return plain_warp.warp(image, flow, spatial_size(image))


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
