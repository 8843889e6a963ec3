"""What the values of a scan's labels and landmarks are held to."""

import numpy as np

from ldr_tf.errors import InputError

_LARGEST_LABEL = np.iinfo(np.int32).max
_MOST_POINTS = 100_000


def whole_labels(labels, name):
    """Returns labels of any type of number as integers.

    Args:
      labels: an array of numbers.
      name: what messages call it.

    Raises:
      InputError: some are not whole, or do not fit 32 bits.
    """
    if labels.dtype.kind == "f" and not np.array_equal(labels, np.rint(labels)):
        raise InputError(f"{name} must hold whole numbers, not others of {labels.dtype}.")
    # Smaller types need no look; an infinity is found here too.
    if labels.dtype.itemsize > 1 and labels.size:
        low, high = labels.min(), labels.max()
        if low < -_LARGEST_LABEL or high > _LARGEST_LABEL:
            raise InputError(f"{name} must hold labels of 32 bits, not {low}..{high}.")
    return labels.astype(np.int32) if labels.dtype.kind == "f" else labels


def check_points_shape(found, name):
    """Refuses, with InputError, an array or data set that is no list of landmarks [n, 3]."""
    if len(found.shape) != 2 or found.shape[1] != 3 or found.dtype.kind == "b":
        raise InputError(f"{name} must be numbers of shape (n, 3), not {found.shape}.")
    if found.shape[0] > _MOST_POINTS:
        raise InputError(f"{name} must have at most {_MOST_POINTS} rows, not {found.shape[0]}.")


def finite_points(points, name):
    """Returns landmarks as float32; InputError where some are not finite."""
    with np.errstate(over="ignore"):  # refused as infinite
        points = points.astype(np.float32)
    if not np.isfinite(points).all():
        raise InputError(f"{name} must be finite numbers; negative ones mean absent.")
    return points
