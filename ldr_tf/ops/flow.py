"""Flows as mappings: composition, affine maps, resizing."""

import numpy as np
import tensorflow as tf

from ldr_tf.conventions import check_flow, check_same_grid, check_volume
from ldr_tf.ops.warp import identity_grid, spatial_size, warp


def compose(first, second, compiled=True):
    """Composes two flows, the second found on the image that the first has already warped.

    `composed(p) = second(p) + first(p + second(p))`, so that warping by the composition equals
    warping by `first` and then by `second` (up to interpolation).

    Args:
      first, second: [batch, x, y, z, 3], voxels.
      compiled: see `ldr_tf.ops.warp.warp`.

    Returns:
      [batch, x, y, z, 3], voxels.
    """
    check_flow(first, "first")
    check_flow(second, "second")
    return second + warp(first, second, compiled)


def compose_affine(matrix, affine, second):
    """Composes an affine map's flow with a later flow, exactly: `(W + I) second + affine`.

    Args:
      matrix: W of the affine map p -> p + W (p - centre) + b, [batch, 3, 3].
      affine: the affine map's flow, [batch, x, y, z, 3], voxels.
      second: flow found on the image that the affine map has warped, same shape.

    Returns:
      [batch, x, y, z, 3], voxels.
    """
    check_flow(affine, "affine")
    check_flow(second, "second")
    check_same_grid(affine, second, "affine", "second")
    return second + tf.einsum("bij,bxyzj->bxyzi", matrix, second) + affine


def affine_flow(matrix, translation, size):
    """Returns the flow of an affine map about the volume's centre, `W (p - centre) + b`.

    Args:
      matrix: W, [batch, 3, 3]; zero is the identity.
      translation: b, [batch, 3], voxels.
      size: voxels along x, y, z; the centre is (size - 1) / 2.

    Returns:
      [batch, x, y, z, 3], voxels.
    """
    centre = (tf.cast(tf.stack(size), tf.float32) - 1.0) / 2.0
    offsets = identity_grid(size) - centre
    return tf.einsum("bij,xyzj->bxyzi", matrix, offsets) + translation[:, None, None, None, :]


def resize(volume, size, average=False):
    """Resizes a volume trilinearly, values unchanged, voxel centres at half-integer positions.

    Multiplies each axis by a constant matrix, so that there are gradients of any order.

    Args:
      volume: [batch, x, y, z, channels] with known x, y, z.
      size: new number of voxels along x, y, z.
      average: whether an axis that gets shorter takes the mean over what each new voxel covers, so
        that every old voxel counts.

    Returns:
      [batch, *size, channels].
    """
    check_volume(volume, "volume")
    for axis, (old, new) in enumerate(zip(volume.shape[1:4], size)):
        if old != new:
            make = _averaging_matrix if average and new < old else _interpolation_matrix
            matrix = tf.constant(make(old, new))
            equation = ["bxyzc,ix->biyzc", "bxyzc,iy->bxizc", "bxyzc,iz->bxyic"][axis]
            volume = tf.einsum(equation, volume, matrix)
    return volume


def resize_flow(flow, size):
    """Resizes a flow to another grid of the same extent; its unit becomes that grid's voxel."""
    check_flow(flow, "flow")
    factor = [new / old for old, new in zip(spatial_size(flow), size)]
    return resize(flow, size) * tf.constant(factor, tf.float32)


def _interpolation_matrix(old, new):
    """Returns the [new, old] matrix of linear interpolation between half-integer centres."""
    position = np.clip((np.arange(new) + 0.5) * old / new - 0.5, 0, old - 1)
    lower = np.minimum(np.floor(position).astype(int), max(old - 2, 0))
    matrix = np.zeros((new, old), np.float32)
    matrix[np.arange(new), lower] = 1 - (position - lower)
    if old > 1:
        matrix[np.arange(new), lower + 1] += position - lower
    return matrix


def _averaging_matrix(old, new):
    """Returns the [new, old] matrix of means over the old voxels that each new one covers."""
    edges = np.arange(new + 1) * old / new
    places = np.arange(old)
    covered = np.minimum(edges[1:, None], places + 1) - np.maximum(edges[:-1, None], places)
    return (np.maximum(covered, 0) * new / old).astype(np.float32)
