"""Where in a scan the head or body is."""

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from ldr_tf.imaging.arrays import as_float32, to_array
from ldr_tf.imaging.intensity import foreground_threshold
from ldr_tf.imaging.padding import without_padding

_COARSE = 4.0  # mm, at which it is looked for
_LEAST = 8


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
    things do not count; a margin of one such coarse voxel is left. Of thin scans at least eight
    coarse voxels are kept along each axis, where there are as many. Padding does not count.
    """
    factors = [
        max(1, min(int(_COARSE / spacing), size // _LEAST))
        for spacing, size in zip(image.GetSpacing(), image.GetSize())
    ]
    image = without_padding(as_float32(image))
    array = to_array(sitk.BinShrink(image, factors))
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
