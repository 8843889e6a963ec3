"""Registers pairs with known labels or landmarks and measures the result.

Free of disk, flags and screen: the evaluation script and the training's validation both call it.
"""

from ldr_tf.evaluation.measuring import Measures, evaluate_pair, measure
from ldr_tf.evaluation.pair import Pair
from ldr_tf.evaluation.prediction import Prediction, Predictor
from ldr_tf.evaluation.summary import FIGURES, LABEL_FIGURES, ORIGINAL_FIGURES, summarize
from ldr_tf.evaluation.validation import VALIDATION_FIGURES, evaluate, validate

__all__ = [
    "FIGURES",
    "LABEL_FIGURES",
    "ORIGINAL_FIGURES",
    "VALIDATION_FIGURES",
    "Measures",
    "Pair",
    "Prediction",
    "Predictor",
    "evaluate",
    "evaluate_pair",
    "measure",
    "summarize",
    "validate",
]
