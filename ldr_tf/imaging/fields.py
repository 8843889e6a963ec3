"""Between a network's flow and ITK's displacement field (see conventions)."""

import numpy as np
import SimpleITK as sitk

from ldr_tf.imaging.arrays import to_array, to_image
from ldr_tf.imaging.grid import grid_of
from ldr_tf.imaging.slabs import ImageOfSlabs, in_threads, slab_of, slabs

_STEPS_PER_MM = np.float32(1024)
"""Of a displacement that is to be written: finer than any registration, and half the size of a
packed file, since the digits that an interpolation leaves behind do not pack."""

_KINDS = {"linear": sitk.sitkLinear, "nearest": sitk.sitkNearestNeighbor}


def flow_to_displacement(flow, grid, dtype=np.float64):
    """Returns a flow as ITK's displacement field: d = direction (spacing * flow).

    Args:
      flow: [x, y, z, 3], voxels of `grid`.
      grid: the Grid on which it lies.
      dtype: of the result.

    Returns:
      A SimpleITK vector image in mm along the LPS axes, on the same grid.
    """
    return to_image(np.asarray(flow, dtype) @ grid.steps.T.astype(dtype), grid)


def displacement_to_flow(field):
    """Returns a displacement field (mm, LPS) as a flow [x, y, z, 3] in voxels of its own grid.

    In the field's own precision.
    """
    vectors = to_array(field)
    to_voxels = np.reshape(field.GetDirection(), (3, 3)) / np.asarray(field.GetSpacing())
    return vectors @ to_voxels.astype(vectors.dtype)


def displacement_on(field, grid):
    """Returns a displacement field on another grid, in its own type; itself if it lies there.

    Vectors are interpolated linearly. Outside the field's own grid its edge value goes on: a cut
    to zero would tear the image apart there.
    """
    if grid_of(field) == grid:
        return field
    return to_image(_vectors_on(field, grid)(0, grid.size[2]).transpose(2, 1, 0, 3), grid)


def with_affine(field, affine, grid=None):
    """Returns the displacement field of a field followed by an affine map: p -> A(p + d(p)).

    Rounded, see `rounded`.

    Args:
      field: d, a SimpleITK vector image, mm, LPS.
      affine: A, a sitk.AffineTransform, of points of the fixed to points of the moving scan.
      grid: the Grid of the result, to which the field is carried as by `displacement_on`; None for
        the field's own.

    Returns:
      A SimpleITK vector image of float32.
    """
    grid = grid_of(field) if grid is None else grid
    vectors_of = _vectors_on(sitk.Cast(field, sitk.sitkVectorFloat32), grid)
    matrix = np.reshape(affine.GetMatrix(), (3, 3))
    turned = not np.array_equal(matrix, np.eye(3))
    # A(p) - p is linear in the voxel's index: a constant and a share of each axis.
    steps = (matrix - np.eye(3)) @ grid.steps
    plane = np.subtract(affine.TransformPoint(grid.origin), grid.origin)
    plane = plane + np.arange(grid.size[1])[:, None, None] * steps[:, 1]
    plane = (plane + np.arange(grid.size[0])[:, None] * steps[:, 0]).astype(np.float32)
    matrix = matrix.T.astype(np.float32)
    result = ImageOfSlabs(grid, sitk.sitkVectorFloat32, 3)

    def slab(start, stop):
        vectors = vectors_of(start, stop)
        # In place and slice by slice: fresh memory and the way to it cost more than the sums.
        for k, piece in enumerate(vectors, start):
            if turned:
                piece[...] = piece @ matrix
            piece += plane
            piece += (k * steps[:, 2]).astype(np.float32)
            rounded(piece)
        return start, vectors.transpose(2, 1, 0, 3)

    for start, vectors in in_threads(slab, slabs(grid)):
        result.put(start, vectors)
    return result.image


def _vectors_on(field, grid):
    """Returns a function of the first and the last slice but one: the vectors there.

    These are those of `displacement_on`, [z, y, x, 3], the order of voxels in memory, and fresh.
    """
    old = grid_of(field)
    across = np.reshape(old.direction, (3, 3)).T @ np.reshape(grid.direction, (3, 3))
    if np.allclose(across, np.rint(across), atol=1e-6):
        return _along_axes(field, grid, np.rint(across))
    # Corners of the new grid in voxels of the old one say how far the edge must be carried.
    corners = np.array(np.meshgrid(*[(0, size - 1) for size in grid.size], indexing="ij"))
    indices = old.indices(grid.points(corners.reshape(3, -1).T))
    below = np.maximum(0, np.ceil(-indices.min(axis=0) + 1e-6))
    above = np.maximum(0, np.ceil(indices.max(axis=0) - np.array(old.size) + 1 + 1e-6))
    padded = sitk.ZeroFluxNeumannPad(field, [int(n) for n in below], [int(n) for n in above])

    def vectors_of(start, stop):
        place = slab_of(grid, start, stop)
        carried = sitk.Resample(
            padded,
            place.size,
            sitk.Transform(),
            sitk.sitkLinear,
            place.origin,
            place.spacing,
            place.direction,
            0.0,
            padded.GetPixelID(),
        )
        return sitk.GetArrayFromImage(carried)

    return vectors_of


def _along_axes(field, grid, across):
    """As `_vectors_on`, for parallel axes: one axis after the other, several times faster.

    Args:
      across: column c holds 1 or -1 where the old grid has the new axis c.
    """
    old = grid_of(field)
    order = np.abs(across).argmax(axis=0)
    corner = old.indices([grid.origin])[0]
    array = to_array(field).transpose(order[2], order[1], order[0], 3)
    places = []
    for axis, source in enumerate(order):
        step = across[source, axis] * grid.spacing[axis] / old.spacing[source]
        place = corner[source] + step * np.arange(grid.size[axis])
        place = np.clip(place, 0, old.size[source] - 1)
        lower = np.floor(place).astype(int)
        upper = np.minimum(lower + 1, old.size[source] - 1)
        places.append((lower, upper, (place - lower).astype(array.dtype)))

    def vectors_of(start, stop):
        lower, upper, share = (part[start:stop] for part in places[2])
        first = min(lower.min(), upper.min())
        slices = array[first : max(lower.max(), upper.max()) + 1]
        for axis in (0, 1):
            below, above, part = places[axis]
            slices, above = slices.take(below, 2 - axis), slices.take(above, 2 - axis)
            above -= slices
            above *= part.reshape((-1, 1, 1) if axis else (-1, 1))
            slices += above
        result = np.empty((stop - start, *slices.shape[1:]), array.dtype)
        for piece, low, high, part in zip(result, lower - first, upper - first, share):
            np.subtract(slices[high], slices[low], out=piece)
            piece *= part
            piece += slices[low]
        return result

    return vectors_of


def rounded(vectors):
    """Rounds displacements in mm, float32, to 1/1024 mm, in place; returns them."""
    vectors *= _STEPS_PER_MM
    np.rint(vectors, out=vectors)
    vectors /= _STEPS_PER_MM
    return vectors


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
    return place_on(image, grid_of(reference), transform, interpolation, default)


def place_on(image, grid, transform=None, interpolation="linear", default=0.0, kind=None):
    """As `apply_transform`, on a Grid, in another voxel type of SimpleITK's if one is given."""
    return sitk.Resample(
        image,
        grid.size,
        sitk.Transform() if transform is None else transform,
        _KINDS[interpolation],
        grid.origin,
        grid.spacing,
        grid.direction,
        float(default),
        image.GetPixelID() if kind is None else kind,
    )


def apply_displacement(image, field, interpolation="linear", default=0.0):
    """As `apply_transform` through a displacement field onto the field's own grid, but faster.

    Args:
      image: a SimpleITK image; the result has its voxel type.
      field: a displacement field, float32 or float64, mm, LPS.
      interpolation, default: as in `apply_transform`.
    """
    grid = grid_of(field)
    return sitk.Warp(
        image,
        field,
        _KINDS[interpolation],
        grid.size,
        grid.origin,
        grid.spacing,
        grid.direction,
        default,
    )
