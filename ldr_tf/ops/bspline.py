"""Cubic B-spline free-form deformation (Rueckert et al., 1999) on a coarse control grid."""

import numpy as np
import tensorflow as tf


def free_form_flow(control_grid, size):
    """Returns the dense flow of a control grid that spans the volume.

    Control points 0..n-1 span the volume at a spacing of s = size / (n - 1) voxels; voxel i lies at
    (i + 0.5) / s. Beyond the outer points the offsets are zero.

    Args:
      control_grid: offsets of the control points, [batch, nx, ny, nz, 3], voxels.
      size: voxels along x, y, z.

    Returns:
      [batch, *size, 3], voxels.
    """
    weights = [
        tf.constant(_spline_matrix(points, voxels))
        for points, voxels in zip(control_grid.shape[1:4], size)
    ]
    return tf.einsum("bijkc,xi,yj,zk->bxyzc", control_grid, *weights, optimize="optimal")


def _spline_matrix(points, voxels):
    """Returns the [voxels, points] matrix of cubic B-spline weights along one axis."""
    position = (np.arange(voxels) + 0.5) * (points - 1) / voxels
    cell = np.floor(position).astype(int)
    t = position - cell
    basis = [
        (1 - t) ** 3 / 6,
        (3 * t**3 - 6 * t**2 + 4) / 6,
        (-3 * t**3 + 3 * t**2 + 3 * t + 1) / 6,
        t**3 / 6,
    ]
    matrix = np.zeros((voxels, points + 2), np.float32)  # one zero point beyond either end
    for k, weight in enumerate(basis):
        matrix[np.arange(voxels), cell + k] = weight
    return matrix[:, 1:-1]
