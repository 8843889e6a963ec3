"""The inverse of a registration: from points of the moving scan to points of the fixed one."""

import numpy as np
import SimpleITK as sitk

from ldr_tf.imaging.arrays import to_array, to_image
from ldr_tf.imaging.fields import displacement_transform
from ldr_tf.imaging.grid import grid_of

_ITERATIONS = 30
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
    grid = grid_of(moving)
    coarse = _inverted(field)
    back = affine.GetInverse()
    points = _points(grid)
    matrix = np.reshape(back.GetMatrix(), (3, 3))
    straight = points @ matrix.T + np.asarray(back.TransformPoint((0.0, 0.0, 0.0)))
    # Carried as vectors at the points A^-1(q), with the edge's value outside.
    carried = to_array(_through(coarse, grid, back))
    inverse = straight + carried - points
    for step in range(_CORRECTIONS + 1):
        error = _forward(displacement, grid, inverse) + inverse
        residual = np.linalg.norm(error, axis=-1)
        inside = np.isfinite(residual)
        good_enough = not inside.any() or np.percentile(residual[inside], 99) < _ENOUGH
        if step == _CORRECTIONS or good_enough:
            break
        inverse -= np.where(inside[..., None], error, 0.0) @ matrix.T
    return to_image(inverse.astype(np.float32), moving), residual


def _inverted(field):
    """Returns the inverse of a field on its own grid; d goes on beyond it with its edge's value."""
    grid = grid_of(field)
    reach = np.abs(to_array(field)).max() / np.min(grid.spacing)
    margin = [int(min(np.ceil(reach) + 1, size)) for size in grid.size]
    padded = sitk.ZeroFluxNeumannPad(field, margin, margin)
    inverse = -to_array(field)
    for _ in range(_ITERATIONS):
        error = _forward(padded, grid, inverse, 0.0) + inverse
        inverse -= _DAMPING * error
        if np.abs(error).max() < _ENOUGH / 10:
            break
    return to_image(inverse, field)


def _points(grid):
    return grid.points(np.indices(grid.size).reshape(3, -1).T).reshape(*grid.size, 3)


def _through(field, grid, transform):
    """Returns a field's vectors at the transformed points of a grid; its edge goes on outside."""
    corners = np.array(np.meshgrid(*[(0, size - 1) for size in grid.size])).reshape(3, -1).T
    carried = np.array([transform.TransformPoint(point) for point in grid.points(corners)])
    indices = grid_of(field).indices(carried)
    below = np.maximum(0, np.ceil(-indices.min(axis=0) + 1))
    above = np.maximum(0, np.ceil(indices.max(axis=0) - field.GetSize() + 2))
    limit = 4 * np.array(field.GetSize())
    padded = sitk.ZeroFluxNeumannPad(
        field,
        [int(n) for n in np.minimum(below, limit)],
        [int(n) for n in np.minimum(above, limit)],
    )
    return sitk.Resample(
        padded,
        grid.size,
        transform,
        sitk.sitkLinear,
        grid.origin,
        grid.spacing,
        grid.direction,
        0.0,
        sitk.sitkVectorFloat64,
    )


def _forward(displacement, grid, inverse, outside=np.nan):
    """Returns the displacement at the points q + inverse(q); `outside` off its grid."""
    transform = displacement_transform(to_image(inverse, grid))
    return to_array(
        sitk.Resample(
            displacement,
            grid.size,
            transform,
            sitk.sitkLinear,
            grid.origin,
            grid.spacing,
            grid.direction,
            outside,
            sitk.sitkVectorFloat64,
        )
    )
