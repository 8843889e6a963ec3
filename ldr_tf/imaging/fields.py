"""Between a network's flow and ITK's displacement field (see conventions)."""

import numpy as np
import SimpleITK as sitk

from ldr_tf.imaging.arrays import to_array, to_image
from ldr_tf.imaging.grid import grid_of

_STEPS_PER_MM = np.float32(1024)


def flow_to_displacement(flow, grid):
    """Returns a flow as ITK's displacement field: d = direction (spacing * flow).

    Args:
      flow: [x, y, z, 3], voxels of `grid`.
      grid: the Grid on which it lies.

    Returns:
      A SimpleITK vector image, float64, in mm along the LPS axes, on the same grid.
    """
    direction = np.reshape(grid.direction, (3, 3))
    vectors = np.asarray(flow, np.float64) * np.asarray(grid.spacing)
    return to_image(vectors @ direction.T, grid)


def displacement_to_flow(field):
    """Returns a displacement field (mm, LPS) as a flow [x, y, z, 3] in voxels of its own grid."""
    direction = np.reshape(field.GetDirection(), (3, 3))
    return (to_array(field) @ direction) / np.asarray(field.GetSpacing())


def displacement_on(field, grid):
    """Returns a displacement field on another grid, in its own type.

    Vectors are interpolated linearly. Outside the field's own grid its edge value goes on: a cut
    to zero would tear the image apart there.
    """
    # Corners of the new grid in voxels of the old one say how far the edge must be carried.
    old = grid_of(field)
    corners = np.array(np.meshgrid(*[(0, size - 1) for size in grid.size], indexing="ij"))
    indices = old.indices(grid.points(corners.reshape(3, -1).T))
    below = np.maximum(0, np.ceil(-indices.min(axis=0) + 1e-6))
    above = np.maximum(0, np.ceil(indices.max(axis=0) - np.array(old.size) + 1 + 1e-6))
    padded = sitk.ZeroFluxNeumannPad(field, [int(n) for n in below], [int(n) for n in above])
    return sitk.Resample(
        padded,
        grid.size,
        sitk.Transform(),
        sitk.sitkLinear,
        grid.origin,
        grid.spacing,
        grid.direction,
        0.0,
        padded.GetPixelID(),
    )


def with_affine(field, affine):
    """Returns the displacement field of a field followed by an affine map: p -> A(p + d(p)).

    Rounded to 1/1024 mm: finer than any registration, and half the size of a packed file, since
    the digits that an interpolation leaves behind do not pack.

    Args:
      field: a SimpleITK vector image, mm, LPS.
      affine: a sitk.AffineTransform, of points of the fixed to points of the moving scan.

    Returns:
      A SimpleITK vector image of float32 on the same grid.
    """
    grid = grid_of(field)
    matrix = np.reshape(affine.GetMatrix(), (3, 3))
    array = to_array(field)
    if not np.array_equal(matrix, np.eye(3)):
        array = array @ matrix.T.astype(array.dtype)
    # A(p) - p is linear in the voxel's index: a constant and a share of each axis.
    axes = np.reshape(grid.direction, (3, 3)) * grid.spacing
    steps = (matrix - np.eye(3)) @ axes
    total = np.array(array, np.float32)
    total += np.subtract(affine.TransformPoint(grid.origin), grid.origin).astype(np.float32)
    for axis, size in enumerate(grid.size):
        if steps[:, axis].any():
            shape = [1, 1, 1, 3]
            shape[axis] = size
            share = np.arange(size)[:, None] * steps[:, axis]
            total += share.reshape(shape).astype(np.float32)
    total *= _STEPS_PER_MM
    np.rint(total, out=total)
    total /= _STEPS_PER_MM
    return to_image(total, field)


def jacobian_determinant(field):
    """Returns the Jacobian determinant of the mapping p + d(p), by forward differences.

    Args:
      field: a displacement field, mm, LPS, on any grid; the axes' directions are heeded.

    Returns:
      float32 [x - 1, y - 1, z - 1]; 1 where nothing moves, not above 0 at a fold.
    """
    view = sitk.GetArrayViewFromImage(field)
    # Columns of direction x spacing are the steps in mm to the next voxel along each axis.
    steps = (np.reshape(field.GetDirection(), (3, 3)) * field.GetSpacing()).astype(np.float32)
    volume = np.linalg.det(steps.astype(np.float64)).astype(np.float32)
    result = np.empty([size - 1 for size in view.shape[:3]], np.float32)
    for index in range(len(result)):
        here, above = view[index].astype(np.float32), view[index + 1].astype(np.float32)
        origin = here[:-1, :-1]
        a = np.moveaxis(here[:-1, 1:] - origin + steps[:, 0], -1, 0)
        b = np.moveaxis(here[1:, :-1] - origin + steps[:, 1], -1, 0)
        c = np.moveaxis(above[:-1, :-1] - origin + steps[:, 2], -1, 0)
        cross = (b[1] * c[2] - b[2] * c[1], b[2] * c[0] - b[0] * c[2], b[0] * c[1] - b[1] * c[0])
        result[index] = sum(x * y for x, y in zip(a, cross)) / volume
    return result.transpose(2, 1, 0)


def displacement_transform(field):
    """Returns the SimpleITK transform of a displacement field, which itself stays as it is."""
    return sitk.DisplacementFieldTransform(sitk.Cast(field, sitk.sitkVectorFloat64))


def apply_transform(image, reference, transform=None, interpolation="linear", default=0.0):
    """Returns an image on the reference's grid, seen through a transform.

    Args:
      image: a SimpleITK image; the result has its voxel type.
      reference: an image that gives the grid.
      transform: from points of the reference to points of the image; None for none.
      interpolation: "linear" or "nearest". Nothing is smoothed: it is SimpleITK.Resample.
      default: value outside the image.
    """
    kind = {"linear": sitk.sitkLinear, "nearest": sitk.sitkNearestNeighbor}[interpolation]
    transform = sitk.Transform() if transform is None else transform
    return sitk.Resample(image, reference, transform, kind, default, image.GetPixelID())
