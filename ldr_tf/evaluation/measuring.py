"""Measures one registered pair: every figure of a row of the tables."""

import numpy as np

from ldr_tf.evaluation.figures import FIGURES, LABEL_FIGURES, ORIGINAL_FIGURES
from ldr_tf.evaluation.measured import NOTHING_MORE, Measured
from ldr_tf.evaluation.prediction import Predictor
from ldr_tf.metrics.folding import jacobian_histogram


def evaluate_pair(network, pair, label_values=None, measures=NOTHING_MORE):
    """Registers one pair and measures it.

    Args:
      network: called as `network(fixed, moving)` on float32 [1, x, y, z, 1], 0..1, gives `.flow`
        and `.warped`; or a Predictor, which keeps its trace; or None for the identity.
      pair: a VolumePair, intensities 0..255.
      label_values, measures: see `measure`.

    Returns:
      dict as of `measure`, with
        seconds: of the network for this pair, see Prediction and Predictor.
    """
    predictor = network if isinstance(network, Predictor) else Predictor(network)
    flow, warped, seconds = predictor(pair.fixed, pair.moving)
    return {**measure(pair, flow, warped, label_values, measures), "seconds": seconds}


def measure(pair, flow, warped, label_values=None, measures=NOTHING_MORE, warped_labels=None):
    """Measures a registration that is done.

    Args:
      pair: a VolumePair.
      flow: float32 [x, y, z, 3], voxels.
      warped: the moving volume on the fixed one's grid, [x, y, z], any scale of intensities.
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
        std_jacobian, folds, folds_percent, folds_any_percent, sd_log_jacobian, min_jacobian: see
          `ldr_tf.metrics.folding`.
        correlation, correlation_before: Pearson's, of the fixed volume with the warped and with the
          moving one over the whole grid.
        hd95_mm, surface_mm: means over the labels found on both sides, see
          `ldr_tf.metrics.surface`; NaN unless asked for.
        endpoint_mm: mean distance to the true flow, where the pair has it.
        labels_absent, labels_missing: how many labels are on neither side, and on one side only.
        labels: dict from a label's name to its Dice.
        label_figures: dict from a label's name to its LABEL_FIGURES.
        original_dice, original_jaccard, original_landmark: as the originals measure, if asked for.
        jacobian_histogram: list of counts, if asked for.
      Figures that the pair does not allow are NaN.
    """
    found = Measured(pair, flow, warped, label_values, measures, warped_labels)
    figures = FIGURES + (ORIGINAL_FIGURES if measures.originals else ())
    row = {"fixed": pair.fixed_id, "moving": pair.moving_id}
    row.update((f.name, f.measure(found)) for f in figures if f.measure is not None)
    of_labels = np.array([value(found) for value in LABEL_FIGURES.values()]).T.tolist()
    row["label_figures"] = {
        name: dict(zip(LABEL_FIGURES, values))
        for name, values in zip(found.label_values, of_labels)
    }
    row["labels"] = {name: values["dice"] for name, values in row["label_figures"].items()}
    if measures.histogram:
        row["jacobian_histogram"] = jacobian_histogram(found.determinant).tolist()
    return row
