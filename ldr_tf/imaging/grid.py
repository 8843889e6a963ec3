"""Grids in physical space, the network's among them, and resampling between them."""

import dataclasses

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from ldr_tf.imaging.arrays import to_array, to_image
from ldr_tf.imaging.intensity import foreground_threshold, scale_intensity

_OPPOSITE = {"L": "R", "R": "L", "P": "A", "A": "P", "S": "I", "I": "S"}
_TOWARDS = {
    "L": (1, 0, 0),
    "R": (-1, 0, 0),
    "P": (0, 1, 0),
    "A": (0, -1, 0),
    "S": (0, 0, 1),
    "I": (0, 0, -1),
}
_STEP = 16
_COARSE = 4.0
_SMOOTH_ABOVE = 1.2
_WORK_SPACING = 2.0
_WORK_EDGE = 112


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
        axes = np.reshape(self.direction, (3, 3))
        return np.linalg.solve(axes, (np.asarray(points) - self.origin).T).T / self.spacing

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


def network_grid(fixed, image_config, size, free_size=False, labelled=None):
    """Returns the grid on which a network sees a fixed scan.

    With `image_config.spacing` its axes point exactly as `image_config.orientation` says, so that
    a head looks the same to the network however obliquely it was scanned or stored. Without it
    they are the scan's own, exchanged and turned round until they point so.

    The region that matters is what `image_config.crop` says. With `image_config.spacing` the grid
    has this spacing and is centred on the region; where that is the whole scan, along each axis
    on the scan if its field of view fits to within a voxel a side, else on the foreground's
    bounding box. Without it the region is fitted onto `size` voxels as `image_config.fit` says.

    Args:
      fixed: the scan, a SimpleITK image.
      image_config: an ImageConfig.
      size: voxels along the grid's axes.
      free_size: whether the network takes any size; with a spacing, a side on which the
        foreground does not fit then grows by a multiple of 32.
      labelled: first and last index of the box around the scan's labels, for the crop "labels".
    """
    source = grid_of(fixed)
    _, direction = network_axes(source, image_config.orientation)
    if image_config.spacing is not None:
        direction = straight_axes(image_config.orientation)
    # How much of the grid's axes a box along the scan's axes takes: no more than an exchange of
    # sides unless it is oblique.
    taken = np.abs(direction.T @ np.reshape(source.direction, (3, 3))).round(12)
    extent, centre, size = taken @ source.extent, source.centre, np.array(size)
    if image_config.crop == "labels" and labelled is not None:
        low, high = crop_box(fixed, "labels", labelled)
        extent = taken @ ((high - low + 1) * source.spacing)
        centre = source.points((low + high) / 2)
    elif image_config.crop != "none":
        centre, extent = _foreground_region(fixed, direction)
    if image_config.spacing is None:
        spacing = extent / size
        if image_config.fit == "isotropic":
            spacing = np.full(3, spacing.max())
    elif image_config.crop != "none":
        spacing = np.array(image_config.spacing)
        if free_size:
            size = _grown(size, extent / spacing)
    else:
        spacing = np.array(image_config.spacing)
        # The scan's centre and the box's differ by this much along the grid's axes.
        offset, needed = np.zeros(3), extent
        cut = extent > (size + 2) * spacing
        if cut.any():
            middle, needed = _foreground_region(fixed, direction)
            offset = direction.T @ (middle - source.centre)
        if free_size:
            size = np.where(cut, _grown(size, needed / spacing), size)
        centre = centre + direction @ np.where(cut, offset, 0.0)
    origin = centre - direction @ ((size - 1) / 2 * spacing)
    return Grid(
        tuple(int(n) for n in size),
        tuple(float(s) for s in spacing),
        tuple(float(o) for o in origin),
        tuple(float(d) for d in direction.ravel()),
    )


def _grown(size, needed):
    """Returns the sizes, those that are below what is needed enlarged by multiples of 32.

    Half of 32 on either side: what lies in the middle stays where it was to strided layers, which
    tell places by their remainder of 16.
    """
    step = 2 * _STEP
    missing = np.maximum(needed - size, 0)
    return size + (np.ceil(missing / step - 1e-6) * step).astype(int)


def _foreground_region(image, direction):
    """Returns the box around head or body along the columns of `direction`, a 3x3 matrix.

    Returns:
      Its centre (mm, LPS) and its sides (mm). Of an oblique scan it is the box around what is seen
      along those axes, not around the scan's own box, which would be larger.
    """
    grid = grid_of(image)
    taken = np.abs(direction.T @ np.reshape(grid.direction, (3, 3))).round(12)
    if not np.isin(taken, (0.0, 1.0)).all():
        size = np.ceil(taken @ grid.extent / _COARSE)
        origin = grid.centre - direction @ ((size - 1) / 2 * _COARSE)
        straight = Grid(
            tuple(int(n) for n in size), (_COARSE,) * 3, tuple(origin), tuple(direction.ravel())
        )
        image = resample(image, straight, default=float(to_array(image).min()))
        grid, taken = grid_of(image), np.eye(3)
    low, high = foreground_box(image)
    return grid.points((low + high) / 2), taken @ ((high - low + 1) * grid.spacing)


def foreground_grid(fixed):
    """Returns a grid for work without a network: over the fixed scan's foreground.

    Its axes are the scan's own, turned towards L, P, S. The spacing is 2 mm, coarser where that
    would make more than some 1.4 million voxels, finer for things so small that it would make less
    than 64 voxels a side, never finer than the scan; sides are multiples of 16.
    """
    source = grid_of(fixed)
    order, direction = network_axes(source, "LPS")
    low, high = foreground_box(fixed)
    extent = ((high - low + 1) * source.spacing)[order]
    edge = float(np.prod(extent) ** (1 / 3))
    spacing = max(min(_WORK_SPACING, edge / 64), edge / _WORK_EDGE, min(source.spacing))
    size = (np.ceil(extent / spacing / _STEP - 1e-6) * _STEP).astype(int)
    origin = source.points((low + high) / 2) - direction @ ((size - 1) / 2 * spacing)
    return Grid(
        tuple(int(n) for n in size),
        (spacing,) * 3,
        tuple(float(o) for o in origin),
        tuple(float(d) for d in direction.ravel()),
    )


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


def resample(image, grid, interpolation="linear", transform=None, default=0.0):
    """Returns an image on another grid, in its own voxel type.

    Where linear interpolation would skip voxels (the new spacing above 1.2 times the old one), the
    image is first smoothed along that axis by a Gaussian of sigma = sqrt(new^2 - old^2) / 2.355,
    in mm: its full width at half maximum takes the old voxel to the new one (Cardoso et al., Scale
    factor point spread function matching, MICCAI 2015).

    Args:
      image: a SimpleITK image.
      grid: the new Grid.
      interpolation: "linear", or "nearest" for labels, which are never smoothed.
      transform: a SimpleITK transform from points of the grid to points of the image.
      default: value outside the image.
    """
    if interpolation not in ("linear", "nearest"):
        raise ValueError(f"interpolation must be linear or nearest, not {interpolation!r}.")
    if interpolation == "linear":
        image = _smoothed(image, grid)
    return sitk.Resample(
        image,
        grid.size,
        sitk.Transform() if transform is None else transform,
        sitk.sitkLinear if interpolation == "linear" else sitk.sitkNearestNeighbor,
        grid.origin,
        grid.spacing,
        grid.direction,
        float(default),
        image.GetPixelID(),
    )


def prepare_image(image, grid, image_config, transform=None):
    """Returns a scan as a network sees it; training data and use both come through here.

    Args:
      image: a scan, a SimpleITK image.
      grid: the network's Grid.
      image_config: an ImageConfig; says how intensities are scaled.
      transform: as in `resample`.

    Returns:
      float32 [x, y, z], whole numbers 0..255 (see scale_intensity). Outside the scan its lowest
      value goes on, air in a CT.
    """
    return scale_intensity(resample_scan(image, grid, transform), image_config.intensity)


def resample_scan(image, grid, transform=None):
    """Returns a scan on a grid, float32 [x, y, z], its intensities as they are; the arguments and
    what lies outside are as in `prepare_image`.
    """
    image = sitk.Cast(image, sitk.sitkFloat32)
    lowest = float(sitk.GetArrayViewFromImage(image).min())
    return to_array(resample(image, grid, transform=transform, default=lowest))


def inside_scan(image, grid, transform=None):
    """Tells which voxels of a grid a scan covers: bool [x, y, z]; `transform` as in `resample`."""
    covered = sitk.Image(image.GetSize(), sitk.sitkUInt8)
    covered.CopyInformation(image)
    return to_array(resample(covered + 1, grid, "nearest", transform)) > 0


def _smoothed(image, grid):
    spacing = np.array(image.GetSpacing())
    across = np.reshape(image.GetDirection(), (3, 3)).T @ np.reshape(grid.direction, (3, 3))
    wanted = np.sqrt(across**2 @ np.square(grid.spacing))
    variance = np.where(wanted > _SMOOTH_ABOVE * spacing, wanted**2 - spacing**2, 0.0) / 2.355**2
    if not variance.any():
        return image
    smooth = ndimage.gaussian_filter(to_array(image), np.sqrt(variance), mode="nearest")
    return to_image(smooth, image)


def crop_box(image, crop, labelled=None):
    """Returns the first and last index, as floats, of the region that a crop keeps of a scan.

    Args:
      image: the scan, a SimpleITK image.
      crop: of ImageConfig.crop.
      labelled: first and last index of the box around its labels; None: it has none.
    """
    if crop == "none":
        return np.zeros(3), np.array(image.GetSize()) - 1.0
    if crop == "labels" and labelled is not None:
        return tuple(np.asarray(index, float) for index in labelled)
    return foreground_box(image)


def foreground_box(image):
    """Returns the first and last index, as floats, of the box around the head or body.

    Looked for at about 4 mm, in the largest connected parts, so that noise and small bright
    things do not count; a margin of one such coarse voxel is left.
    """
    factors = [max(1, int(_COARSE / spacing)) for spacing in image.GetSpacing()]
    array = to_array(sitk.BinShrink(sitk.Cast(image, sitk.sitkFloat32), factors))
    parts, _ = ndimage.label(array > foreground_threshold(array))
    volumes = np.bincount(parts.ravel())[1:]
    if not volumes.size:
        return np.zeros(3), np.array(image.GetSize()) - 1.0
    kept = np.isin(parts, 1 + np.flatnonzero(volumes >= 0.1 * volumes.max()))
    low, high = [], []
    for axis, (factor, size) in enumerate(zip(factors, image.GetSize())):
        inside = np.flatnonzero(kept.any(axis=tuple(a for a in range(3) if a != axis)))
        low.append(max(0.0, (inside[0] - 1) * factor))
        high.append(min(size - 1.0, (inside[-1] + 2) * factor - 1))
    return np.array(low), np.array(high)
