"""Registers pairs with known labels or landmarks and measures the result.

Free of disk, flags and screen: the evaluation script and the training's validation both call it.
"""

import time
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Optional

import numpy as np
import tensorflow as tf

from ldr_tf.conventions import INTENSITY_MAX
from ldr_tf.errors import InputError
from ldr_tf.metrics.folding import folding
from ldr_tf.metrics.landmarks import landmark_distance, original_landmark_distance
from ldr_tf.metrics.overlap import Overlap, label_overlap, original_overlap
from ldr_tf.ops.warp import warp_nearest

FIGURES = (
    "dice",
    "jaccard",
    "landmark",
    "std_jacobian",
    "folds_percent",
    "correlation",
    "seconds",
)
"""The figures of every row that `summarize` averages."""

ORIGINAL_FIGURES = ("original_dice", "original_jaccard", "original_landmark")
"""The same measured as the originals (RCN, LDR_ALDK) do, where a row has them."""


@dataclass(frozen=True)
class Pair:
    """Two scans on one grid, with what is known to correspond in them.

    Attributes:
      fixed_id, moving_id: names of the scans.
      fixed, moving: uint8 [x, y, z], 0..255.
      fixed_labels, moving_labels: label maps [x, y, z], integers, or None.
      fixed_points, moving_points: corresponding landmarks, float32 [n, 3], voxels, negative where
        absent; or None.

    Raises:
      InputError: volumes or label maps differ in size, or points in number.
    """

    fixed_id: str
    moving_id: str
    fixed: np.ndarray
    moving: np.ndarray
    fixed_labels: Optional[np.ndarray] = None
    moving_labels: Optional[np.ndarray] = None
    fixed_points: Optional[np.ndarray] = None
    moving_points: Optional[np.ndarray] = None

    def __post_init__(self):
        for name in ("moving", "fixed_labels", "moving_labels"):
            array = getattr(self, name)
            if array is not None and array.shape != self.fixed.shape:
                raise InputError(
                    f"pair {self.fixed_id}, {self.moving_id}: {name} must have the size "
                    f"{self.fixed.shape} of the fixed volume, not {array.shape}."
                )
        if self.has_points and self.fixed_points.shape != self.moving_points.shape:
            raise InputError(
                f"pair {self.fixed_id}, {self.moving_id}: both scans must have the same number "
                f"of points, not {len(self.fixed_points)} and {len(self.moving_points)}."
            )

    @property
    def has_labels(self):
        """Whether both scans have label maps."""
        return self.fixed_labels is not None and self.moving_labels is not None

    @property
    def has_points(self):
        """Whether both scans have landmarks."""
        return self.fixed_points is not None and self.moving_points is not None


class Prediction(typing.NamedTuple):
    """Attributes:
    flow: float32 [x, y, z, 3], voxels.
    warped: the moving image on the fixed one's grid, float32 [x, y, z], 0..1.
    seconds: wall-clock time from the two input tensors to flow and warped image in memory.
    """

    flow: np.ndarray
    warped: np.ndarray
    seconds: float


class Predictor:
    """A network as one timed `tf.function`; None stands for the identity, which takes 0 seconds.

    The function is traced once for each size of volume. The first pair of a size is run twice and
    timed the second time, so that tracing and compiling are never counted. Keep the object to
    evaluate one network repeatedly: weights that change in between are seen.
    """

    def __init__(self, network):
        self._sizes = set()
        self._run = None if network is None else _compiled(network)

    def __call__(self, fixed, moving):
        """Returns the Prediction for two volumes [x, y, z], 0..255."""
        inputs = [_batch_of_one(volume) for volume in (fixed, moving)]
        if self._run is None:
            warped = inputs[1].numpy()[0, ..., 0]
            return Prediction(np.zeros(warped.shape + (3,), np.float32), warped, 0.0)
        if fixed.shape not in self._sizes:
            self._measured(inputs)
            self._sizes.add(fixed.shape)
        return self._measured(inputs)

    def _measured(self, inputs):
        start = time.perf_counter()
        flow, warped = [tensor.numpy() for tensor in self._run(*inputs)]
        return Prediction(flow[0], warped[0, ..., 0], time.perf_counter() - start)


def evaluate_pair(network, pair, label_values=None, originals=False):
    """Registers one pair and measures it.

    Args:
      network: called as `network(fixed, moving)` on float32 [1, x, y, z, 1], 0..1, gives `.flow`
        and `.warped`; or a Predictor, which keeps its trace; or None for the identity.
      pair: a Pair.
      label_values: mapping from a label's name to its value in the label maps; None takes the
        values other than 0 found in either of the pair's maps (255 alone for a 0/255 mask).
      originals: whether to add ORIGINAL_FIGURES.

    Returns:
      dict with
        fixed, moving: the scans' names.
        dice, jaccard: means over the labels, warped by nearest neighbour; a label found neither
          in the fixed nor in the warped map is left out and counted as absent.
        landmark: mean distance in voxels of the landmarks that both scans have.
        std_jacobian, folds, folds_percent: see `ldr_tf.metrics.folding`.
        correlation: Pearson's, of the fixed and the warped image over the whole volume.
        seconds: of the network for this pair, see Prediction and Predictor.
        labels_absent: how many labels were left out.
        labels: dict from a label's name to its Dice.
      Figures that the pair does not allow are NaN.
    """
    predictor = network if isinstance(network, Predictor) else Predictor(network)
    flow, warped, seconds = predictor(pair.fixed, pair.moving)
    folds, folds_percent, std_jacobian = folding(flow)
    values = _label_values(pair, label_values)
    overlap = _nearest_overlap(pair, flow, list(values.values()))
    row = {
        "fixed": pair.fixed_id,
        "moving": pair.moving_id,
        "dice": _mean(overlap.dice),
        "jaccard": _mean(overlap.jaccard),
        "landmark": np.nan,
        "std_jacobian": std_jacobian,
        "folds": folds,
        "folds_percent": folds_percent,
        "correlation": _correlation(pair.fixed, warped),
        "seconds": seconds,
        "labels_absent": int(np.count_nonzero(np.isnan(overlap.dice))),
        "labels": dict(zip(values, overlap.dice.tolist())),
    }
    if pair.has_points:
        row["landmark"] = landmark_distance(flow, pair.fixed_points, pair.moving_points)
    if originals:
        row.update(_original_figures(pair, flow, list(values.values())))
    return row


def evaluate(network, pairs, label_values=None, observer=None, originals=False):
    """Evaluates a network on every pair; arguments as for `evaluate_pair`.

    Args:
      pairs: iterable of Pair.
      observer: called with each row as soon as it is measured, or None.

    Returns:
      list of rows.
    """
    predictor = network if isinstance(network, Predictor) else Predictor(network)
    rows = []
    for pair in pairs:
        rows.append(evaluate_pair(predictor, pair, label_values, originals))
        if observer is not None:
            observer(rows[-1])
    return rows


def summarize(rows):
    """Summarizes rows of `evaluate_pair`.

    Returns:
      dict from each figure to {"mean", "std" (population), "count"} over the pairs where it is
      not NaN; mean and std are NaN where there is none. "labels" holds the same of each label's
      Dice, "pairs" the number of rows.
    """
    summary = {"pairs": len(rows)}
    for figure in FIGURES + ORIGINAL_FIGURES:
        if figure in FIGURES or any(figure in row for row in rows):
            summary[figure] = _statistics([row[figure] for row in rows])
    names = dict.fromkeys(name for row in rows for name in row["labels"])
    summary["labels"] = {
        name: _statistics([row["labels"].get(name, np.nan) for row in rows]) for name in names
    }
    return summary


def _compiled(network):
    @tf.function
    def run(fixed, moving):
        out = network(fixed, moving)
        return out.flow, out.warped

    return run


def _batch_of_one(volume):
    return tf.constant(np.asarray(volume, np.float32)[None, ..., None] / np.float32(INTENSITY_MAX))


def _label_values(pair, label_values: Optional[Mapping[str, int]]):
    if not pair.has_labels:
        return {}
    if label_values is not None:
        return dict(label_values)
    found = np.union1d(pair.fixed_labels, pair.moving_labels)
    return {str(int(value)): int(value) for value in found if value != 0}


def _nearest_overlap(pair, flow, values):
    if not pair.has_labels:
        return Overlap(np.empty(0), np.empty(0))
    moving = tf.constant(pair.moving_labels[None, ..., None])
    warped = warp_nearest(moving, tf.constant(flow[None])).numpy()[0, ..., 0]
    return label_overlap(pair.fixed_labels, warped, values)


def _original_figures(pair, flow, values):
    row = dict.fromkeys(ORIGINAL_FIGURES, np.nan)
    if pair.has_labels:
        overlap = original_overlap(pair.fixed_labels, pair.moving_labels, flow, values)
        row["original_dice"], row["original_jaccard"] = map(_mean, overlap)
    if pair.has_points:
        row["original_landmark"] = original_landmark_distance(
            flow, pair.fixed_points, pair.moving_points
        )
    return row


def _correlation(first, second):
    first = first.astype(np.float64).ravel()
    second = second.astype(np.float64).ravel()
    first -= first.mean()
    second -= second.mean()
    scale = np.sqrt(np.dot(first, first) * np.dot(second, second))
    return float(np.dot(first, second) / scale) if scale > 0 else np.nan


def _mean(values):
    values = np.asarray(values, np.float64)
    values = values[~np.isnan(values)]
    return float(values.mean()) if values.size else np.nan


def _statistics(values):
    values = np.asarray(values, np.float64)
    values = values[~np.isnan(values)]
    if not values.size:
        return {"mean": np.nan, "std": np.nan, "count": 0}
    return {"mean": float(values.mean()), "std": float(values.std()), "count": int(values.size)}
