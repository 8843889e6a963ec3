"""Measures one registered pair: every figure of a row of the tables."""

import typing
from collections.abc import Mapping
from typing import Optional

import numpy as np
import tensorflow as tf

from ldr_tf.evaluation.prediction import Predictor
from ldr_tf.evaluation.summary import LABEL_FIGURES, ORIGINAL_FIGURES
from ldr_tf.metrics import folding
from ldr_tf.metrics.endpoint import endpoint_error
from ldr_tf.metrics.landmarks import landmark_distance, original_landmark_distance
from ldr_tf.metrics.overlap import Overlap, label_overlap, original_overlap
from ldr_tf.metrics.similarity import correlation
from ldr_tf.metrics.surface import SurfaceDistance, label_surface_distances
from ldr_tf.ops.warp import warp_nearest


class Measures(typing.NamedTuple):
    """What to measure beside what is always measured.

    Attributes:
      originals: ORIGINAL_FIGURES.
      surfaces: distances between surfaces, which take longest.
      histogram: how the Jacobian is distributed, see `ldr_tf.metrics.folding`.
    """

    originals: bool = False
    surfaces: bool = False
    histogram: bool = False


NOTHING_MORE = Measures()


def evaluate_pair(network, pair, label_values=None, originals=False, surfaces=False):
    """Registers one pair and measures it.

    Args:
      network: called as `network(fixed, moving)` on float32 [1, x, y, z, 1], 0..1, gives `.flow`
        and `.warped`; or a Predictor, which keeps its trace; or None for the identity.
      pair: a Pair.
      label_values, originals, surfaces: see `measure` and Measures.

    Returns:
      dict as of `measure`, with
        seconds: of the network for this pair, see Prediction and Predictor.
    """
    predictor = network if isinstance(network, Predictor) else Predictor(network)
    flow, warped, seconds = predictor(pair.fixed, pair.moving)
    row = measure(pair, flow, warped, label_values, Measures(originals, surfaces))
    return {**row, "seconds": seconds}


def measure(pair, flow, warped, label_values=None, measures=NOTHING_MORE, warped_labels=None):
    """Measures a registration that is done.

    Args:
      pair: a Pair.
      flow: float32 [x, y, z, 3], voxels.
      warped: the moving image on the fixed one's grid, [x, y, z], any scale of intensities.
      label_values: mapping from a label's name to its value in the label maps; None takes the
        values other than 0 found in either of the pair's maps (255 alone for a 0/255 mask).
      measures: Measures.
      warped_labels: the moving labels on the fixed grid; None has them warped here by the flow.

    Returns:
      dict with
        fixed, moving: the scans' names.
        dice, jaccard: means over the labels, warped by nearest neighbour; a label found neither
          in the fixed nor in the warped map is left out and counted as absent.
        landmark, tre_mm: mean distance in voxels and in mm of the landmarks that both scans have.
        std_jacobian, folds, folds_percent, sd_log_jacobian, min_jacobian: see
          `ldr_tf.metrics.folding`.
        correlation, correlation_before: Pearson's, of the fixed image with the warped and with the
          moving one over the whole volume.
        hd95_mm, surface_mm: means over the labels found on both sides, see
          `ldr_tf.metrics.surface`; NaN unless asked for.
        endpoint_mm: mean distance to the true flow, where the pair has it.
        labels_absent, labels_missing: how many labels are on neither side, and on one side only.
        labels: dict from a label's name to its Dice.
        label_figures: dict from a label's name to its LABEL_FIGURES.
        jacobian_histogram: list of counts, if asked for.
      Figures that the pair does not allow are NaN.
    """
    determinant = folding.determinants(flow)
    shape = folding.describe(determinant)
    values = _label_values(pair, label_values)
    numbers = list(values.values())
    overlap, surface, missing = _labels(pair, flow, numbers, measures.surfaces, warped_labels)
    figures = np.array([*overlap, *surface]).T.tolist()
    row = {
        "fixed": pair.fixed_id,
        "moving": pair.moving_id,
        "dice": _mean(overlap.dice),
        "jaccard": _mean(overlap.jaccard),
        "landmark": np.nan,
        "std_jacobian": shape.std_jacobian,
        "folds": shape.folds,
        "folds_percent": shape.percent,
        "correlation": correlation(pair.fixed, warped),
        "labels_absent": int(np.count_nonzero(np.isnan(overlap.dice))),
        "labels_missing": missing,
        "labels": dict(zip(values, overlap.dice.tolist())),
        "label_figures": {name: dict(zip(LABEL_FIGURES, f)) for name, f in zip(values, figures)},
        "hd95_mm": _mean(surface.hd95),
        "surface_mm": _mean(surface.average),
        "tre_mm": np.nan,
        "sd_log_jacobian": shape.sd_log_jacobian,
        "min_jacobian": shape.min_jacobian,
        "correlation_before": correlation(pair.fixed, pair.moving),
        "endpoint_mm": np.nan,
    }
    if pair.has_points:
        points = pair.fixed_points, pair.moving_points
        for figure, unit in (("landmark", (1.0, 1.0, 1.0)), ("tre_mm", pair.spacing)):
            row[figure] = landmark_distance(flow, *points, unit, pair.points_present)
    if pair.true_flow is not None:
        row["endpoint_mm"] = endpoint_error(flow, pair.true_flow, pair.spacing)
    if measures.originals:
        row.update(_original_figures(pair, flow, numbers))
    if measures.histogram:
        row["jacobian_histogram"] = folding.jacobian_histogram(determinant).tolist()
    return row


def _label_values(pair, label_values: Optional[Mapping[str, int]]):
    if not pair.has_labels:
        return {}
    if label_values is not None:
        return dict(label_values)
    found = np.union1d(pair.fixed_labels, pair.moving_labels)
    return {str(int(value)): int(value) for value in found if value != 0}


def _labels(pair, flow, values, surfaces, warped):
    """Returns Overlap, SurfaceDistance and the number of labels found on one side only."""
    if not pair.has_labels:
        return Overlap(np.empty(0), np.empty(0)), SurfaceDistance(np.empty(0), np.empty(0)), 0
    if warped is None:
        moving = tf.constant(pair.moving_labels[None, ..., None])
        warped = warp_nearest(moving, tf.constant(flow[None])).numpy()[0, ..., 0]
    overlap = label_overlap(pair.fixed_labels, warped, values)
    surface = SurfaceDistance(*np.full((2, len(values)), np.nan))
    if surfaces:
        surface = label_surface_distances(pair.fixed_labels, warped, values, pair.spacing)
    one_side = [np.isin(values, labels) for labels in (pair.fixed_labels, warped)]
    return overlap, surface, int(np.count_nonzero(one_side[0] != one_side[1]))


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


def _mean(values):
    values = np.asarray(values, np.float64)
    values = values[~np.isnan(values)]
    return float(values.mean()) if values.size else np.nan
