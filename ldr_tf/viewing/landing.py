"""Where landmarks of the moving scan come to lie on the fixed one: the inverse at single points."""

import numpy as np

from ldr_tf.evaluation.scans import vectors_at
from ldr_tf.imaging import grid_of

_STEPS = 40
_DAMPING = 0.8
_ENOUGH = 0.5
"""Mm within which the point found must be carried back to the landmark."""


def landing_points(displacement, affine, fixed, moving):
    """Returns the points of the fixed scan that the mapping takes to points of the moving scan.

    A damped fixed-point iteration that starts at the partners of the points, see
    `ldr_tf.imaging.inverse`; the affine step's turn is taken out of it.

    Args:
      displacement: the displacement field, mm, LPS, affine step included.
      affine: that step, a linear SimpleITK transform; None for none.
      fixed, moving: [n, 3], mm, LPS.

    Returns:
      [n, 3], mm, LPS; NaN where no point of the fixed scan is found, as where the mapping folds.
    """
    back = np.eye(3)
    if affine is not None:
        origin = np.array(affine.TransformPoint((0.0, 0.0, 0.0)))
        columns = [np.array(affine.TransformPoint(tuple(row))) - origin for row in np.eye(3)]
        back = np.linalg.inv(np.transpose(columns))
    places = np.array(fixed, np.float64)
    for _ in range(_STEPS):
        error = moving - places - vectors_at(displacement, places)
        places += _DAMPING * error @ back.T
    error = moving - places - vectors_at(displacement, places)
    grid = grid_of(displacement)
    inside = np.abs(grid.indices(places) - (np.array(grid.size) - 1) / 2) <= np.array(grid.size) / 2
    places[(np.linalg.norm(error, axis=1) > _ENOUGH) | ~inside.all(axis=1)] = np.nan
    return places
