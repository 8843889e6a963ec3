"""Evaluation without files: all pairs of a list, and the figures that a training follows."""

from ldr_tf.evaluation.figures import VALIDATION, figures_for
from ldr_tf.evaluation.measuring import evaluate_pair
from ldr_tf.evaluation.prediction import Predictor
from ldr_tf.evaluation.summary import summarize


def evaluate(network, pairs, label_values=None):
    """Evaluates a network on every pair.

    Args:
      network, label_values: as for `evaluate_pair`.
      pairs: iterable of VolumePair.

    Returns:
      list of rows.
    """
    predictor = network if isinstance(network, Predictor) else Predictor(network)
    return [evaluate_pair(predictor, pair, label_values) for pair in pairs]


def validate(network, pairs, label_values=None):
    """Measures a network in training by the code of the evaluation: no files, few figures.

    Args:
      network: as for `evaluate_pair`; give a Predictor to trace the network once for many calls.
      pairs: iterable of VolumePair.
      label_values: mapping from a label's name to its value, or None, as for `evaluate_pair`.

    Returns:
      dict from the names of the figures used in VALIDATION (Dice, Jaccard, landmarks, correlation,
      the Jacobian's deviation, both counts of folds) to means over the pairs, floats. A figure that
      no pair has (Dice without labels, landmark without points) is left out.
    """
    summary = summarize(evaluate(network, pairs, label_values))
    names = [figure.name for figure in figures_for(VALIDATION)]
    return {name: summary[name]["mean"] for name in names if summary[name]["count"]}
