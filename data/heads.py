"""Puts whole heads, or their brains alone, where a reference brain lies, by their labels."""

import numpy as np
import SimpleITK as sitk

from data.brain_labels import OUTSIDE_BRAIN, to_freesurfer
from data.synthetic import paint_pair
from ldr_tf import imaging

_FLUID_AROUND = 24
_CLOSING = 3


def strip_map(labels):
    """Returns a head's labels, FreeSurfer's, with 0 outside the brain, as if it had been stripped.

    Fluid around the brain stays where it fills sulci: within the rest's closing by 3 voxels.

    Args:
      labels: integers [x, y, z].
    """
    labels = np.where(labels >= OUTSIDE_BRAIN, 0, labels)
    return np.where(_hull((labels != 0) & (labels != _FLUID_AROUND)), labels, 0)


def _hull(brain):
    """Closes a mask by 3 voxels."""
    mask = sitk.GetImageFromArray(brain.astype(np.uint8))
    return sitk.GetArrayFromImage(sitk.BinaryMorphologicalClosing(mask, [_CLOSING] * 3)) > 0


def align_label_map(label_image, reference, number, whole=False):
    """Aligns the brain of a label map to the reference's by an affine map.

    The map is painted as a T1 scan (see `data.synthetic`), which is then aligned.

    Args:
      label_image: SimpleITK image of FreeSurfer's label numbers.
      reference: SimpleITK image, a skull-stripped T1 scan.
      number: decides how the map is painted, 0 or more.
      whole: whether what is outside the brain stays in the results.

    Returns:
      (labels, painted scan, uint8), SimpleITK images on the reference's grid.

    Raises:
      InputError: see `ldr_tf.imaging.align`.
    """
    head = imaging.to_array(label_image).astype(np.int32)
    brain = strip_map(head)
    painted = _painted(brain, label_image, number)
    shown, scan = (head, _painted(head, label_image, number)) if whole else (brain, painted)
    labels = imaging.to_image(shown.astype(np.uint16), label_image)
    labels, scan = _aligned(painted, (labels, scan), reference)
    return labels, sitk.Cast(scan, sitk.sitkUInt8)


def align_head(scan, label_image, numbering, reference, path, whole=False):
    """Aligns the brain of a scanned head to the reference's by an affine map.

    The brain is what the labels cover, closed by 3 voxels.

    Args:
      scan: SimpleITK image of the head.
      label_image: SimpleITK image of the brain's labels; taken to the scan's grid where needed.
      numbering: of the labels, see `data.brain_labels.NUMBERINGS`.
      reference: SimpleITK image, a skull-stripped T1 scan.
      path: the labels' file, for messages.
      whole: whether what is outside the brain stays in the scan.

    Returns:
      (labels, scan), SimpleITK images on the reference's grid. The labels are in FreeSurfer's
      numbers; those of a whole head keep their own.

    Raises:
      InputError: labels beyond the numbering; see also `ldr_tf.imaging.align`.
    """
    placed = imaging.resample(label_image, imaging.grid_of(scan), "nearest")
    labels = imaging.to_array(placed).astype(np.int32)
    numbered = to_freesurfer(labels, numbering, path)
    head = imaging.to_array(scan).astype(np.float32)
    brain = imaging.to_image(np.where(_hull(labels > 0), head, 0).astype(np.float32), scan)
    if whole:
        shown = (imaging.to_image(labels.astype(np.uint16), scan), imaging.to_image(head, scan))
    else:
        shown = (imaging.to_image(numbered, scan), brain)
    return _aligned(brain, shown, reference)


def _painted(labels, label_image, number):
    """Returns a label map's array as a T1 scan, float32, on the grid of its image."""
    scan, _ = paint_pair(labels, labels, "synthetic_t1", number, 0)
    return imaging.to_image(scan.numpy().astype(np.float32), label_image)


def _aligned(brain, shown, reference):
    """Returns labels and scan, `shown`, as the map lays them that aligns a brain to another."""
    transform = imaging.align(reference, brain, "full").transform
    grid = imaging.grid_of(reference)
    labels, scan = shown
    return (
        imaging.resample(labels, grid, "nearest", transform),
        imaging.resample(scan, grid, "linear", transform),
    )
