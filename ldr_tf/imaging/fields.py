"""Between a network's flow and ITK's displacement field (see conventions)."""

import numpy as np
import SimpleITK as sitk

from ldr_tf.imaging.arrays import to_array, to_image
from ldr_tf.imaging.grid import grid_of


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
    """Returns a displacement field on another grid, float64.

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
        sitk.sitkVectorFloat64,
    )
