"""How deep a voxel lies in head or body."""

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from ldr_tf.imaging.arrays import to_array, to_image
from ldr_tf.imaging.grid import Grid
from ldr_tf.imaging.intensity import foreground_threshold

_CLOSED = 8.0  # mm


def body_of(array, spacing):
    """Returns the largest part of the foreground, gaps of up to 16 mm and holes filled: booleans.

    Args:
      array: a scan, [x, y, z].
      spacing: mm.
    """
    parts, count = ndimage.label(array > foreground_threshold(array))
    if not count:
        return np.zeros(array.shape, bool)
    body = parts == 1 + np.argmax(np.bincount(parts.ravel())[1:])
    margin = int(np.ceil(_CLOSED / min(spacing)))
    closed = ndimage.binary_closing(np.pad(body, margin), iterations=max(1, margin))
    return ndimage.binary_fill_holes(closed)[(slice(margin, -margin),) * 3]


def depth_in(body, spacing, cut=True):
    """Returns how many mm each voxel lies below the surface of a body, 0 outside: [x, y, z].

    Args:
      body: booleans [x, y, z], see `body_of`.
      spacing: mm.
      cut: whether the end of the volume is a surface, too.
    """
    if not cut:
        if body.all():  # no surface at all
            return np.full(body.shape, np.inf)
        return _distance_within(body, spacing)
    return _distance_within(np.pad(body, 1), spacing)[1:-1, 1:-1, 1:-1]


def _distance_within(body, spacing):
    """Returns the distance of each voxel to the nearest one outside the body."""
    straight = Grid(body.shape, tuple(map(float, spacing)), (0.0,) * 3, tuple(np.eye(3).ravel()))
    outside = to_image(~body, straight)
    found = sitk.SignedMaurerDistanceMap(
        outside, insideIsPositive=False, squaredDistance=False, useImageSpacing=True
    )
    return np.maximum(to_array(found), 0.0)
