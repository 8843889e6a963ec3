"""Intensities as the networks want them: whole numbers 0..255."""

import numpy as np
import SimpleITK as sitk

from ldr_tf.conventions import INTENSITY_MAX
from ldr_tf.imaging.padding import is_padding

_ENOUGH = 2**18  # voxels, for a threshold: to within some 3 percent of that of all of them
_BINS = 256
_CT_ABDOMEN = (-160.0, 240.0)
_AIR = -500.0
"""Hounsfield units; only air and lungs lie below, and no other kind of scan reaches so low."""


def scale_intensity(array, method):
    """Returns intensities scaled to whole numbers 0..255, float32, as the data files hold them.

    Rounded here and not only where a file stores bytes, so that a network meets in use exactly
    what it met in training.

    Args:
      array: numbers of any type, one volume.
      method: of ImageConfig.intensity.
        "percentile": 0 stays 0 and the 99.5th percentile of the foreground becomes 255. Where
          more than 0.5 percent of the voxels are negative (CT), the 0.5th percentile becomes 0
          instead; fewer (ringing of an interpolation) are clipped.
        "ct_abdomen": Hounsfield units, -160 becomes 0 and 240 becomes 255 (level 40, width 400).
        "minmax": the minimum becomes 0, the maximum 255.
        "none": intensities are taken to lie in 0..255 already.
        What lies outside is clipped. A constant array becomes 0 ("none" excepted).

    Raises:
      ValueError: unknown method.
    """
    array = np.asarray(array, np.float32)
    low, high = intensity_range(array, method)
    if high <= low:
        return np.zeros_like(array)
    return np.rint(np.clip((array - low) * (INTENSITY_MAX / (high - low)), 0.0, INTENSITY_MAX))


def is_ct(array):
    """Whether intensities look like CT: some are those of air in Hounsfield units."""
    return float(np.min(array)) < _AIR


def intensity_range(array, method):
    """Returns the intensities that `scale_intensity` brings to 0 and to 255.

    The second is not above the first where there is nothing to scale. Padding does not count.
    """
    array = _measured(np.asarray(array, np.float32))
    if method == "percentile":
        low = min(0.0, float(np.percentile(array, 0.5)))
        foreground = array[array > foreground_threshold(array)]
        high = float(np.percentile(foreground, 99.5)) if foreground.size else low
    elif method == "ct_abdomen":
        low, high = _CT_ABDOMEN
    elif method == "minmax":
        low, high = float(array.min()), float(array.max())
    elif method == "none":
        low, high = 0.0, INTENSITY_MAX
    else:
        raise ValueError(f"unknown intensity method {method!r}.")
    return low, high


def _measured(array):
    """Returns the voxels that are not padding, [n]; an array without padding as it is."""
    padded = is_padding(array)
    return array if padded is None or padded.all() else array[~padded]


def foreground_threshold(array):
    """Returns the intensity above which a voxel counts as foreground (head or body).

    Halfway between the background and Otsu's threshold (Otsu 1979), which alone would also cut off
    the dark tissues; the brightest and darkest thousandth are disregarded. Of large volumes every
    n-th voxel along each axis is looked at. Padding does not count.
    """
    array = _measured(array)
    step = int(np.ceil((array.size / _ENOUGH) ** (1 / array.ndim)))
    array = array[(slice(None, None, step),) * array.ndim]
    low, high = np.percentile(array, (0.1, 99.9))
    if high <= low:
        return float(low)
    line = np.clip(array, low, high).astype(np.float32).reshape(1, -1)
    otsu = sitk.OtsuThresholdImageFilter()
    otsu.SetNumberOfHistogramBins(_BINS)
    otsu.Execute(sitk.GetImageFromArray(line))
    return float(low + (otsu.GetThreshold() - low) / 2)
