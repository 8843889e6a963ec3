"""The inverse of a registration: from points of the moving scan to points of the fixed one."""

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from ldr_tf.imaging.arrays import to_array, to_image
from ldr_tf.imaging.fields import apply_displacement
from ldr_tf.imaging.grid import grid_of
from ldr_tf.imaging.slabs import ImageOfSlabs, slab_of, slabs

_ITERATIONS = 20
_DAMPING = 0.8
_CORRECTIONS = 2
_ENOUGH = 0.02


def invert(field, affine, displacement, moving):
    """Inverts p -> A(p + d(p)) on the moving scan's grid.

    p + d(p) is inverted on the field's own, coarser grid by a damped fixed-point iteration,
    v <- v - 0.8 (v + d(p + v)), and carried to the moving scan; two more such steps there take
    away what the difference of the grids leaves. Where the mapping folds there is no inverse.

    Source: Chen et al., "A simple fixed-point approach to invert a deformation field", Medical
    Physics 2008.

    Args:
      field: d, a SimpleITK vector image, mm, LPS.
      affine: A, a sitk.AffineTransform.
      displacement: both as one displacement field, on the fixed scan's grid.
      moving: an image on the grid of the moving scan.

    Returns:
      The inverse as a displacement field of float32 on the moving scan's grid, mm, LPS, and its
      residual [x, y, z] in mm: how far a point carried to the fixed scan and back comes to lie
      from where it was; NaN where it leaves the fixed scan's grid on the way.
    """
    grid, back = grid_of(moving), affine.GetInverse()
    coarse, result = _inverted(field), ImageOfSlabs(grid, sitk.sitkVectorFloat32, 3)
    residual = np.empty(grid.size[::-1], np.float32).transpose()
    for start, stop in slabs(grid):
        place = slab_of(grid, start, stop)
        inverse = _carried(coarse, place, back)
        residual[..., start:stop] = _correct(inverse, displacement, place, back)
        result.put(start, inverse)
    return result.image, residual


def _correct(inverse, displacement, grid, back):
    """Takes from an inverse, in place, what the difference of the grids left; returns residuals."""
    matrix = np.reshape(back.GetMatrix(), (3, 3))
    for step in range(_CORRECTIONS + 1):
        error = _forward(displacement, grid, inverse) + inverse
        residual = np.sqrt(np.einsum("xyzc,xyzc->xyz", error, error))
        inside = np.isfinite(residual)
        good_enough = not inside.any() or np.percentile(residual[inside], 99) < _ENOUGH
        if step == _CORRECTIONS or good_enough:
            break
        error[~inside] = 0.0
        inverse -= error @ matrix.T.astype(np.float32)
    return residual


def _inverted(field):
    """Returns the inverse of a field on its own grid; d goes on beyond it with its edge's value."""
    field, grid = sitk.Cast(field, sitk.sitkVectorFloat32), grid_of(field)
    reach = np.abs(to_array(field)).max() / np.min(grid.spacing)
    margin = [int(min(np.ceil(reach) + 1, size)) for size in grid.size]
    padded = sitk.ZeroFluxNeumannPad(field, margin, margin)
    inverse = -to_array(field)
    for _ in range(_ITERATIONS):
        error = _forward(padded, grid, inverse, 0.0) + inverse
        inverse -= _DAMPING * error
        if np.abs(error).mean() < _ENOUGH / 20:  # at folds it never becomes small
            break
    return to_image(inverse, grid)


def _carried(field, grid, back):
    """Returns q -> A^-1(q) + v(A^-1(q)) - q on a grid, float32; beyond its own v's edge goes on."""
    old, array = grid_of(field), to_array(field)
    # From a voxel of the grid to its place on the field's grid is an affine map of indices.
    corners = np.vstack([np.zeros(3), np.eye(3)])
    points = grid.points(corners)
    straight = np.array([back.TransformPoint(point) for point in points])
    places = old.indices(straight)
    linear = (places[1:] - places[0]).T
    steps = (straight - points)[1:] - (straight - points)[0]
    result = np.empty((*grid.size, 3), np.float32)
    for axis in range(3):
        result[..., axis] = ndimage.affine_transform(
            array[..., axis], linear, places[0], grid.size, np.float32, order=1, mode="nearest"
        )
        result[..., axis] += np.float32((straight - points)[0, axis])
        for along, size in enumerate(grid.size):
            shape = [1, 1, 1]
            shape[along] = size
            share = np.arange(size) * steps[along, axis]
            result[..., axis] += share.reshape(shape).astype(np.float32)
    return result


def _forward(displacement, grid, inverse, outside=np.nan):
    """Returns the displacement at the points q + inverse(q); `outside` off its grid."""
    return to_array(apply_displacement(displacement, to_image(inverse, grid), default=outside))
