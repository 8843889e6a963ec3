"""Jacobian determinant of a mapping on a voxel grid, by finite differences, with NumPy.

A voxel has eight corners, (0, 0, 0) to (1, 1, 1): towards a corner the differences are taken to the
next voxel along the axes where it has a 1, to the previous voxel where it has a 0. Forward
differences are the corner (1, 1, 1). The counterpart in TensorFlow, for losses, is
`ldr_tf.ops.jacobian`.
"""

import itertools

import numpy as np

FORWARD = (1, 1, 1)
CORNERS = tuple(itertools.product((0, 1), repeat=3))
_SURELY = 0.98
"""Below 1 by far more than float32 rounds."""


def jacobian_determinant(displacement, corner=FORWARD, steps=None):
    """Returns det(d(p + displacement(p)) / dp) by differences towards one corner of each voxel.

    Args:
      displacement: [x, y, z, 3], at least 2 voxels along each axis; computed in its own precision
        (float32, else float64).
      corner: three of 0 and 1, see above.
      steps: 3x3, column c the way from a voxel to the next along axis c, in the unit of the
        displacements: the directions of the axes times the spacing. None: voxels.

    Returns:
      [x - 1, y - 1, z - 1]: of the voxels that have these neighbours, all but the last along an
      axis whose corner is 1, all but the first along the others. 1 where nothing moves, not above
      0 at a fold.
    """
    field, steps, order = _slowest_first(displacement, steps)
    first, *others = [corner[axis] for axis in order]
    volume = np.linalg.det(steps)
    result = np.empty([n - 1 for n in field.shape[:3]], steps.dtype)
    planes = _planes(field, steps.dtype)
    here = next(planes)
    for index, ahead in enumerate(planes):
        normal = _normal(*_edges(here if first else ahead, steps), others)
        along = _at(ahead - here + steps[:, 0, None, None], others)
        np.divide(_dot(along, normal), volume, out=result[index])
        here = ahead
    return result.transpose(np.argsort(order))


def folded_voxels(displacement, steps=None):
    """Returns which voxels fold towards any of their corners, booleans [x, y, z].

    A voxel folds towards a corner where its determinant is not above 0 (NaN counts as a fold). At
    the border the corners without neighbours are left out; every voxel has at least one corner.

    Source: Liu et al., "On finite difference Jacobian computation in deformable image
    registration", IJCV 2024: each scheme of differences overlooks folds that the others find. Of
    the ten determinants that they ask of a digital diffeomorphism these are the eight of corners;
    the two of a voxel's central tetrahedra are not looked at.

    Args:
      displacement, steps: as for `jacobian_determinant`.
    """
    field, steps, order = _slowest_first(displacement, steps)
    orientation = np.sign(np.linalg.det(steps))
    folded = np.zeros(field.shape[:3], bool)
    planes = _planes(field, steps.dtype)
    here = next(planes)
    normals = _normals(here, steps)
    for index, ahead in enumerate(planes):
        # What lies between two planes is shared by the voxels of both: forward for the first,
        # backward for the second.
        along = (ahead - here + steps[:, 0, None, None]) * orientation
        further = _normals(ahead, steps)
        for plane, of_plane in ((folded[index], normals), (folded[index + 1], further)):
            for sides, normal in of_plane.items():
                part = _at(plane, sides)
                part |= ~(_dot(_at(along, sides), normal) > 0)
        here, normals = ahead, further
    return folded.transpose(np.argsort(order))


def folded_among(displacement, steps, places, corners=CORNERS):
    """Returns which of some voxels fold towards any of the corners, booleans [n].

    What `folded_voxels` says of them, for few voxels far cheaper.

    Args:
      displacement: [x, y, z, 3].
      steps: as for `jacobian_determinant`, not None.
      places: indices [n, 3].
      corners: of which at a border those without neighbours are left out.
    """
    here, size = displacement[tuple(places.T)], displacement.shape[:3]
    edges, there = [], []
    for axis in range(3):
        for side in (0, 1):
            beyond = places[:, axis] + (1 if side else -1)
            there.append((beyond >= 0) & (beyond < size[axis]))
            neighbour = places.copy()
            neighbour[:, axis] = np.where(there[-1], beyond, places[:, axis])
            way = displacement[tuple(neighbour.T)] - here
            edges.append((way if side else -way) + steps[:, axis])
    folded, orientation = np.zeros(len(places), bool), np.sign(np.linalg.det(steps))
    for corner in corners:
        x, y, z = (2 * axis + side for axis, side in enumerate(corner))
        volume = np.einsum("nc,nc->n", edges[x], np.cross(edges[y], edges[z]))
        folded |= there[x] & there[y] & there[z] & ~(volume * orientation > 0)
    return folded


def surely_unfolded(displacement, spacing):
    """Whether a displacement field is so smooth that it cannot fold towards any corner.

    The steps from voxel to voxel, as shares of the way, are the columns of the Jacobian less the
    identity; where their squares add up to less than 1, whatever the corner, so does its operator
    norm, and the determinant is above 0. Cheaper than `folded_voxels`, which decides otherwise.

    Args:
      displacement: [x, y, z, 3], in mm.
      spacing: mm between voxels along x, y, z, axes at right angles.
    """
    field, _, order = _slowest_first(displacement, None)
    total, here = 0.0, None
    for plane in field:
        largest = [0.0, 0.0, 0.0]
        for axis, step in ((1, np.diff(plane, axis=0)), (2, np.diff(plane, axis=1))):
            largest[axis] = _largest(step)
        largest[0] = 0.0 if here is None else _largest(plane - here)
        here = plane
        shares = [mm / spacing[axis] ** 2 for mm, axis in zip(largest, order)]
        total = np.maximum(total, shares)
    return bool(np.sum(total) < _SURELY)


def _largest(steps):
    """Returns the largest squared length; infinite where there is a NaN."""
    length = float(np.einsum("xyc,xyc->xy", steps, steps).max())
    return np.inf if np.isnan(length) else length


def _slowest_first(displacement, steps):
    """Returns the field with its axes from the slowest in memory on, steps likewise, the order.

    Plane by plane the work fits into a processor's cache.
    """
    displacement = np.asarray(displacement)
    dtype = np.float32 if displacement.dtype == np.float32 else np.float64
    steps = np.eye(3) if steps is None else np.asarray(steps, np.float64)
    order = sorted(range(3), key=lambda axis: -abs(displacement.strides[axis]))
    return displacement.transpose(*order, 3), steps[:, order].astype(dtype), order


def _planes(field, dtype):
    """Yields copies of the planes along the first axis, each [3, n, m]."""
    for plane in field:
        yield np.ascontiguousarray(np.moveaxis(plane, -1, 0), dtype)


def _edges(plane, steps):
    """Returns the ways from voxel to voxel along the two axes of a plane."""
    first = plane[:, 1:] - plane[:, :-1] + steps[:, 1, None, None]
    return first, plane[:, :, 1:] - plane[:, :, :-1] + steps[:, 2, None, None]


def _normals(plane, steps):
    """Returns the cross product of a plane's edges towards each of its voxels' four sides."""
    edges = _edges(plane, steps)
    return {sides: _normal(*edges, sides) for sides in itertools.product((1, 0), repeat=2)}


def _normal(first, second, sides):
    a = first[:, :, _side(sides[1])]
    b = second[:, _side(sides[0])]
    return (
        a[1] * b[2] - a[2] * b[1],
        a[2] * b[0] - a[0] * b[2],
        a[0] * b[1] - a[1] * b[0],
    )


def _at(plane, sides):
    """Returns a view of the voxels of [..., n, m] that have neighbours on these sides."""
    return plane[..., _side(sides[0]), _side(sides[1])]


def _side(ahead):
    return slice(None, -1) if ahead else slice(1, None)


def _dot(first, second):
    return first[0] * second[0] + first[1] * second[1] + first[2] * second[2]
