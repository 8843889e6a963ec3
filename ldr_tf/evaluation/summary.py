"""Means and spreads of the rows that `measure` returns."""

import numpy as np

from ldr_tf.evaluation.figures import FIGURES, ORIGINAL_FIGURES
from ldr_tf.metrics.statistics import mean_and_std


def summarize(rows):
    """Summarizes rows of `measure` or `evaluate_pair`.

    Returns:
      dict from each figure to {"mean", "std" (population), "count"} over the pairs where it is
      not NaN; mean and std are NaN where there is none. Figures that count labels are summed
      instead. "labels" holds the same of each label's Dice, "pairs" the number of rows.
    """
    summary = {"pairs": len(rows)}
    originals = [f for f in ORIGINAL_FIGURES if any(f.name in row for row in rows)]
    for figure in (*FIGURES, *originals):
        if figure.counted:
            summary[figure.name] = sum(row.get(figure.name, 0) for row in rows)
        else:
            values = [row.get(figure.name, np.nan) for row in rows]
            summary[figure.name] = mean_and_std(values)
    names = dict.fromkeys(name for row in rows for name in row["labels"])
    summary["labels"] = {
        name: mean_and_std([row["labels"].get(name, np.nan) for row in rows]) for name in names
    }
    return summary
