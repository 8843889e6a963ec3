"""Scans on other grids, as they are and as a network sees them."""

import collections
import os

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from ldr_tf.imaging.arrays import as_float32, to_array
from ldr_tf.imaging.intensity import scale_intensity
from ldr_tf.imaging.padding import is_padding, without_padding
from ldr_tf.imaging.slabs import in_threads

_SMOOTH_ABOVE = 1.2


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
      float32 [x, y, z], whole numbers 0..255 (see scale_intensity). Outside the scan and in its
      padding its lowest measured value goes on, air in a CT.
    """
    return scale_intensity(resample_scan(image, grid, transform), image_config.intensity)


def resample_scan(image, grid, transform=None):
    """Returns a scan on a grid, float32 [x, y, z], its intensities as they are; the arguments and
    what lies outside are as in `prepare_image`.
    """
    image = without_padding(as_float32(image))
    lowest = float(sitk.GetArrayViewFromImage(image).min())
    return to_array(resample(image, grid, transform=transform, default=lowest))


def inside_scan(image, grid, transform=None):
    """Tells which voxels of a grid a scan covers, its padding left out.

    Args:
      image, grid, transform: as in `resample`.

    Returns:
      bool [x, y, z].
    """
    padded = is_padding(image)
    if padded is None:
        covered = sitk.Image(image.GetSize(), sitk.sitkUInt8) + 1
    else:
        covered = sitk.GetImageFromArray((~padded).astype(np.uint8))
    covered.CopyInformation(image)
    return to_array(resample(covered, grid, "nearest", transform)) > 0


def _smoothed(image, grid):
    spacing = np.array(image.GetSpacing())
    across = np.reshape(image.GetDirection(), (3, 3)).T @ np.reshape(grid.direction, (3, 3))
    wanted = np.sqrt(across**2 @ np.square(grid.spacing))
    variance = np.where(wanted > _SMOOTH_ABOVE * spacing, wanted**2 - spacing**2, 0.0) / 2.355**2
    if not variance.any():
        return image
    array = sitk.GetArrayFromImage(image)  # k, j, i
    for axis, sigma in enumerate(np.sqrt(variance) / spacing):
        if sigma > 0:
            _smooth(array, 2 - axis, sigma)
    smooth = sitk.GetImageFromArray(array)
    smooth.CopyInformation(image)
    return smooth


def _smooth(array, axis, sigma):
    """Smooths along one axis, in place, on all cores: pieces lie side by side on another axis."""
    other = 0 if axis else 1

    def smooth(piece):
        ndimage.gaussian_filter1d(piece, sigma, axis=axis, output=piece, mode="nearest")

    pieces = np.array_split(array, min(array.shape[other], 2 * (os.cpu_count() or 1)), axis=other)
    collections.deque(in_threads(smooth, [(piece,) for piece in pieces]), maxlen=0)
