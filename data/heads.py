"""Makes brains of whole heads by their labels, where a reference brain lies."""

import numpy as np
import SimpleITK as sitk

from data.brain_labels import to_freesurfer
from data.synthetic import paint_pair
from ldr_tf import imaging

_FLUID_AROUND = 24
_LARGEST = 499
_CLOSING = 3


def strip_map(labels):
    """Returns a head's labels, FreeSurfer's, with 0 outside the brain, as if it had been stripped.

    Fluid around the brain stays where it fills sulci: within the rest's closing by 3 voxels.

    Args:
      labels: integers [x, y, z].
    """
    labels = np.where(labels > _LARGEST, 0, labels)
    return np.where(_hull((labels != 0) & (labels != _FLUID_AROUND)), labels, 0)


def _hull(brain):
    """Closes a mask by 3 voxels."""
    mask = sitk.GetImageFromArray(brain.astype(np.uint8))
    return sitk.GetArrayFromImage(sitk.BinaryMorphologicalClosing(mask, [_CLOSING] * 3)) > 0


def align_label_map(label_image, reference, number):
    """Aligns the brain of a label map to the reference's by an affine map.

    The map is painted as a T1 scan (see `data.synthetic`), which is then aligned.

    Args:
      label_image: SimpleITK image of FreeSurfer's label numbers.
      reference: SimpleITK image, a skull-stripped T1 scan.
      number: decides how the map is painted, 0 or more.

    Returns:
      (labels, painted scan, uint8), SimpleITK images on the reference's grid.

    Raises:
      InputError: see `ldr_tf.imaging.align`.
    """
    labels = strip_map(imaging.to_array(label_image).astype(np.int32))
    painted, _ = paint_pair(labels, labels, "synthetic_t1", number, 0)
    painted = imaging.to_image(painted.numpy().astype(np.float32), label_image)
    stripped = imaging.to_image(labels.astype(np.uint16), label_image)
    labels, painted = _aligned(painted, stripped, reference)
    return labels, sitk.Cast(painted, sitk.sitkUInt8)


def align_head(scan, label_image, numbering, reference, path):
    """Aligns the brain of a scanned head to the reference's by an affine map.

    The brain is what the labels cover, closed by 3 voxels.

    Args:
      scan: SimpleITK image of the head.
      label_image: SimpleITK image of the brain's labels; taken to the scan's grid where needed.
      numbering: of the labels, see `data.brain_labels.NUMBERINGS`.
      reference: SimpleITK image, a skull-stripped T1 scan.
      path: the labels' file, for messages.

    Returns:
      (labels in FreeSurfer's numbers, stripped scan), SimpleITK images on the reference's grid.

    Raises:
      InputError: labels beyond the numbering; see also `ldr_tf.imaging.align`.
    """
    placed = imaging.resample(label_image, imaging.grid_of(scan), "nearest")
    labels = imaging.to_array(placed).astype(np.int32)
    numbered = to_freesurfer(labels, numbering, path)
    brain = np.where(_hull(labels > 0), imaging.to_array(scan), 0).astype(np.float32)
    stripped = imaging.to_image(brain, scan)
    return _aligned(stripped, imaging.to_image(numbered, scan), reference)


def _aligned(scan, labels, reference):
    alignment = imaging.align(reference, scan, "full")
    grid = imaging.grid_of(reference)
    return (
        imaging.resample(labels, grid, "nearest", alignment.transform),
        imaging.resample(scan, grid, "linear", alignment.transform),
    )
