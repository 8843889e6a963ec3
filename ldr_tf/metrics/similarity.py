"""Likeness of two images on one grid."""

import numpy as np


def correlation(first, second):
    """Returns Pearson's correlation over the whole volume, -1..1; NaN where either is constant.

    Args:
      first, second: arrays of one shape, any intensities.
    """
    first = np.asarray(first, np.float64).ravel()
    second = np.asarray(second, np.float64).ravel()
    first, second = first - first.mean(), second - second.mean()
    scale = np.sqrt(np.dot(first, first) * np.dot(second, second))
    return float(np.dot(first, second) / scale) if scale > 0 else np.nan
