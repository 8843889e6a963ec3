"""Measures a registration of scans in physical space, from SimpleITK images and fields in mm.

The figures are those of `ldr_tf.metrics`; here images, fields and points become its arrays.
"""

import functools
import math

import numpy as np
import SimpleITK as sitk

from ldr_tf.imaging import (
    ImageOfSlabs,
    apply_transform,
    array_view,
    foreground_threshold,
    grid_of,
    in_threads,
    match_points,
    slabs,
    to_array,
)
from ldr_tf.metrics import jacobian
from ldr_tf.metrics.moments import Moments, PairedMoments
from ldr_tf.metrics.overlap import label_overlap


def foreground_correlation(fixed, *others):
    """Returns the Pearson correlation of arrays with a fixed one inside its foreground.

    Args:
      fixed: [x, y, z].
      *others: the same shape, NaN where they are unknown; those voxels are left out.

    Returns:
      A list of numbers, None where nothing is known or either array is constant.
    """
    threshold = foreground_threshold(fixed)
    planes = zip(fixed, *others)
    return correlations(in_threads(functools.partial(foreground_moments, threshold), planes))


def foreground_moments(threshold, fixed, *others):
    """Returns the PairedMoments of arrays with a fixed one where that is above a threshold.

    Where another array is NaN it is left out.
    """
    inside = fixed > threshold
    fixed, found = fixed[inside], []
    for other in others:
        other = other[inside]
        known = np.isfinite(other)
        found.append(PairedMoments.of(fixed[known], other[known]))
    return found


def correlations(pieces):
    """Returns the correlations of what `foreground_moments` says of pieces of the same arrays.

    None where nothing is known or either array is constant.
    """
    whole = [sum(of_pieces, PairedMoments()).correlation for of_pieces in zip(*pieces)]
    return [None if math.isnan(value) else value for value in whole]


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
    before = np.linalg.norm(fixed - moving, axis=1)
    carried = fixed + vectors_at(displacement, fixed)
    after = np.linalg.norm(carried - moving, axis=1)
    return [{name: float(mm) for name, mm in zip(names, mms)} for mms in (before, after)]


def vectors_at(field, points):
    """Returns a displacement field's vectors at points, linear; beyond its outermost voxels theirs.

    Args:
      field: the field, mm, LPS.
      points: [n, 3], mm, LPS; the result is of that shape.
    """
    grid = grid_of(field)
    places = grid.points(np.clip(grid.indices(points), 0, np.array(grid.size) - 1.0))
    vectors = [field.EvaluateAtPhysicalPoint(list(map(float, place))) for place in places]
    return np.reshape(vectors, (-1, 3))


def jacobian_determinant(field):
    """Returns the Jacobian determinant of the mapping p + d(p), by forward differences.

    Args:
      field: a displacement field, mm, LPS, on any grid; the axes' directions are heeded.

    Returns:
      float32 [x - 1, y - 1, z - 1] of a field of float32; 1 where nothing moves, not above 0 at a
      fold.
    """
    return jacobian.jacobian_determinant(to_array(field), steps=grid_of(field).steps)


def jacobian_image(field):
    """Returns the `jacobian_determinant` of a field as an image, the last planes repeated."""
    grid = grid_of(field)
    result = ImageOfSlabs(grid, sitk.sitkFloat32)
    for start, stop in slabs(grid, overlap=1):
        determinant = jacobian.jacobian_determinant(
            array_view(field, start, stop), steps=grid.steps
        )
        last = (0, int(stop == grid.size[2]))
        piece = np.pad(determinant, [(0, 1), (0, 1), last], mode="edge")
        result.put(start, piece.astype(np.float32))
    return result.image


def folding(field):
    """Returns how a displacement field folds: slab by slab, on all of the machine's cores.

    Args:
      field: a displacement field, mm, LPS; the axes' directions are heeded.

    Returns:
      {"folds_percent", "folds_any_percent", "std_jacobian"}, see `ldr_tf.metrics.folding`; the
      first and the last of the Jacobian determinant by forward differences.
    """
    grid = grid_of(field)
    depth = grid.size[2]

    def of_slab(start, stop):
        piece = array_view(field, start, min(stop + 1, depth))
        ahead = jacobian.jacobian_determinant(piece, steps=grid.steps)
        folded = np.count_nonzero(_folded(field, start, stop))
        return folded, np.count_nonzero(~(ahead > 0)), Moments.of(ahead)

    pieces = list(slabs(grid))
    # Two slices are the least that has differences.
    if len(pieces) > 1 and pieces[-1][1] - pieces[-1][0] < 2:
        pieces[-2:] = [(pieces[-2][0], depth)]
    found = list(in_threads(of_slab, pieces))
    moments = sum((of_piece for _, _, of_piece in found), Moments())
    return {
        "folds_percent": 100.0 * sum(forward for _, forward, _ in found) / moments.count,
        "folds_any_percent": 100.0 * sum(any_ for any_, _, _ in found) / math.prod(grid.size),
        "std_jacobian": moments.deviation,
    }


def folded_places(field):
    """Returns the indices [n, 3] of a field's voxels that fold towards any of their corners.

    Args:
      field: a displacement field, mm, LPS.
    """
    pieces = list(slabs(grid_of(field)))
    found = in_threads(functools.partial(_folded, field), pieces)
    places = [np.argwhere(one) + (0, 0, start) for one, (start, _) in zip(found, pieces)]
    return np.concatenate(places)


def _folded(field, start, stop):
    """Returns which voxels of the slices `start` to `stop` fold, no slices where surely none do."""
    # Those ahead of the last and behind the first take part.
    before, after = int(start > 0), int(stop < field.GetSize()[2])
    piece = array_view(field, start - before, stop + after)
    if jacobian.surely_unfolded(piece, field.GetSpacing()):
        return np.zeros((*piece.shape[:2], 0), bool)
    return jacobian.folded_voxels(piece, grid_of(field).steps)[..., before : before + stop - start]
