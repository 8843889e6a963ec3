"""Overlap of segmentations: Dice 2 |A and B| / (|A| + |B|), Jaccard |A and B| / |A or B|.

All functions take one pair, as NumPy arrays, and return NumPy numbers. A label that is on neither
side has no overlap: it is NaN, and means leave it out.
"""

import typing

import numpy as np
import tensorflow as tf

from ldr_tf.conventions import INTENSITY_MAX
from ldr_tf.ops.warp import warp

MASK_THRESHOLD = 128
"""A voxel of a 0..255 mask belongs to the organ above this value, as in the originals."""


_LOOK_UP = 65535


class Overlap(typing.NamedTuple):
    """Dice and Jaccard, each in 0..1 or NaN: numbers, or arrays with one entry per label."""

    dice: np.ndarray
    jaccard: np.ndarray


def label_overlap(fixed, warped, label_values):
    """Returns the overlap of every label of two label maps.

    Args:
      fixed: label map [x, y, z], integers.
      warped: the moving label map, warped by nearest neighbour, same shape.
      label_values: the labels to compare, n integers.

    Returns:
      Overlap of two float64 arrays [n].

    Raises:
      ValueError: the shapes differ.
    """
    _check_same_shape(fixed, warped)
    values = np.unique(np.asarray(label_values, np.int64))
    first, second = label_index(fixed, values), label_index(warped, values)
    # All labels in one pass: how many voxels have one in the fixed, in the warped, in both.
    length = len(values) + 1
    both = np.bincount(first[first == second], minlength=length)
    total = np.bincount(first, minlength=length) + np.bincount(second, minlength=length)
    either = total - both
    with np.errstate(invalid="ignore"):
        dice, jaccard = 2.0 * both / total, both / either
    order = 1 + np.searchsorted(values, np.asarray(label_values, np.int64))
    return Overlap(dice[order], jaccard[order])


def label_index(labels, values):
    """Returns where each voxel's label stands in `values`, from 1; 0 for every other label.

    Args:
      labels: label map, integers.
      values: n integers, ascending.

    Returns:
      Array of voxels, flat, in the order of memory: `labels.ravel()`.
    """
    labels = np.asarray(labels).ravel()
    if not len(values) or not labels.size:
        return np.zeros(labels.size, np.intp)
    least, most = int(labels.min()), int(labels.max())
    if labels.dtype.kind != "b" and least >= 0 and most <= _LOOK_UP:
        # The usual case, ten times faster: a table of all values.
        table = np.zeros(most + 1, np.intp)
        here = np.flatnonzero((values >= 0) & (values <= most))
        table[values[here]] = here + 1
        return table[labels]
    labels = labels.astype(np.int64)
    place = np.minimum(np.searchsorted(values, labels), len(values) - 1)
    return np.where(values[place] == labels, place + 1, 0)


def mask_overlap(fixed, warped):
    """Returns the overlap of two masks with values 0..255, cut at MASK_THRESHOLD.

    The originals' measure: `warped` is the moving mask after trilinear warping.

    Args:
      fixed, warped: [x, y, z], 0..255.

    Returns:
      Overlap of two numbers.

    Raises:
      ValueError: the shapes differ.
    """
    _check_same_shape(fixed, warped)
    return Overlap(*_overlap(fixed > MASK_THRESHOLD, warped > MASK_THRESHOLD))


def original_overlap(fixed_labels, moving_labels, flow, label_values):
    """Returns the overlap of every label as the originals (RCN, LDR_ALDK) measure it.

    Each label's mask times 255 is warped trilinearly and cut at MASK_THRESHOLD. With label_values
    (255,) this is their measure of a 0/255 mask.

    Args:
      fixed_labels, moving_labels: label maps [x, y, z], integers.
      flow: [x, y, z, 3], voxels.
      label_values: n integers.

    Returns:
      Overlap of two float64 arrays [n].
    """
    flow = tf.cast(flow, tf.float32)[tf.newaxis]
    overlaps = []
    for value in label_values:
        fixed, moving = [
            np.where(labels == value, np.float32(INTENSITY_MAX), np.float32(0))
            for labels in (fixed_labels, moving_labels)
        ]
        warped = warp(tf.constant(moving[None, ..., None]), flow).numpy()[0, ..., 0]
        overlaps.append(mask_overlap(fixed, warped))
    return Overlap(*np.array(overlaps, np.float64).reshape(-1, 2).T)


def _overlap(first, second):
    """Returns Dice and Jaccard of two boolean arrays."""
    total = np.count_nonzero(first) + np.count_nonzero(second)
    if total == 0:
        return np.nan, np.nan
    both = np.count_nonzero(first & second)
    return 2.0 * both / total, both / (total - both)


def _check_same_shape(fixed, warped):
    if fixed.shape != warped.shape:
        raise ValueError(
            f"fixed and warped must have one shape, not {fixed.shape} and {warped.shape}."
        )
