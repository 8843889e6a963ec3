"""Slices in space: their order, their steps, their tilt, from what DICOM says of each.

A stack of slices is a volume where their positions lie on a line. Where the line is not at right
angles to the slices (gantry tilt), the volume is sheared; `geometry.place` resamples it.
"""

import dataclasses
from typing import Optional

import numpy as np
import SimpleITK as sitk

from ldr_tf.errors import InputError
from ldr_tf.imaging.geometry import place

UNEVEN = ("refuse", "resample")
"""What may be done with slices that lie unevenly: refused, or resampled to even steps."""

_TOLERANCE = 0.1
_SIDEWAYS = 0.2
_ALIKE = 1e-3


@dataclasses.dataclass(frozen=True)
class Slice:
    """What DICOM says of one slice.

    Attributes:
      name: of its file, or of file and frame.
      size: columns and rows.
      spacing: mm between columns and between rows.
      orientation: six cosines, LPS: along a row, along a column.
      position: mm, LPS, of the first voxel.
      tilt: GantryDetectorTilt in degrees, or None.
    """

    name: str
    size: tuple
    spacing: tuple
    orientation: tuple
    position: tuple
    tilt: Optional[float] = None


def in_order(source, slices):
    """Returns the order of slices across their planes, and their heights in mm so ordered.

    Raises:
      InputError: slices of several sizes, spacings or orientations; no orientation.
    """
    first = slices[0]
    for slice_ in slices:
        if slice_.size != first.size or not np.allclose(
            slice_.spacing + slice_.orientation, first.spacing + first.orientation, atol=_ALIKE
        ):
            raise InputError(
                f"{source}: mixes series: {slice_.name} has another size, spacing or orientation "
                f"than {first.name}."
            )
    normal = np.cross(*_plane(source, first))
    heights = np.array([slice_.position for slice_ in slices]) @ normal
    order = np.argsort(heights, kind="stable")
    return order, heights[order]


def stacked(source, image, slices, heights, uneven, notices):
    """Returns the volume of slices where they lie, on a straight grid with even steps.

    Args:
      source: the file or folder, for what is said.
      image: the slices' voxels, in order.
      slices, heights: in order, see `in_order`.
      uneven: one of UNEVEN.
      notices: a Notices.

    Raises:
      InputError: two slices in one place; missing slices or uneven steps, with "refuse"; slices
        that drift sideways.
    """
    steps = np.diff(heights)
    names = [slice_.name for slice_ in slices]
    along = _line(source, slices, heights, notices)
    step = float(np.median(steps)) if steps.size else 1.0
    if steps.size and (np.ptp(steps) > _TOLERANCE * step or steps[0] <= 0):
        _refuse_doubles(source, names, steps)
        if uneven != "resample":
            raise InputError(_complaint(source, names, steps))
        image = _evened(image, steps, step)
        notices.notice(
            "dicom-uneven",
            f"{source}: the slices lie {steps.min():.3g} to {steps.max():.3g} mm apart and were "
            f"interpolated to steps of {step:.3g} mm.",
        )
    elif steps.size:
        step = float(heights[-1] - heights[0]) / len(steps)
    plane = np.transpose(_plane(source, slices[0])) * slices[0].spacing
    affine = np.column_stack([plane, along * step, slices[0].position])
    return place(image, affine, source, notices)


def _plane(source, slice_):
    """Returns the unit vectors along a row and along a column."""
    plane = np.reshape(slice_.orientation, (2, 3)).astype(float)
    lengths = np.linalg.norm(plane, axis=1)
    if not np.isfinite(plane).all() or (np.abs(lengths - 1) > 0.05).any():
        raise InputError(
            f"{source}: the orientation of {slice_.name} (ImageOrientationPatient) must be two "
            f"vectors of length 1, not {slice_.orientation}."
        )
    return plane / lengths[:, None]


def _line(source, slices, heights, notices):
    """Returns the way from slice to slice, mm, for each mm of height: the normal or tilted.

    Raises:
      InputError: the positions lie on no line, or on one that no gantry tilt explains.
    """
    plane = _plane(source, slices[0])
    normal = np.cross(*plane)
    normal /= np.linalg.norm(normal)
    rise = heights[-1] - heights[0]
    if rise <= 0:
        return normal
    places = np.array([slice_.position for slice_ in slices], float)
    along = (places[-1] - places[0]) / rise
    off_line = places - places[0] - (heights - heights[0])[:, None] * along
    sideways = plane @ (places[-1] - places[0] - rise * normal)
    allowed = _SIDEWAYS * max(1.0, min(slices[0].spacing))
    if np.linalg.norm(off_line, axis=1).max() > allowed:
        worst = int(np.linalg.norm(off_line, axis=1).argmax())
        raise InputError(
            f"{source}: the slices do not lie on one line: {slices[worst].name} lies "
            f"{np.linalg.norm(off_line[worst]):.3g} mm beside it (ImagePositionPatient)."
        )
    if np.abs(sideways).max() <= allowed:
        return normal
    tilted = any(slice_.tilt for slice_ in slices)
    if abs(sideways[0]) > allowed and not tilted:
        raise InputError(
            f"{source}: the slices drift sideways along their rows by {abs(sideways[0]):.3g} mm "
            "from the first to the last (ImagePositionPatient), which no gantry tilt explains."
        )
    angle = np.degrees(np.arctan2(np.linalg.norm(sideways), rise))
    notices.notice(
        "dicom-tilted",
        f"{source}: the slices are tilted by {angle:.3g} degrees against the way from slice to "
        "slice (gantry tilt).",
    )
    return along


def _refuse_doubles(source, names, steps):
    double = np.flatnonzero(steps <= _TOLERANCE * np.median(steps))
    if double.size or np.median(steps) <= 0:
        place_ = int(double[0]) if double.size else 0
        raise InputError(
            f"{source}: mixes series: {names[place_]} and {names[place_ + 1]} show one place "
            f"({max(1, double.size)} such pairs of slices)."
        )


def _complaint(source, names, steps):
    gaps = np.flatnonzero(steps > 1.5 * np.median(steps))
    remedy = "slices that lie unevenly can be interpolated to even steps on request"
    if gaps.size:
        return (
            f"{source}: slices of the DICOM series are missing in {gaps.size} places, the first "
            f"after {names[gaps[0]]} ({steps[gaps[0]]:.3g} mm to the next, elsewhere "
            f"{np.median(steps):.3g}); {remedy}."
        )
    return (
        f"{source}: the slices of the DICOM series lie {steps.min():.3g} to {steps.max():.3g} mm "
        f"apart; {remedy}."
    )


def _evened(image, steps, step):
    """Returns the slices interpolated to even steps."""
    have = np.concatenate([[0.0], np.cumsum(steps)])
    wanted = np.arange(0.0, have[-1] + 1e-3 * step, step)
    upper = np.clip(np.searchsorted(have, wanted), 1, len(have) - 1)
    share = np.clip((wanted - have[upper - 1]) / steps[upper - 1], 0, 1)[:, None, None]
    slices = sitk.GetArrayFromImage(image)  # k, j, i
    mixed = slices[upper - 1] * (1 - share) + slices[upper] * share
    if slices.dtype.kind in "iu":
        mixed = np.rint(mixed)
    return sitk.GetImageFromArray(mixed.astype(slices.dtype))
