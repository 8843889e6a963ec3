"""A scan as the affine step looks at it: coarse, along straight axes, without padding."""

import dataclasses
import functools
from typing import Optional

import numpy as np
import SimpleITK as sitk

from ldr_tf.errors import InputError
from ldr_tf.imaging.affine.core import core_of
from ldr_tf.imaging.arrays import to_array, to_image
from ldr_tf.imaging.grid import Grid, grid_of, network_axes
from ldr_tf.imaging.intensity import foreground_threshold
from ldr_tf.imaging.padding import is_padding, without_padding
from ldr_tf.imaging.resampling import resample

_COARSE = 4.0  # mm
_LEAST, _MOST = 24, 160  # voxels a side that a coarse scan keeps, and has at most
_FINE_VOXELS = 64
_VOXELS = 2**22  # of a scan on any isotropic grid


@dataclasses.dataclass(frozen=True)
class Scan:
    """A scan and where its head or body is.

    Attributes:
      image: float32, as it came, its padding replaced by the lowest measured value.
      measured: uint8 on the same grid, 0 in the padding; None without padding.
      coarse: the image at about 4 mm, its axes near to L, P, S.
      foreground: uint8 on the coarse grid, 1 in the head or body.
      range: the lowest intensity, and one that hardly any exceeds.
    """

    image: sitk.Image
    measured: Optional[sitk.Image]
    coarse: sitk.Image
    foreground: sitk.Image
    range: tuple[float, float]

    @functools.cached_property
    def centre(self):
        """The foreground's centre of mass, mm, LPS."""
        indices = np.argwhere(to_array(self.foreground) > 0)
        return grid_of(self.foreground).points(indices.mean(axis=0))

    @functools.cached_property
    def side(self):
        """Mm: the mean of the two longer sides of the box around the foreground."""
        indices = np.argwhere(to_array(self.foreground) > 0)
        extent = (np.ptp(indices, axis=0) + 1) * self.foreground.GetSpacing()
        return float(np.sqrt(np.prod(np.sort(extent)[1:])))

    @functools.cached_property
    def core(self):
        """The Core of a whole head, see `core_of`; None for anything else."""
        return core_of(self.coarse)

    @property
    def volume(self):
        """Mm^3 of the field of view."""
        return float(np.prod(grid_of(self.image).extent))

    @property
    def fine_spacing(self):
        """Mm at which the foreground takes some 64 voxels a side."""
        return self.side / _FINE_VOXELS

    def cut_off(self):
        """Tells of L, P, S whether the foreground reaches both ends of the field of view."""
        array = to_array(self.foreground) > 0
        inside = [np.flatnonzero(array.any(axis=tuple({0, 1, 2} - {axis}))) for axis in range(3)]
        return [
            bool(found[0] <= 1 and found[-1] >= size - 2)
            for found, size in zip(inside, array.shape)
        ]

    def near(self, grid, core=False):
        """Returns the mask of the foreground and what lies close to it, on another grid.

        With `core`, that of the head's core instead.
        """
        mask = self.core.mask if core else sitk.BinaryDilate(self.foreground, [2, 2, 2])
        mask = resample(mask, grid, "nearest")
        if self.measured is not None:
            mask = mask * resample(self.measured, grid, "nearest")
        return mask

    def isotropic(self, spacing, core=False):
        """Returns the image and its measured mask (or None) at one spacing.

        Their axes are near to L, P, S, so that the scan's storage does not matter. An axis of
        thicker slices keeps them; very bright voxels are clipped, with `core` all that are brighter
        than the head's core.
        """
        image = self.image
        if (np.array(self.coarse.GetSpacing()) < spacing).all():
            image = self.coarse
        source = grid_of(image)
        order, direction = network_axes(source, "LPS")
        extent = source.extent[order]
        spacing = max(spacing, float(np.prod(extent) / _VOXELS) ** (1 / 3))
        steps = np.maximum(spacing, np.array(source.spacing)[order])
        size = np.maximum(8, np.ceil(extent / steps - 1e-6)).astype(int)
        steps = extent / size
        origin = source.centre - direction @ ((size - 1) / 2 * steps)
        grid = Grid(tuple(map(int, size)), tuple(steps), tuple(origin), tuple(direction.ravel()))
        lowest, bright = self.core.range if core else self.range
        image = resample(image, grid, default=lowest)
        measured = None if self.measured is None else resample(self.measured, grid, "nearest")
        return sitk.Clamp(image, upperBound=bright, lowerBound=lowest), measured


def scan_of(image, name):
    """Returns the `Scan` of a SimpleITK image.

    Raises:
      InputError: nothing but background; `name` says whose.
    """
    image = sitk.Cast(image, sitk.sitkFloat32)
    padded = is_padding(image)
    measured = None
    if padded is not None and not padded.all():
        measured = sitk.GetImageFromArray((~padded).astype(np.uint8))
        measured.CopyInformation(image)
        image = without_padding(image)
    coarse = _coarse(image)
    array = to_array(coarse)
    inside = array > foreground_threshold(array)
    if not inside.any():
        raise InputError(f"the {name} scan shows nothing but background.")
    values = sitk.GetArrayViewFromImage(image)
    bright = float(np.percentile(values[::4, ::4, ::4], 99.9)) + 1e-6
    found = float(values.min()), bright
    return Scan(image, measured, coarse, to_image(inside, coarse), found)


def _coarse(image):
    spacing, size = np.array(image.GetSpacing()), np.array(image.GetSize())
    step = max(_COARSE, float((spacing * size).max()) / _MOST)
    factors = np.maximum(1, np.minimum(step // spacing, size // _LEAST)).astype(int)
    return sitk.DICOMOrient(sitk.BinShrink(image, [int(factor) for factor in factors]), "LPS")


def overlap(fixed, moving, transform):
    """Returns how two foregrounds lie on each other inside the fields of view that they share.

    Args:
      fixed, moving: Scans.
      transform: a sitk.AffineTransform from points of the fixed to points of the moving scan.

    Returns:
      Their Dice, and the share of the smaller foreground that lies there.
    """
    first, second = fixed.foreground, moving.foreground
    if moving.volume < fixed.volume:  # a thin one would fall between the other's voxels
        first, second, transform = second, first, transform.GetInverse()
    kind = sitk.sitkNearestNeighbor
    moved = to_array(sitk.Resample(second, first, transform, kind)) > 0
    seen = to_array(sitk.Resample(second * 0 + 1, first, transform, kind)) > 0
    inside = to_array(first) > 0
    both = np.count_nonzero(inside & seen) + np.count_nonzero(moved)
    if not seen.any() or both == 0:
        return 0.0, 0.0
    dice = 2.0 * np.count_nonzero(inside & moved) / both
    voxel = np.prod(second.GetSpacing()) / np.prod(first.GetSpacing())
    smaller = min(np.count_nonzero(inside), np.count_nonzero(to_array(second)) * voxel)
    share = max(np.count_nonzero(inside & seen), np.count_nonzero(moved)) / smaller
    return float(dice), float(share)
