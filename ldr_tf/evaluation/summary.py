"""Means and spreads of the rows that `evaluate_pair` returns."""

import numpy as np

from ldr_tf.metrics.statistics import mean_and_std

FIGURES = (
    "dice",
    "jaccard",
    "landmark",
    "std_jacobian",
    "folds",
    "folds_percent",
    "correlation",
    "seconds",
    "hd95_mm",
    "surface_mm",
    "tre_mm",
    "sd_log_jacobian",
    "min_jacobian",
    "correlation_before",
    "endpoint_mm",
)
"""The figures of every row that `summarize` averages."""

ORIGINAL_FIGURES = ("original_dice", "original_jaccard", "original_landmark")
"""The same measured as the originals (RCN, LDR_ALDK) do, where a row has them."""

LABEL_FIGURES = ("dice", "jaccard", "hd95_mm", "surface_mm")
"""What is known of each label."""


def summarize(rows):
    """Summarizes rows of `evaluate_pair`.

    Returns:
      dict from each figure to {"mean", "std" (population), "count"} over the pairs where it is
      not NaN; mean and std are NaN where there is none. "labels" holds the same of each label's
      Dice, "pairs" the number of rows, "labels_absent" and "labels_missing" how often in all.
    """
    summary = {"pairs": len(rows)}
    for figure in FIGURES + ORIGINAL_FIGURES:
        if figure in FIGURES or any(figure in row for row in rows):
            summary[figure] = mean_and_std([row.get(figure, np.nan) for row in rows])
    for name in ("labels_absent", "labels_missing"):
        summary[name] = sum(row.get(name, 0) for row in rows)
    names = dict.fromkeys(name for row in rows for name in row["labels"])
    summary["labels"] = {
        name: mean_and_std([row["labels"].get(name, np.nan) for row in rows]) for name in names
    }
    return summary
