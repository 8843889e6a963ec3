"""Prepares label maps of whole heads to stand in for scans of brains."""

import numpy as np
import SimpleITK as sitk

from data.synthetic import paint_pair
from ldr_tf import imaging

_FLUID_AROUND = 24
_LARGEST = 499
_CLOSING = 3


def strip_head(labels):
    """Returns FreeSurfer's labels with 0 outside the brain, as if the skull had been stripped.

    Fluid around the brain stays where it fills sulci: within the rest's closing by 3 voxels.

    Args:
      labels: integers [x, y, z].
    """
    labels = np.where(labels > _LARGEST, 0, labels)
    brain = sitk.GetImageFromArray(((labels != 0) & (labels != _FLUID_AROUND)).astype(np.uint8))
    closed = sitk.GetArrayFromImage(sitk.BinaryMorphologicalClosing(brain, [_CLOSING] * 3))
    return np.where(closed > 0, labels, 0)


def align_label_map(label_image, reference, number):
    """Aligns the brain of a label map to the reference's by an affine map.

    The map is painted as a T1 scan (see `data.synthetic`), which is then aligned.

    Args:
      label_image: SimpleITK image of FreeSurfer's label numbers.
      reference: SimpleITK image, a skull-stripped T1 scan.
      number: decides how the map is painted, 0 or more.

    Returns:
      (labels, painted scan), SimpleITK images on the reference's grid.

    Raises:
      InputError: see `ldr_tf.imaging.align`.
    """
    labels = strip_head(imaging.to_array(label_image).astype(np.int32))
    painted, _ = paint_pair(labels, labels, "synthetic_t1", number, 0)
    painted = imaging.to_image(painted.numpy().astype(np.float32), label_image)
    alignment = imaging.align(reference, painted, "full")
    grid = imaging.grid_of(reference)
    stripped = imaging.to_image(labels.astype(np.uint16), label_image)
    return (
        imaging.resample(stripped, grid, "nearest", alignment.transform),
        imaging.resample(painted, grid, "linear", alignment.transform),
    )
