"""Local correlation: how well features match those of a volume's voxel and its neighbours.

The cost volume of optical flow networks (Dosovitskiy et al., "FlowNet", ICCV 2015; Sun et al.,
"PWC-Net", CVPR 2018) with a reach of one voxel.

The compiled form is one XLA function, with its two gradients written out as one more each. The
shifted volumes are parts of one that was padded outside: padded within, XLA would ask of every
number that it multiplies whether it lies in the padding.
"""

import functools
import itertools

import tensorflow as tf

from ldr_tf.conventions import check_same_grid, check_volume
from ldr_tf.ops.compiling import compiled_by_shape, traced_by_shape
from ldr_tf.ops.warp import spatial_size

_CUBE = tuple(itertools.product((-1, 0, 1), repeat=3))

OFFSETS = {
    7: tuple(offset for offset in _CUBE if sum(map(abs, offset)) <= 1),
    27: _CUBE,
}
"""By their number: the neighbours' offsets along x, y, z in the order of the result's channels."""


def local_correlation(fixed, moving, neighbours=27, compiled=True):
    """Correlates each voxel's features with those of a voxel of `moving` and its neighbours.

    `result[p, k] = mean over c of fixed[p, c] * moving[p + OFFSETS[neighbours][k], c]`, zero where
    that lies outside the volume.

    Args:
      fixed, moving: features on one grid, [batch, x, y, z, channels], floating point.
      neighbours: 27 (3x3x3) or 7 (the voxel and those that share a face with it).
      compiled: whether to run as one XLA function; results agree to rounding.

    Returns:
      [batch, x, y, z, neighbours].

    Raises:
      ValueError: shapes do not fit, or another number of neighbours.
    """
    check_volume(fixed, "fixed")
    check_volume(moving, "moving")
    check_same_grid(fixed, moving, "fixed", "moving")
    if fixed.shape[-1] != moving.shape[-1]:
        raise ValueError(
            f"fixed and moving must have as many channels, not {fixed.shape[-1]} "
            f"and {moving.shape[-1]}."
        )
    if neighbours not in OFFSETS:
        raise ValueError(f"neighbours must be 7 or 27, not {neighbours}.")
    if compiled:
        return _compiled(fixed, moving, neighbours)
    return _PLAIN[neighbours](fixed, _padded(moving))


def _compiled(fixed, moving, neighbours):
    @tf.custom_gradient
    def correlated(fixed, moving):
        def gradient(upstream):
            # Each by itself, so that a graph drops the one that nobody asks for.
            return (
                _FIXED_GRADIENT[neighbours](_padded(moving), upstream),
                _MOVING_GRADIENT[neighbours](_padded(fixed), _padded(upstream)),
            )

        return _CORRELATE[neighbours](fixed, _padded(moving)), gradient

    return correlated(fixed, moving)


def _correlate(fixed, moving, neighbours):
    """Returns the correlation with `moving`, padded by one voxel."""
    size, channels = _extent(spatial_size(fixed)), tf.constant(-1)
    products = [fixed * _part(moving, size, offset) for offset in OFFSETS[neighbours]]
    return tf.stack([tf.reduce_mean(product, channels) for product in products], axis=-1)


def _fixed_gradient(moving, upstream, neighbours):
    """Returns the gradient with respect to `fixed`; `moving` is padded by one voxel."""
    size, total = _extent(spatial_size(upstream)), 0.0
    for part, offset in zip(tf.split(upstream, neighbours, -1), OFFSETS[neighbours]):
        total += part * _part(moving, size, offset)
    return total / moving.shape[-1]


def _moving_gradient(fixed, upstream, neighbours):
    """Returns the gradient with respect to `moving`; both arguments are padded by one voxel."""
    size, total = _extent([n - 2 for n in spatial_size(fixed)]), 0.0
    for part, offset in zip(tf.split(upstream, neighbours, -1), OFFSETS[neighbours]):
        back = [-step for step in offset]
        total += _part(part, size, back) * _part(fixed, size, back)
    return total / fixed.shape[-1]


def _padded(volume):
    return tf.pad(volume, [[0, 0], [1, 1], [1, 1], [1, 1], [0, 0]])


def _extent(size):
    """Returns the size along x, y, z as `_part` takes it; one tensor for all parts."""
    return tf.stack([-1, *size, -1])


def _part(padded, extent, offset):
    """Returns the volume of a size that lies `offset` from the middle of a padded one."""
    return tf.slice(padded, [0, *(1 + step for step in offset), 0], extent)


def _for_each_number(function, by_shape=compiled_by_shape):
    """Returns the function, compiled or traced, for each number of neighbours."""
    return {number: by_shape(functools.partial(function, neighbours=number)) for number in OFFSETS}


_CORRELATE, _FIXED_GRADIENT, _MOVING_GRADIENT = map(
    _for_each_number, (_correlate, _fixed_gradient, _moving_gradient)
)
_PLAIN = _for_each_number(_correlate, traced_by_shape)
