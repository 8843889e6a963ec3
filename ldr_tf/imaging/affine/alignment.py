"""Brings two scans roughly onto each other: nothing, a shift, or an affine map."""

import contextlib
import dataclasses

import numpy as np
import SimpleITK as sitk

from ldr_tf.errors import InputError
from ldr_tf.imaging.arrays import to_array, to_image
from ldr_tf.imaging.grid import Grid, grid_of, network_axes
from ldr_tf.imaging.intensity import foreground_threshold
from ldr_tf.imaging.resampling import resample

METHODS = ("auto", "none", "moments", "full")

_COARSE = 4.0
_ALIGNED = 0.85
_COVERED = 0.5
_STILL = 0.03
_FINE_VOXELS = 64
_SAMPLED = 0.3
_SEED = 1


@dataclasses.dataclass(frozen=True)
class Alignment:
    """What the affine step did.

    Attributes:
      transform: from points of the fixed scan to points of the moving one, a
        sitk.AffineTransform; the identity for "none".
      method: "none", "moments" or "full": what "auto" chose, or what was asked for.
      overlap_before, overlap_after: Dice of the two foregrounds (head or body) inside the fields
        of view that the scans share, 0..1.
      note: one sentence that says what was done and why.
    """

    transform: sitk.AffineTransform
    method: str
    overlap_before: float
    overlap_after: float
    note: str


def align(fixed, moving, method="auto"):
    """Finds the affine map from the fixed to the moving scan.

    Args:
      fixed, moving: 3D scalar SimpleITK images on any grids.
      method: "none"; "moments": a shift that brings the foregrounds' centres of mass together;
        "full": from there or from where the scans lie, whichever is the more similar, a rigid and
        then an affine map by Mattes' mutual information on a pyramid, the same at every call;
        "auto": "none" where the foregrounds overlap by a Dice of at least 0.85 and a coarse rigid
        search leaves them within 3 percent of their size (a trunk shifted along itself overlaps
        well), else "full".

    Returns:
      An `Alignment`.

    Raises:
      InputError: "auto" or "none", and the scans share no place; a scan of nothing but background.
      ValueError: unknown method.
    """
    if method not in METHODS:
        raise ValueError(f"the affine method must be one of {', '.join(METHODS)}, not {method!r}.")
    coarse = [_shrunk(fixed), _shrunk(moving)]
    masks = [_foreground(image, name) for image, name in zip(coarse, ("fixed", "moving"))]
    identity = sitk.AffineTransform(3)
    before, covered = _overlap(*masks, identity)
    if method in ("auto", "none") and covered == 0:
        raise InputError(
            "the two scans do not overlap in physical space (nothing of the moving scan lies where "
            "the fixed one does); --affine=moments brings their centres together."
        )
    if method == "auto" and before >= _ALIGNED and covered >= _COVERED:
        drift = _drift(coarse, masks[0])
        if drift <= _STILL:
            note = f"none needed: the foregrounds overlap by a Dice of {before:.2f}"
            return Alignment(identity, "none", before, before, note)
    if method == "none":
        return Alignment(identity, "none", before, before, "none asked for")
    shift = _centre(masks[1]) - _centre(masks[0])
    moments = sitk.AffineTransform(3)
    moments.SetTranslation([float(mm) for mm in shift])
    if method == "moments":
        return _found(moments, method, masks, before, "centres of mass")
    with _one_thread():
        transform = _optimised(fixed, moving, masks[0], [moments] + [identity] * (covered > 0))
    return _found(transform, "full", masks, before, "rigid, then affine by mutual information")


def _found(transform, method, masks, before, deed):
    after, _ = _overlap(*masks, transform)
    note = f"{deed}: Dice of the foregrounds {before:.2f} before, {after:.2f} after"
    return Alignment(transform, method, before, after, note)


def _shrunk(image):
    """Returns a scan at about 4 mm or 1/32 of a side, its axes near to L, P, S."""
    step = min(_COARSE, float(np.min(np.multiply(image.GetSize(), image.GetSpacing()))) / 32)
    factors = [max(1, int(step / spacing)) for spacing in image.GetSpacing()]
    return sitk.DICOMOrient(sitk.BinShrink(sitk.Cast(image, sitk.sitkFloat32), factors), "LPS")


def _foreground(image, name):
    """Returns the mask of a scan's foreground, uint8."""
    array = to_array(image)
    inside = array > foreground_threshold(array)
    if not inside.any():
        raise InputError(f"the {name} scan shows nothing but background.")
    return to_image(inside, image)


def _drift(images, mask):
    """Returns how far a coarse rigid search from the scans' places leads, as a share of a side."""
    rigid = sitk.Euler3DTransform()
    centre = _centre(mask)
    rigid.SetCenter([float(mm) for mm in centre])
    spacing = float(np.mean(mask.GetSpacing()))
    with _one_thread():
        _optimise(images, mask, rigid, [(2, spacing)])
    side = _fine_spacing(mask) * _FINE_VOXELS
    # Looked at in the middle of each face of a box of that side.
    points = [centre + sign * side / 2 * axis for axis in np.eye(3) for sign in (-1, 1)]
    moved = [rigid.TransformPoint([float(mm) for mm in p]) for p in points]
    return float(np.mean(np.linalg.norm(np.subtract(moved, points), axis=1)) / side)


def _overlap(fixed, moving, transform):
    """Returns Dice inside the common field of view, and the smaller foreground's share in it."""
    kind = sitk.sitkNearestNeighbor
    moved = to_array(sitk.Resample(moving, fixed, transform, kind)) > 0
    seen = to_array(sitk.Resample(moving * 0 + 1, fixed, transform, kind)) > 0
    inside = to_array(fixed) > 0
    both = np.count_nonzero(inside & seen) + np.count_nonzero(moved)
    if not seen.any() or both == 0:
        return 0.0, 0.0
    dice = 2.0 * np.count_nonzero(inside & moved) / both
    voxel = np.prod(moving.GetSpacing()) / np.prod(fixed.GetSpacing())
    smaller = min(np.count_nonzero(inside), np.count_nonzero(to_array(moving)) * voxel)
    share = max(np.count_nonzero(inside & seen), np.count_nonzero(moved)) / smaller
    return float(dice), float(share)


def _centre(mask):
    indices = np.argwhere(to_array(mask) > 0)
    return grid_of(mask).points(indices.mean(axis=0))


def _optimised(fixed, moving, fixed_mask, starts):
    """Returns the affine map of most mutual information found from the better of `starts`."""
    spacing = _fine_spacing(fixed_mask)
    images = [_isotropic(image, spacing) for image in (fixed, moving)]
    mask = sitk.BinaryDilate(fixed_mask, [2, 2, 2])
    mask = sitk.Resample(mask, images[0], sitk.Transform(), sitk.sitkNearestNeighbor)
    start = min(starts, key=lambda transform: _disagreement(images, mask, transform))
    centre = [float(mm) for mm in _centre(fixed_mask)]
    rigid = sitk.Euler3DTransform()
    rigid.SetCenter(centre)
    rigid.SetTranslation(start.GetTranslation())
    _optimise(images, mask, rigid, [(4, 2.0 * spacing), (2, spacing)])
    affine = sitk.AffineTransform(3)
    affine.SetMatrix(rigid.GetMatrix())
    affine.SetCenter(centre)
    affine.SetTranslation(rigid.GetTranslation())
    _optimise(images, mask, affine, [(2, spacing), (1, 0.0)])
    candidates = [start, _affine(rigid), _affine(affine)]
    return min(candidates, key=lambda transform: _disagreement(images, mask, transform))


def _affine(transform):
    """Returns a matrix transform as an AffineTransform about the origin of space."""
    plain = sitk.AffineTransform(3)
    plain.SetMatrix(transform.GetMatrix())
    plain.SetTranslation(transform.TransformPoint((0.0, 0.0, 0.0)))
    return plain


def _fine_spacing(mask):
    """Returns the mm at which the foreground takes some 64 voxels a side."""
    indices = np.argwhere(to_array(mask) > 0)
    extent = (np.ptp(indices, axis=0) + 1) * mask.GetSpacing()
    return float(np.prod(extent) ** (1 / 3) / _FINE_VOXELS)


def _isotropic(image, spacing):
    """Returns an image at one spacing, its axes near to L, P, S, so that its storage matters not.

    An axis of thicker slices keeps them.
    """
    source = grid_of(image)
    order, direction = network_axes(source, "LPS")
    extent = source.extent[order]
    steps = np.maximum(spacing, np.array(source.spacing)[order])
    size = np.maximum(8, np.ceil(extent / steps - 1e-6)).astype(int)
    steps = extent / size
    origin = source.centre - direction @ ((size - 1) / 2 * steps)
    grid = Grid(tuple(map(int, size)), tuple(steps), tuple(origin), tuple(direction.ravel()))
    image = sitk.Cast(image, sitk.sitkFloat32)
    lowest = float(sitk.GetArrayViewFromImage(image).min())
    return sitk.Clamp(
        resample(image, grid, default=lowest), upperBound=_bright(image), lowerBound=lowest
    )


def _bright(image):
    array = sitk.GetArrayViewFromImage(image)
    return float(np.percentile(array[::4, ::4, ::4], 99.9)) + 1e-6


@contextlib.contextmanager
def _one_thread():
    """Sums over several threads differ from run to run; the metric heeds the global number only."""
    threads = sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)


def _method(mask):
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(32)
    method.SetMetricSamplingStrategy(method.REGULAR)
    method.SetMetricSamplingPercentage(_SAMPLED, _SEED)
    method.SetMetricFixedMask(mask)
    method.SetInterpolator(sitk.sitkLinear)
    return method


def _disagreement(images, mask, transform):
    """Returns the negative mutual information; infinite where nothing overlaps."""
    method = _method(mask)
    method.SetInitialTransform(sitk.Transform(transform))
    try:
        return method.MetricEvaluate(*images)
    except RuntimeError:  # SimpleITK's error for "no sample lies inside the moving image"
        return np.inf


def _optimise(images, mask, transform, levels):
    """Changes `transform` for the better; one that finds no overlap stays as it is."""
    method = _method(mask)
    method.SetShrinkFactorsPerLevel([factor for factor, _ in levels])
    method.SetSmoothingSigmasPerLevel([sigma for _, sigma in levels])
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOn()
    method.SetOptimizerAsRegularStepGradientDescent(
        learningRate=2.0,
        minStep=0.005,
        numberOfIterations=100,
        relaxationFactor=0.6,
        gradientMagnitudeTolerance=1e-6,
    )
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetInitialTransform(transform, inPlace=True)
    try:
        method.Execute(*images)
    except RuntimeError:
        return
