"""Grids in physical space, and the directions of their axes."""

import dataclasses

import numpy as np
import SimpleITK as sitk

_OPPOSITE = {"L": "R", "R": "L", "P": "A", "A": "P", "S": "I", "I": "S"}
_TOWARDS = {
    "L": (1, 0, 0),
    "R": (-1, 0, 0),
    "P": (0, 1, 0),
    "A": (0, -1, 0),
    "S": (0, 0, 1),
    "I": (0, 0, -1),
}


@dataclasses.dataclass(frozen=True)
class Grid:
    """Where the voxels of a volume lie.

    Attributes:
      size: voxels along x, y, z.
      spacing: mm between voxel centres along x, y, z.
      origin: mm, LPS: the centre of voxel (0, 0, 0).
      direction: 3x3 direction cosines, row by row; column c is the axis c in LPS.
    """

    size: tuple[int, int, int]
    spacing: tuple[float, float, float]
    origin: tuple[float, float, float]
    direction: tuple[float, ...]

    def points(self, indices):
        """Returns the LPS points, mm, of voxel indices [n, 3] (fractions allowed)."""
        axes = np.reshape(self.direction, (3, 3))
        return np.asarray(self.origin) + (np.asarray(indices) * self.spacing) @ axes.T

    def indices(self, points):
        """Returns the voxel indices, with fractions, of LPS points [n, 3] in mm."""
        inverse = np.linalg.inv(np.reshape(self.direction, (3, 3)))
        return (np.asarray(points) - self.origin) @ inverse.T / self.spacing

    def resized(self, size):
        """Returns the Grid of other voxels, so many along x, y, z, over the same extent."""
        ratio = np.asarray(self.size) / size
        origin = self.points((ratio - 1) / 2)
        return Grid(
            tuple(int(n) for n in size),
            tuple(float(mm) for mm in ratio * self.spacing),
            tuple(float(mm) for mm in origin),
            self.direction,
        )

    @property
    def steps(self):
        """3x3, mm: column c is the way from a voxel to the next along axis c."""
        return np.reshape(self.direction, (3, 3)) * self.spacing

    @property
    def centre(self):
        """The LPS point, mm, in the middle of the volume."""
        return self.points((np.asarray(self.size) - 1) / 2)

    @property
    def extent(self):
        """Mm that the volume takes along x, y, z, from outer face to outer face."""
        return np.asarray(self.size) * self.spacing


def grid_of(image):
    """Returns the Grid of a SimpleITK image."""
    return Grid(image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection())


def same_grid(first, second):
    """Tells whether two images have voxels in the same places, to a hundredth of a voxel."""
    a, b = grid_of(first), grid_of(second)
    corners = np.array(np.meshgrid(*[(0, size - 1) for size in a.size])).reshape(3, -1).T
    return a.size == b.size and np.allclose(b.indices(a.points(corners)), corners, atol=0.01)


def orientation_of(direction):
    """Returns the letters towards which the axes point, such as "LPS" for the identity."""
    return sitk.DICOMOrientImageFilter.GetOrientationFromDirectionCosines(direction)


def straight_axes(orientation):
    """Returns the 3x3 direction matrix of axes that point exactly as three letters say.

    Columns are the axes, in LPS; see ImageConfig.
    """
    columns = [_TOWARDS[letter] for letter in orientation]
    return np.transpose(columns).astype(float)


def network_axes(grid, orientation):
    """Returns a grid's own axes, exchanged and turned round until they point as asked.

    Args:
      grid: a Grid.
      orientation: three letters, see ImageConfig.

    Returns:
      The list of the grid's axes in the new order, and the new 3x3 direction matrix.
    """
    order, signs = [], []
    have = orientation_of(grid.direction)
    for letter in orientation:
        for axis, other in enumerate(have):
            if other in (letter, _OPPOSITE[letter]):
                order.append(axis)
                signs.append(1 if other == letter else -1)
    return order, np.reshape(grid.direction, (3, 3))[:, order] * signs
