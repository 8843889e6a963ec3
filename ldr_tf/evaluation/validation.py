"""Evaluation without files: all pairs of a list, and the figures that a training looks at."""

from ldr_tf.evaluation.measuring import evaluate_pair
from ldr_tf.evaluation.prediction import Predictor
from ldr_tf.evaluation.summary import summarize

VALIDATION_FIGURES = ("dice", "jaccard", "landmark", "std_jacobian", "folds_percent", "correlation")
"""What `validate` returns, where the pairs have it."""


def evaluate(network, pairs, label_values=None, observer=None, originals=False, surfaces=False):
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
        rows.append(evaluate_pair(predictor, pair, label_values, originals, surfaces))
        if observer is not None:
            observer(rows[-1])
    return rows


def validate(network, pairs, label_values=None):
    """Measures a network in training: the same code as the evaluation, no files, few figures.

    Args:
      network: as for `evaluate_pair`; give a Predictor to trace the network once for many calls.
      pairs: iterable of Pair.
      label_values: mapping from a label's name to its value, or None, as for `evaluate_pair`.

    Returns:
      dict from the names of VALIDATION_FIGURES to means over the pairs, floats. A figure that no
      pair has (Dice without labels, landmark without points) is not in it.
    """
    summary = summarize(evaluate(network, pairs, label_values))
    return {name: summary[name]["mean"] for name in VALIDATION_FIGURES if summary[name]["count"]}
