"""Where a scan's voxels lie: one set of rules for all formats, and what is said of their use.

An affine here is 3x4, of voxel indices to mm along LPS. The rules:

- NIfTI: the sform where its code is above 0, as nibabel, FSL and SPM have it (ITK often takes the
  qform); else the qform where its code is above 0. Forms that place any corner of the volume more
  than a quarter of the smallest voxel edge apart are a warning.
- No orientation at all (NIfTI without either form, Analyze, MetaImage and NRRD without directions):
  axes are taken to point to L, P, S, with a warning.
- Lengths are mm. A header that says metres, centimetres or microns is converted; where that makes
  no size that a scan has, and the bare numbers do, these are taken as mm; a warning either way.
- Axes that miss right angles by up to 1 percent are brought to the nearest right angles, about the
  volume's centre, with a notice. Others (shear, gantry tilt) are resampled, with a notice, to a
  grid at right angles, whose first axis is the old one and whose second lies in the plane of the
  first two.
- Sizes that no scan has are refused where they are too large, a warning where they are too small.
"""

import dataclasses
import itertools
from typing import Optional

import numpy as np
import SimpleITK as sitk

from ldr_tf.errors import InputError
from ldr_tf.imaging.grid import grid_of
from ldr_tf.notices import Notices

_LPS = np.diag([-1.0, -1.0, 1.0])
_ROUNDING = 1e-4
_REPAIRED = 0.0101
_APART = 0.25
_SPACING = (1e-4, 100.0)
_EXTENT = (5.0, 3000.0)
_SECOND_EXTENT = 1200.0
_FAR = 1e5
_GROWTH = 4.0


@dataclasses.dataclass(frozen=True)
class NiftiForms:
    """What a NIfTI header says of its geometry, 3x4 matrices in RAS as stored.

    Attributes:
      size: voxels along three axes.
      pixdim: their lengths, three numbers.
      sform, sform_code: the sform.
      qform, qform_code: the qform; None where its quaternion is none.
      unit: name of the unit of length, None where the header does not say.
    """

    size: tuple
    pixdim: tuple
    sform: np.ndarray
    sform_code: int
    qform: Optional[np.ndarray]
    qform_code: int
    unit: Optional[str]


@dataclasses.dataclass(frozen=True)
class HeaderFacts:
    """What a MetaImage or NRRD header says that ITK passes over.

    Attributes:
      oriented: whether it gives the directions of the axes.
      unit: name of the unit of length, None where it does not say.
    """

    oriented: bool
    unit: Optional[str]


def nifti_affine(forms, name, notices):
    """Returns the affine that a NIfTI header means, in mm.

    Raises:
      InputError: no usable form.
    """
    lps = _LPS @ _chosen(forms, name, notices) + 0.0  # no negative zeros
    return lps * unit_factor(forms.unit, lps, forms.size, name, notices)


def _chosen(forms, name, notices):
    qform = forms.qform if forms.qform_code > 0 else None
    if forms.sform_code > 0:
        if not np.isfinite(forms.sform).all():
            raise InputError(f"{name}: the orientation (sform) holds numbers that are not finite.")
        if _is_singular(forms.sform[:, :3]):
            if qform is None:
                raise InputError(f"{name}: the orientation (sform) has axes of length 0 or alike.")
            notices.warning(
                "geometry-forms-differ",
                f"{name}: the header's sform (code {forms.sform_code}) is no orientation; its "
                f"qform (code {forms.qform_code}) was used.",
            )
            return qform
        _compare(forms, name, notices)
        return forms.sform
    if forms.qform_code > 0:
        if qform is None:
            raise InputError(f"{name}: the orientation (qform) is no rotation.")
        return qform
    unknown_orientation(name, notices)
    return np.hstack([_LPS * np.array(forms.pixdim), np.zeros((3, 1))])


def unknown_orientation(name, notices, towards="left, back and head (LPS)"):
    """Warns that a header gives no orientation, and says towards where axes were taken to point."""
    notices.warning(
        "orientation-unknown",
        f"{name}: the header gives no orientation; its axes were taken to point to the patient's "
        f"{towards}.",
    )


def _compare(forms, name, notices):
    """Warns where the qform, or the spacing alone, contradicts the sform."""
    used = f"the sform was used, as nibabel, FSL and SPM do (code {forms.sform_code})"
    edges = np.linalg.norm(forms.sform[:, :3], axis=0)
    if forms.qform_code > 0:
        if forms.qform is None:
            notices.warning(
                "geometry-forms-differ", f"{name}: the header's qform is no rotation; {used}."
            )
            return
        corners = _corners(forms.size)
        apart = np.linalg.norm((forms.sform - forms.qform) @ corners, axis=0).max()
        if apart > _APART * min(edges.min(), min(forms.pixdim)):
            notices.warning(
                "geometry-forms-differ",
                f"{name}: the header's sform (code {forms.sform_code}) and qform (code "
                f"{forms.qform_code}) place voxels up to {apart:.3g} mm apart; {used}.",
            )
    elif not np.allclose(edges, forms.pixdim, rtol=0.01):
        notices.warning(
            "geometry-spacing-differs",
            f"{name}: voxels are {_by(edges)} mm by the header's sform and {_by(forms.pixdim)} mm "
            f"by its pixdim; {used}.",
        )


def unit_factor(unit, affine, size, name, notices):
    """Returns by what lengths must be multiplied to be mm, see the rules above.

    Args:
      unit: "m", "cm", "mm", "um", "nm" or None.
      affine: 3x4 in this unit.
      size: voxels along the axes.
    """
    factor = {"m": 1e3, "cm": 10.0, "um": 1e-3, "nm": 1e-6}.get(unit, 1.0)
    if factor == 1.0:
        return factor
    edges = np.linalg.norm(affine[:, :3], axis=0)
    extent = edges * size
    if _is_plausible(extent * factor) or not _is_plausible(extent):
        notices.warning(
            "units-converted",
            f"{name}: the header gives lengths in {unit}; they were converted to mm, voxels of "
            f"{_by(edges * factor)} mm.",
        )
        return factor
    notices.warning(
        "units-implausible",
        f"{name}: the header gives lengths in {unit}, voxels of {_by(edges * factor)} mm, which no "
        f"scan has; they were taken as {_by(edges)} mm.",
    )
    return 1.0


def check_spacing(spacing, name):
    """Refuses, with InputError, voxel edges that are not above zero or that no scan has."""
    if not all(value > 0 for value in spacing) or not np.isfinite(spacing).all():
        raise InputError(f"{name}: the voxel spacing must be above zero, not {_by(spacing)}.")


def affine_of(image):
    """Returns the affine of a 3D SimpleITK image."""
    grid = grid_of(image)
    return np.column_stack([grid.steps, grid.origin])


def place(image, affine, name, notices=None, interpolation="linear", outside=None):
    """Returns an image whose voxels lie as an affine says, on a grid at right angles.

    Args:
      image: a 3D SimpleITK image; its own geometry counts for nothing.
      affine: 3x4, mm, LPS.
      name: of the file, for what is said.
      notices: a Notices, or None.
      interpolation: "linear" or "nearest", for axes that are not at right angles.
      outside: value where the resampled grid lies outside the image; None: its lowest.

    Raises:
      InputError: an affine that is not finite, or flat; sizes that no scan has; a shear that would
        multiply the voxels; a shear of an image of vectors.
    """
    notices = Notices() if notices is None else notices
    affine, size = np.asarray(affine, float), np.array(image.GetSize())
    if not np.isfinite(affine).all() or np.abs(affine[:, 3]).max() > _FAR:
        raise InputError(
            f"{name}: the origin and the axes must be finite and within {_FAR / 1e3:g} m, not "
            f"{_by(affine[:, 3])} and {_by(affine[:, :3].ravel())}."
        )
    edges = np.linalg.norm(affine[:, :3], axis=0)
    check_spacing(edges, name)
    if _is_singular(affine[:, :3]):
        raise InputError(f"{name}: the axes must span a volume; two of them point alike.")
    _check_size(edges, size, name, notices)
    axes = affine[:, :3] / edges
    off = np.abs(axes.T @ axes - np.eye(3)).max()
    if off <= _REPAIRED:
        left, _, right = np.linalg.svd(axes)
        middle = affine @ [*((size - 1) / 2), 1]
        straight = (left @ right) * edges
        origin = middle - straight @ ((size - 1) / 2)
        repaired = np.column_stack([straight, origin])
        if off > _ROUNDING:
            shift = np.linalg.norm((repaired - affine) @ _corners(size), axis=0).max()
            notices.notice(
                "geometry-repaired",
                f"{name}: the axes miss right angles by {100 * off:.2g} percent and were brought "
                f"to the nearest right angles; voxels moved by up to {shift:.2g} mm.",
            )
        elif off <= 1e-6:
            repaired[:, 3] = affine[:, 3]
        return _with_affine(image, repaired)
    return _resampled(image, affine, name, notices, interpolation, outside, off)


def _resampled(image, affine, name, notices, interpolation, outside, off):
    if image.GetNumberOfComponentsPerPixel() > 1:
        raise InputError(f"{name}: the axes of a displacement field must be at right angles.")
    axes, upper = np.linalg.qr(affine[:, :3])
    axes = axes * np.sign(np.diag(upper))
    spacing = np.abs(np.diag(upper))
    corners = axes.T @ affine @ _corners(image.GetSize())
    low, high = corners.min(axis=1), corners.max(axis=1)
    size = np.floor((high - low) / spacing + 1.5).astype(int)
    if np.prod(size, dtype=float) > _GROWTH * image.GetNumberOfPixels():
        raise InputError(
            f"{name}: the axes are too far from right angles ({100 * off:.3g} percent) for the "
            "scan to be resampled."
        )
    notices.notice(
        "geometry-sheared",
        f"{name}: the axes are not at right angles ({100 * off:.2g} percent off); the scan was "
        f"resampled to a straight grid of {'x'.join(map(str, size))} voxels, true to the positions "
        "in its header.",
    )
    if outside is None:
        outside = float(sitk.GetArrayViewFromImage(image).min())
    straight = np.column_stack([axes * spacing, axes @ low])
    return sitk.Resample(
        _with_affine(image, affine),
        [int(n) for n in size],
        sitk.Transform(),
        sitk.sitkNearestNeighbor if interpolation == "nearest" else sitk.sitkLinear,
        straight[:, 3].tolist(),
        spacing.tolist(),
        axes.ravel().tolist(),
        outside,
        image.GetPixelID(),
    )


def _with_affine(image, affine):
    edges = np.linalg.norm(affine[:, :3], axis=0)
    image.SetSpacing(edges.tolist())
    image.SetOrigin(affine[:, 3].tolist())
    image.SetDirection((affine[:, :3] / edges).ravel().tolist())
    return image


def _check_size(edges, size, name, notices):
    extent = np.sort(edges * size)
    sides = f"{_by(edges)} mm a voxel, {_by(edges * size)} mm in all"
    if edges.max() > _SPACING[1] or edges.min() < _SPACING[0] or not _is_small_enough(extent):
        raise InputError(
            f"{name}: {sides}: no scan has this size; the voxel spacing in the header must be mm "
            "and needs to be corrected."
        )
    if extent[-1] < _EXTENT[0]:
        notices.warning(
            "size-implausible", f"{name}: {sides}: this is very small; is the spacing in mm?"
        )


def _is_small_enough(extent):
    extent = np.sort(extent)
    return extent[-1] <= _EXTENT[1] and extent[-2] <= _SECOND_EXTENT


def _is_plausible(extent):
    return _is_small_enough(extent) and max(extent) >= _EXTENT[0]


def _is_singular(steps):
    edges = np.linalg.norm(steps, axis=0)
    return not (edges > 0).all() or abs(np.linalg.det(steps / edges)) < 1e-3


def _corners(size):
    corners = itertools.product(*[(0, int(n) - 1) for n in size])
    return np.vstack([np.transpose(list(corners)), np.ones(8)])


def _by(numbers):
    return " x ".join(f"{float(number):.4g}" for number in numbers)
