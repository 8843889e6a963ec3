"""Registers two scans in physical space: onto the network's grid, through it, and back.

The steps, each a function below: prepare both scans on the network's grid, run the network, carry
its flow to the fixed scan's grid as a displacement field in mm, resample the original moving scan
once through that field, measure.
"""

import contextlib
import time
from dataclasses import dataclass
from typing import Optional

import numpy as np
import SimpleITK as sitk
import tensorflow as tf

from ldr_tf.conventions import INTENSITY_MAX
from ldr_tf.errors import InputError
from ldr_tf.imaging import (
    displacement_on,
    displacement_to_flow,
    flow_to_displacement,
    foreground_threshold,
    grid_of,
    network_grid,
    prepare_image,
    same_grid,
    to_array,
    to_image,
)
from ldr_tf.metrics.overlap import label_overlap
from ldr_tf.ops.flow import jacobian_determinant

_SLAB = 32


@dataclass(frozen=True)
class RegistrationResult:
    """What a registration found, on the fixed scan's grid.

    Attributes:
      warped: the moving scan, float32, linear, 0 outside the moving scan.
      displacement: ITK's displacement field, vectors of float32, mm, LPS, from points of the fixed
        scan to points of the moving scan. `sitk.DisplacementFieldTransform` takes it after a cast
        to sitkVectorFloat64; resampling the moving scan through it gives `warped`.
      warped_labels: the moving labels in their own type, nearest neighbour, or None.
      correlation_before, correlation_after: Pearson correlation of the fixed scan with the moving
        and the warped scan inside the fixed scan's foreground, as far as the moving scan covers
        it; None where it covers none of it or either is constant there.
      dice_before, dice_after: Dice of each label above 0 that is on either side, or None without
        labels of both scans.
      folds_percent: voxels of the fixed grid whose Jacobian determinant is not above 0, percent.
      std_jacobian: standard deviation of that determinant.
      seconds: of each stage, in order.
    """

    warped: sitk.Image
    displacement: sitk.Image
    warped_labels: Optional[sitk.Image]
    correlation_before: Optional[float]
    correlation_after: Optional[float]
    dice_before: Optional[dict[int, float]]
    dice_after: Optional[dict[int, float]]
    folds_percent: float
    std_jacobian: float
    seconds: dict[str, float]


def register(fixed, moving, model, moving_labels=None, fixed_labels=None):
    """Registers a moving scan to a fixed one.

    Args:
      fixed, moving: 3D scalar SimpleITK images on any grids (see `ldr_tf.imaging.read_scan`).
      model: a network as `ldr_tf.load_run` returns it: `model(fixed, moving).flow` is the flow of
        two volumes [1, x, y, z, 1] in 0..1, and `model.config` its RunConfig.
      moving_labels: labels on the moving scan's grid, to be warped along.
      fixed_labels: labels on the fixed scan's grid, for Dice.

    Returns:
      A `RegistrationResult`.

    Raises:
      InputError: labels on another grid than their scan; scans that do not overlap.
    """
    check_labels(fixed, fixed_labels, "the fixed labels", "the fixed scan")
    check_labels(moving, moving_labels, "the moving labels", "the moving scan")
    seconds = {}
    with _timed(seconds, "prepare"):
        grid, volumes = _prepare(fixed, moving, model.config)
    with _timed(seconds, "network"):
        flow = np.asarray(model(*volumes).flow)[0]
    with _timed(seconds, "carry_back"):
        displacement = _displacement(flow, grid, fixed)
        transform = displacement_transform(displacement)
    with _timed(seconds, "resample"):
        moving = sitk.Cast(moving, sitk.sitkFloat32)
        covered = apply_transform(moving, fixed, transform, default=np.nan)
        warped = to_image(np.nan_to_num(to_array(covered)), fixed)
        warped_labels = None
        if moving_labels is not None:
            warped_labels = apply_transform(moving_labels, fixed, transform, "nearest")
    with _timed(seconds, "measure"):
        unmoved = apply_transform(moving, fixed, default=np.nan)
        before, after = _correlations(fixed, unmoved, covered)
        dice_before, dice_after = _dices(fixed, fixed_labels, moving_labels, warped_labels)
        folds_percent, std_jacobian = _folding(displacement)
    return RegistrationResult(
        warped=warped,
        displacement=displacement,
        warped_labels=warped_labels,
        correlation_before=before,
        correlation_after=after,
        dice_before=dice_before,
        dice_after=dice_after,
        folds_percent=folds_percent,
        std_jacobian=std_jacobian,
        seconds=seconds,
    )


def check_labels(scan, labels, labels_name, scan_name):
    """Refuses, with InputError, labels that do not lie on their scan's grid; None passes."""
    if labels is not None and not same_grid(labels, scan):
        raise InputError(f"{labels_name}: must lie on the grid of {scan_name}, voxel for voxel.")


def displacement_transform(displacement):
    """Returns the SimpleITK transform of a displacement field, which itself stays as it is."""
    return sitk.DisplacementFieldTransform(sitk.Cast(displacement, sitk.sitkVectorFloat64))


def apply_transform(image, reference, transform=None, interpolation="linear", default=0.0):
    """Returns an image on the reference's grid, seen through a transform.

    Args:
      image: a SimpleITK image; the result has its voxel type.
      reference: an image that gives the grid.
      transform: from points of the reference to points of the image; None for none.
      interpolation: "linear" or "nearest". Nothing is smoothed: it is SimpleITK.Resample.
      default: value outside the image.
    """
    kind = {"linear": sitk.sitkLinear, "nearest": sitk.sitkNearestNeighbor}[interpolation]
    transform = sitk.Transform() if transform is None else transform
    return sitk.Resample(image, reference, transform, kind, default, image.GetPixelID())


@contextlib.contextmanager
def _timed(seconds, stage):
    start = time.perf_counter()
    yield
    seconds[stage] = round(time.perf_counter() - start, 3)


def _prepare(fixed, moving, config):
    """Returns the network's grid and both scans on it, tensors [1, x, y, z, 1] in 0..1."""
    network = config.network
    grid = network_grid(fixed, config.image, network.image_size, network.affine_stem == "none")
    volumes = []
    for scan, name in ((fixed, "fixed"), (moving, "moving")):
        volume = prepare_image(scan, grid, config.image)
        if volume.min() == volume.max():
            raise InputError(
                f"the {name} scan shows nothing where the fixed scan lies in physical space; "
                "the two scans must overlap."
            )
        volumes.append(tf.constant(volume[None, ..., None] / np.float32(INTENSITY_MAX)))
    return grid, volumes


def _displacement(flow, grid, fixed):
    """Returns a network's flow as a displacement field on the fixed scan's grid.

    Single precision holds 100 mm to 1e-5 mm, at half the size of the file.
    """
    field = displacement_on(flow_to_displacement(flow, grid), grid_of(fixed))
    return sitk.Cast(field, sitk.sitkVectorFloat32)


def _correlations(fixed, moving, warped):
    fixed, moving, warped = (to_array(image) for image in (fixed, moving, warped))
    inside = fixed > foreground_threshold(fixed)
    return [
        _correlation(fixed[inside & covered], image[inside & covered])
        for image, covered in ((moving, np.isfinite(moving)), (warped, np.isfinite(warped)))
    ]


def _correlation(first, second):
    if first.size < 2 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return None
    return float(np.corrcoef(first.astype(np.float64), second.astype(np.float64))[0, 1])


def _dices(fixed, fixed_labels, moving_labels, warped_labels):
    if fixed_labels is None or moving_labels is None:
        return None, None
    before = apply_transform(moving_labels, fixed, None, "nearest")
    truth = to_array(fixed_labels)
    values = np.union1d(np.unique(truth), np.unique(to_array(moving_labels)))
    values = [int(value) for value in values if value > 0]
    dices = []
    for labels in (before, warped_labels):
        dice = label_overlap(truth, to_array(labels), values).dice
        dices.append({v: float(d) for v, d in zip(values, dice) if np.isfinite(d)})
    return dices


def _folding(displacement):
    """Returns folds in percent and the determinant's standard deviation, slab by slab.

    A body scan's field would fill the memory several times over in one piece.
    """
    determinants = []
    depth = displacement.GetSize()[2]
    for start in range(0, depth - 1, _SLAB):
        slab = displacement[:, :, start : min(start + _SLAB + 1, depth)]
        flow = tf.constant(displacement_to_flow(slab)[None], tf.float32)
        determinants.append(jacobian_determinant(flow).numpy().ravel())
    determinant = np.concatenate(determinants)
    folds = np.count_nonzero(~(determinant > 0))
    return 100.0 * folds / determinant.size, float(np.std(determinant, dtype=np.float64))
