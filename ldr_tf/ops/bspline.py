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


def cubic_bspline(distance):
    """Returns the uniform cubic B-spline at distances from its centre, in knots; an array."""
    t = np.abs(distance)
    near, far = 2 / 3 - t**2 + t**3 / 2, (2 - t) ** 3 / 6
    return np.where(t < 1, near, np.where(t < 2, far, 0.0))


def _spline_matrix(points, voxels):
    """Returns the [voxels, points] matrix of cubic B-spline weights along one axis."""
    position = (np.arange(voxels) + 0.5) * (points - 1) / voxels
    return cubic_bspline(position[:, None] - np.arange(points)).astype(np.float32)
