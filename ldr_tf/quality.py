"""What a registration in physical space is worth: correlation, Dice, landmarks, folds."""

import numpy as np

from ldr_tf.errors import InputError
from ldr_tf.imaging import (
    apply_transform,
    displacement_transform,
    foreground_threshold,
    match_points,
    same_grid,
    to_array,
    transform_points,
)
from ldr_tf.metrics.overlap import label_overlap


def foreground_correlation(fixed, *others):
    """Returns the Pearson correlation of arrays with a fixed one inside its foreground.

    Args:
      fixed: [x, y, z].
      *others: the same shape, NaN where they are not known; looked at as far as they are.

    Returns:
      A list of numbers, None where nothing is known or either is constant.
    """
    inside = fixed > foreground_threshold(fixed)
    fixed, found = fixed[inside], []
    for other in others:
        other = other[inside]
        known = np.isfinite(other)
        found.append(_correlation(fixed[known], other[known]))
    return found


def _correlation(first, second):
    if first.size < 2 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return None
    return float(np.corrcoef(first, second, dtype=np.float64)[0, 1])


def check_labels(scan, labels, labels_name, scan_name):
    """Refuses, with InputError, labels that do not lie on their scan's grid; None passes."""
    if labels is not None and not same_grid(labels, scan):
        raise InputError(f"{labels_name}: must lie on the grid of {scan_name}, voxel for voxel.")


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
    """Returns the distances in mm of landmarks to where they should be, before and after.

    Args:
      fixed_points, moving_points: imaging.Points, matched by name, or None.
      displacement: displacement field from points of the fixed to points of the moving scan:
        landmarks travel so.

    Returns:
      Two dicts {name: mm}, or None twice without points of both sides.

    Raises:
      InputError: no name in common.
    """
    if fixed_points is None or moving_points is None:
        return None, None
    names, fixed, moving = match_points(fixed_points, moving_points)
    transform = displacement_transform(displacement)
    carried = transform_points(type(fixed_points)(names, fixed), transform).positions
    return [
        {name: float(mm) for name, mm in zip(names, np.linalg.norm(start - moving, axis=1))}
        for start in (fixed, carried)
    ]


def folding(determinant):
    """Returns folds (voxels with a determinant not above 0) in percent, and its deviation."""
    folds = np.count_nonzero(~(determinant > 0))
    return 100.0 * folds / determinant.size, float(np.std(determinant, dtype=np.float64))
