"""The one place where a registration is measured.

`measure` takes arrays on one grid, with the size of its voxels; `evaluate_pair` and `validate` also
run the network. `scans` measures scans and displacement fields in physical space by the same
metrics. `figures` is the table of all figures. Free of disk, flags and screen: the evaluation
script, the training's validation and the registration of scans call it.
"""

from ldr_tf.evaluation.figures import FIGURES, LABEL_FIGURES, ORIGINAL_FIGURES, Figure
from ldr_tf.evaluation.measured import Measures
from ldr_tf.evaluation.measuring import evaluate_pair, measure
from ldr_tf.evaluation.prediction import Prediction, Predictor
from ldr_tf.evaluation.summary import summarize
from ldr_tf.evaluation.validation import evaluate, validate
from ldr_tf.evaluation.volume_pair import VolumePair

__all__ = [
    "FIGURES",
    "LABEL_FIGURES",
    "ORIGINAL_FIGURES",
    "Figure",
    "Measures",
    "Prediction",
    "Predictor",
    "VolumePair",
    "evaluate",
    "evaluate_pair",
    "measure",
    "summarize",
    "validate",
]
