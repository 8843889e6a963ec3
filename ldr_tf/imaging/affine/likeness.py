"""How alike two scans are under a rigid or affine map, cheaply, whatever their contrast."""

import dataclasses

import numpy as np
from scipy import ndimage

from ldr_tf.imaging.arrays import to_array
from ldr_tf.imaging.grid import grid_of
from ldr_tf.imaging.intensity import foreground_threshold

_BINS = 24
_POINTS = 6000


@dataclasses.dataclass(frozen=True)
class Likeness:
    """What two scans have in common in and about the head or body, where both know it.

    Attributes:
      information: normalised mutual information (H(F) + H(M)) / H(F, M) - 1, which depends little
        on how much the scans share (Studholme et al., Pattern Recognition 1999), 0..1.
      explained: the share of the intensities' variance in one scan that the other explains
        (correlation ratio, Roche et al., MICCAI 1998), the smaller of both ways, 0..1.
      correlation: Pearson's.
      covered: the share of the smaller foreground that the other field of view holds.
    """

    information: float
    explained: float
    correlation: float
    covered: float


NOTHING = Likeness(0.0, 0.0, 0.0, 0.0)


class Judge:
    """Measures the likeness of two scans under many maps, at a coarse resolution.

    It looks near the foreground of the scan with the smaller field of view, since points of the
    other would hardly meet a thin slab. With `core` it looks where both heads' cores are.
    """

    def __init__(self, fixed, moving, spacing, core=False):
        """Takes two Scans, mm, and whether only their cores count."""
        self._turned = moving.volume < fixed.volume
        if self._turned:
            fixed, moving = moving, fixed
        image, measured = fixed.isotropic(spacing, core)
        grid, array = grid_of(image), to_array(image)
        if core:
            foreground = near = to_array(fixed.near(grid, core)) > 0
        else:
            foreground = array > foreground_threshold(array)
            near = ndimage.binary_dilation(foreground, iterations=2)
        if measured is not None:
            near = near & (to_array(measured) > 0)
        indices = np.argwhere(near)
        indices = indices[:: max(1, len(indices) // _POINTS)]
        self._points = grid.points(indices)
        self._values = array[tuple(indices.T)].astype(np.float64)
        self._binned = binned(self._values, *_range(self._values))
        self._inside = foreground[tuple(indices.T)]
        image, measured = moving.isotropic(spacing, core)
        self._grid, self._array = grid_of(image), to_array(image)
        if core:
            measured = moving.near(self._grid, core)
            other = np.count_nonzero(to_array(measured))
        else:
            other = np.count_nonzero(self._array > foreground_threshold(self._array))
        self._measured = None if measured is None else to_array(measured)
        self._range = _range(self._array)
        own = np.count_nonzero(foreground) * np.prod(grid.spacing)
        # Of a scan that shows more than the other, no more than the other's volume can be shared.
        self._sharable = min(1.0, other * np.prod(image.GetSpacing()) / max(own, 1e-9))

    def __call__(self, transform, every=1):
        """Returns the Likeness under a matrix transform from fixed to moving points.

        Of the points looked at, `every` n-th is taken: fewer are faster, and seem more alike.
        """
        matrix, shift = matrix_and_shift(transform.GetInverse() if self._turned else transform)
        points, inside = self._points[::every], self._inside[::every]
        indices = self._grid.indices(points @ matrix.T + shift)
        size = np.array(self._array.shape)
        known = ((indices > -0.5) & (indices < size - 0.5)).all(axis=1)
        if self._measured is not None:
            nearest = np.clip(np.rint(indices[known]).astype(int), 0, size - 1)
            known[known] = self._measured[tuple(nearest.T)] > 0
        if np.count_nonzero(known) < 2 * _BINS:
            return NOTHING
        moved = ndimage.map_coordinates(self._array, indices[known].T, order=1, mode="nearest")
        values, moved = self._values[::every][known], moved.astype(np.float64)
        if np.ptp(values) == 0 or np.ptp(moved) == 0:
            return NOTHING
        pair = self._binned[::every][known], binned(moved, *self._range)
        covered = np.count_nonzero(inside & known) / max(1, np.count_nonzero(inside))
        return Likeness(
            _information(*pair),
            min(correlation_ratio(values, pair[1]), correlation_ratio(moved, pair[0])),
            float(np.corrcoef(values, moved)[0, 1]),
            float(min(1.0, covered / max(self._sharable, 1e-9))),
        )


def matrix_and_shift(transform):
    """Returns a matrix transform as p -> matrix p + shift."""
    matrix = np.reshape(transform.GetMatrix(), (3, 3))
    return matrix, np.array(transform.TransformPoint((0.0, 0.0, 0.0)))


def _range(values):
    return float(values.min()), float(np.percentile(values, 99.8))


def binned(values, low, high, bins=_BINS):
    """Returns the number of the bin, 0 to bins - 1, of each value between low and high."""
    scaled = (values - low) * (bins / max(high - low, 1e-9))
    return np.clip(scaled, 0, bins - 1).astype(int)


def _information(first, second):
    joint = np.bincount(first * _BINS + second, minlength=_BINS**2).reshape(_BINS, _BINS)
    joint = joint / joint.sum()
    together = _entropy(joint.ravel())
    if together == 0:
        return 0.0
    return float((_entropy(joint.sum(axis=0)) + _entropy(joint.sum(axis=1))) / together - 1)


def _entropy(shares):
    shares = shares[shares > 0]
    return -np.sum(shares * np.log(shares))


def correlation_ratio(values, bins):
    """Returns the share of the variance of values that the means over bins explain, 0..1.

    Source: Roche et al., "The correlation ratio as a new similarity measure for multimodal image
    registration", MICCAI 1998.

    Args:
      values: [n], not all alike.
      bins: of the other scan, integers [n], see `binned`.
    """
    counts = np.bincount(bins)
    sums = np.bincount(bins, values - values.mean())[counts > 0]
    return float(np.sum(sums**2 / counts[counts > 0]) / (len(values) * values.var()))
