"""The core of a whole head: the brain, roughly, without scalp, skull, face and neck.

Scalp, fat and neck are the brightest and most varied parts of a head. A map that is to bring two
brains together had better not follow them.
"""

from typing import NamedTuple

import numpy as np
import SimpleITK as sitk

from ldr_tf.imaging.arrays import to_array, to_image
from ldr_tf.imaging.depth import body_of, depth_in
from ldr_tf.imaging.intensity import is_ct

_HEAD = (67.0, 100.0)
"""Mm: the largest ball in a head has a radius between these; in a brain at most some 63."""
_BELOW = 12.0  # mm below the surface; scalp and skull
_WIDER = 1.15  # than the largest ball
_LEAST = 0.005, 0.995  # shares of the voxels whose intensities are taken for the darkest, brightest


class Core(NamedTuple):
    """The core of a head.

    Attributes:
      mask: uint8 on the grid of the image it was found in, 1 in the core.
      range: the lowest and the highest intensity in it, but for outliers.
      radius: of the largest ball in the head, mm.
    """

    mask: sitk.Image
    range: tuple[float, float]
    radius: float


def core_of(image):
    """Returns the `Core` of a head, or None for a CT and for what is no whole head.

    The largest ball in a head lies in the brain, or a little below it. The core is what lies more
    than 12 mm below the surface, no further from that ball's centre than 1.15 times its radius. The
    end of the field of view counts as surface for the ball, so that it does not lie in the neck,
    but not for the depth, since it cuts off scalp or brain wherever it lies.

    Args:
      image: a coarse scan, its axes near to L, P, S.
    """
    array, spacing = to_array(image), np.array(image.GetSpacing())
    if is_ct(array):
        return None
    body = body_of(array, spacing)
    within = depth_in(body, spacing)
    centre = np.unravel_index(np.argmax(within), within.shape)
    radius = float(within[centre])
    if not _HEAD[0] <= radius <= _HEAD[1]:
        return None
    steps = [(np.arange(n) - middle) * s for n, middle, s in zip(array.shape, centre, spacing)]
    distance = np.sqrt(sum(np.square(step) for step in np.ix_(*steps)))
    mask = depth_in(body, spacing, cut=False) > _BELOW
    mask &= distance < _WIDER * radius
    low, high = np.quantile(array[mask], _LEAST)
    return Core(to_image(mask.astype(np.uint8), image), (float(low), float(high)), radius)
