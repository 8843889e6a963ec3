"""The table of all figures: what each is called, how it is shown, and how it is measured.

To add a figure, write its measure in `ldr_tf.metrics` and give it an entry here. The files, tables
and pages of an evaluation and the validation of a training are made from this table.
"""

import typing
from collections.abc import Callable
from typing import Optional

import numpy as np

from ldr_tf.metrics.endpoint import endpoint_error
from ldr_tf.metrics.folding import folds_any_percent
from ldr_tf.metrics.landmarks import original_landmark_distance
from ldr_tf.metrics.similarity import correlation

HIGHER, LOWER = "higher", "lower"

# Where a figure is shown, beside pairs.csv and summary.json, which hold all of them.
TABLE = "table"  # a column of the table of methods, on the screen and in the report
BEST = "best"  # the best method's mean stands out there
BOXES = "boxes"  # a diagram of all pairs in the report
REGULARITY = "regularity"  # a column of the report's table of the deformations' regularity
TESTS = "tests"  # methods are compared by statistical tests, in summary.json
SHOWN_TESTS = "shown tests"  # in the report, too
VALIDATION = "validation"  # the mean is followed in training


class Figure(typing.NamedTuple):
    """One figure of a registered pair.

    Attributes:
      name: its key in rows and files; units are part of it.
      heading: over a column.
      form: how a number is written, for str.format.
      better: HIGHER, LOWER, or None where neither is.
      measure: takes a Measured, returns a number, NaN where the pair does not allow it; None for
        costs, which the caller adds.
      uses: of the words above.
      title: what a diagram calls it; "" for the heading.
      meaning: a line of the report that explains it, "" where another figure's does.
      counted: whether it is summed over pairs instead of averaged.
    """

    name: str
    heading: str
    form: str
    better: Optional[str]
    measure: Optional[Callable]
    uses: frozenset = frozenset()
    title: str = ""
    meaning: str = ""
    counted: bool = False

    def called(self):
        """Returns its title, else its heading."""
        return self.title or self.heading


def mean_of_known(values):
    """Returns the mean of the values that are not NaN, NaN where there is none."""
    values = np.asarray(values, np.float64)
    values = values[~np.isnan(values)]
    return float(values.mean()) if values.size else np.nan


def _uses(*words):
    return frozenset(words)


def _endpoint(found):
    pair = found.pair
    if pair.true_flow is None:
        return np.nan
    return endpoint_error(found.flow, pair.true_flow, pair.spacing)


FIGURES = (
    Figure(
        "dice",
        "Dice",
        "{:.3f}",
        HIGHER,
        lambda found: mean_of_known(found.overlap.dice),
        _uses(TABLE, BEST, BOXES, TESTS, SHOWN_TESTS, VALIDATION),
        meaning=(
            "overlap of labels warped by nearest neighbour, mean over labels; a label on neither "
            "side is left out, one on one side only counts 0"
        ),
    ),
    Figure(
        "jaccard",
        "Jaccard",
        "{:.3f}",
        HIGHER,
        lambda found: mean_of_known(found.overlap.jaccard),
        _uses(TABLE, BEST, VALIDATION),
        meaning="as Dice, but common voxels as a share of those of either side",
    ),
    Figure(
        "landmark",
        "landmark",
        "{:.2f}",
        LOWER,
        lambda found: found.landmark((1.0, 1.0, 1.0)),
        _uses(TABLE, BEST, BOXES, TESTS, VALIDATION),
        "landmark error, voxels",
        meaning=(
            "distance of the carried fixed landmarks to the moving ones, voxels of the fixed grid"
        ),
    ),
    Figure(
        "hd95_mm",
        "HD95 mm",
        "{:.2f}",
        LOWER,
        lambda found: mean_of_known(found.surface.hd95),
        _uses(TABLE, BEST, BOXES, TESTS, SHOWN_TESTS),
        "HD95, mm",
        meaning=(
            "95th percentile of the distances between the surfaces of a label, the larger of both "
            "directions, mm; labels on one side only are left out"
        ),
    ),
    Figure(
        "std_jacobian",
        "std|J|",
        "{:.3f}",
        None,
        lambda found: found.folding.std_jacobian,
        _uses(TABLE, BOXES, TESTS, VALIDATION, REGULARITY),
        "std |J|",
        meaning="standard deviation of the Jacobian determinant, by forward differences",
    ),
    Figure(
        "folds_percent",
        "folds %",
        "{:.3f}",
        LOWER,
        lambda found: found.folding.percent,
        _uses(TABLE, VALIDATION, REGULARITY),
        meaning="voxels whose Jacobian determinant is not above 0 by forward differences",
    ),
    Figure(
        "folds_any_percent",
        "any fold %",
        "{:.3f}",
        LOWER,
        lambda found: folds_any_percent(np.asarray(found.flow, np.float32)),
        _uses(TABLE, VALIDATION, REGULARITY),
        "folds towards any corner, %",
        meaning=(
            "voxels whose determinant is not above 0 towards any of their eight corners, by "
            "differences to the next or the previous voxel along each axis; forward differences "
            "alone overlook folds"
        ),
    ),
    Figure(
        "seconds",
        "seconds",
        "{:.3f}",
        LOWER,
        None,
        _uses(TABLE, TESTS),
        meaning="wall clock of the registration alone, files and figures not counted",
    ),
    Figure(
        "correlation",
        "correlation",
        "{:.3f}",
        HIGHER,
        lambda found: correlation(found.pair.fixed, found.warped),
        _uses(VALIDATION),
    ),
    Figure(
        "folds",
        "folds",
        "{:.0f}",
        LOWER,
        lambda found: found.folding.folds,
        _uses(REGULARITY),
    ),
    Figure(
        "labels_absent",
        "labels on neither side",
        "{:.0f}",
        None,
        lambda found: int(np.count_nonzero(np.isnan(found.overlap.dice))),
        counted=True,
    ),
    Figure(
        "labels_missing",
        "labels on one side",
        "{:.0f}",
        LOWER,
        lambda found: found.labels_missing,
        counted=True,
    ),
    Figure(
        "surface_mm",
        "surface distance mm",
        "{:.2f}",
        LOWER,
        lambda found: mean_of_known(found.surface.average),
    ),
    Figure(
        "tre_mm",
        "TRE mm",
        "{:.2f}",
        LOWER,
        lambda found: found.landmark(found.pair.spacing),
        _uses(TESTS, SHOWN_TESTS),
        "TRE, mm",
        meaning="the landmark error in mm",
    ),
    Figure(
        "sd_log_jacobian",
        "SD log|J|",
        "{:.3f}",
        None,
        lambda found: found.folding.sd_log_jacobian,
        _uses(REGULARITY),
        meaning=(
            "standard deviation of the determinant's logarithm, 1e-9 standing for what is not "
            "above 0"
        ),
    ),
    Figure(
        "min_jacobian",
        "min|J|",
        "{:.3f}",
        HIGHER,
        lambda found: found.folding.min_jacobian,
        _uses(REGULARITY),
    ),
    Figure(
        "correlation_before",
        "correlation before",
        "{:.3f}",
        None,
        lambda found: correlation(found.pair.fixed, found.pair.moving),
    ),
    Figure("endpoint_mm", "end-point error mm", "{:.2f}", LOWER, _endpoint),
    Figure("cpu_seconds", "processor seconds", "{:.3f}", LOWER, None),
    Figure("peak_memory_mb", "peak memory MB", "{:.0f}", LOWER, None),
)
"""The figures of every row, in the order of columns."""


def _original_landmark(found):
    pair = found.pair
    if not pair.has_points:
        return np.nan
    return original_landmark_distance(found.flow, pair.fixed_points, pair.moving_points)


ORIGINAL_FIGURES = (
    Figure(
        "original_dice",
        "Dice (original)",
        "{:.3f}",
        HIGHER,
        lambda found: mean_of_known(found.original_overlap.dice),
    ),
    Figure(
        "original_jaccard",
        "Jaccard (original)",
        "{:.3f}",
        HIGHER,
        lambda found: mean_of_known(found.original_overlap.jaccard),
    ),
    Figure("original_landmark", "landmark (original)", "{:.2f}", LOWER, _original_landmark),
)
"""The same measured as the originals (RCN, LDR_ALDK) do, for rows that ask for it."""

LABEL_FIGURES = {
    "dice": lambda found: found.overlap.dice,
    "jaccard": lambda found: found.overlap.jaccard,
    "hd95_mm": lambda found: found.surface.hd95,
    "surface_mm": lambda found: found.surface.average,
}
"""What is known of each label: name to a function of a Measured that returns [labels]."""


def figures_for(use):
    """Returns the figures with a use, in the order of the table."""
    return [figure for figure in FIGURES if use in figure.uses]


def figure_of(name):
    """Returns the figure of that name; KeyError where there is none."""
    return {figure.name: figure for figure in FIGURES}[name]
