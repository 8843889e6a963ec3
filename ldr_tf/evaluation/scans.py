"""Measures a registration of scans in physical space, from SimpleITK images and fields in mm.

The figures are those of `ldr_tf.metrics`; here images, fields and points become its arrays.
"""

import math

import numpy as np

from ldr_tf.imaging import (
    apply_transform,
    displacement_to_flow,
    foreground_threshold,
    grid_of,
    match_points,
    to_array,
)
from ldr_tf.metrics import folding as metrics
from ldr_tf.metrics import jacobian
from ldr_tf.metrics.landmarks import landmark_distances
from ldr_tf.metrics.overlap import label_overlap
from ldr_tf.metrics.similarity import correlation


def foreground_correlation(fixed, *others):
    """Returns the Pearson correlation of arrays with a fixed one inside its foreground.

    Args:
      fixed: [x, y, z].
      *others: the same shape, NaN where they are unknown; those voxels are left out.

    Returns:
      A list of numbers, None where nothing is known or either array is constant.
    """
    inside = fixed > foreground_threshold(fixed)
    fixed, found = fixed[inside], []
    for other in others:
        other = other[inside]
        known = np.isfinite(other)
        value = correlation(fixed[known], other[known]) if known.any() else math.nan
        found.append(None if math.isnan(value) else value)
    return found


def label_dices(fixed, fixed_labels, moving_labels, warped_labels):
    """Returns Dice before and after, each {label: Dice} of the labels above 0 on either side.

    Args:
      fixed: the fixed scan.
      fixed_labels, warped_labels: on its grid, or None.
      moving_labels: on the moving scan's grid, or None.

    Returns:
      Two dicts, or None twice where labels are missing.
    """
    if fixed_labels is None or moving_labels is None:
        return None, None
    before = apply_transform(moving_labels, fixed, None, "nearest")
    truth = to_array(fixed_labels)
    values = np.union1d(np.unique(truth), np.unique(to_array(moving_labels)))
    values = [int(value) for value in values if value > 0]
    dices = []
    for labels in (before, warped_labels):
        dice = label_overlap(truth, to_array(labels), values).dice
        dices.append({v: float(d) for v, d in zip(values, dice) if np.isfinite(d)})
    return dices


def landmark_errors(fixed_points, moving_points, displacement):
    """Returns how far landmarks are from where they should be, in mm, before and after.

    Args:
      fixed_points, moving_points: imaging.Points, matched by name, or None.
      displacement: displacement field, from points of the fixed to points of the moving scan: it
        carries the fixed landmarks to the moving scan, where the errors are measured.

    Returns:
      Two dicts {name: mm}, or None twice without points of both sides.

    Raises:
      InputError: no name in common.
    """
    if fixed_points is None or moving_points is None:
        return None, None
    names, fixed, moving = match_points(fixed_points, moving_points)
    grid = grid_of(displacement)
    points, everyone = (grid.indices(fixed), grid.indices(moving)), np.ones(len(names), bool)
    flow = displacement_to_flow(displacement)
    before = np.linalg.norm(fixed - moving, axis=1)
    after = landmark_distances(flow, *points, grid.spacing, everyone)
    return [{name: float(mm) for name, mm in zip(names, mms)} for mms in (before, after)]


def jacobian_determinant(field):
    """Returns the Jacobian determinant of the mapping p + d(p), by forward differences.

    Args:
      field: a displacement field, mm, LPS, on any grid; the axes' directions are heeded.

    Returns:
      float32 [x - 1, y - 1, z - 1] of a field of float32; 1 where nothing moves, not above 0 at a
      fold.
    """
    return jacobian.jacobian_determinant(to_array(field), steps=_steps(field))


def folding(determinant):
    """Returns folds (voxels with a determinant not above 0) in percent, and its deviation."""
    return metrics.folds_percent(determinant), metrics.std_jacobian(determinant)


def folds_any_percent(field):
    """Returns the percentage of voxels where a displacement field folds towards any corner.

    See `ldr_tf.metrics.folding.folds_any_percent`.
    """
    return metrics.folds_any_percent(to_array(field), _steps(field))


def _steps(field):
    """Returns 3x3, in column c the way in mm to the next voxel along axis c."""
    return np.reshape(field.GetDirection(), (3, 3)) * field.GetSpacing()
