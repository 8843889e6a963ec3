"""results.csv: a line for each pair of a list, from the summaries that lie in their folders."""

import csv
import io
import os

from ldr_tf.commands.folder import read_summary
from ldr_tf.errors import InputError
from ldr_tf.files import atomic_path

NAME = "results.csv"

_COLUMNS = {
    "affine": ("affine", "method"),
    "correlation_before": ("similarity", "before"),
    "correlation_after": ("similarity", "after"),
    "dice_before": ("dice", "mean_before"),
    "dice_after": ("dice", "mean_after"),
    "landmark_mm_before": ("landmarks_mm", "mean_before"),
    "landmark_mm_after": ("landmarks_mm", "mean_after"),
    "folds_percent": ("folds_percent",),
    "folds_any_percent": ("folds_any_percent",),
    "peak_mb": ("memory", "peak_mb"),
}
"""Column: where its value lies in summary.json."""


def rows(pairs, failed, output):
    """Returns a dictionary for each pair, column -> value.

    Args:
      pairs: list of PairFiles.
      failed: {place of a pair: why it failed}.
      output: the output folder of all.
    """
    found = []
    for pair in pairs:
        summary = {} if pair.place in failed else read_summary(pair.output, pair.names)
        seconds = summary.get("seconds")
        seconds = seconds.values() if isinstance(seconds, dict) else ()
        total = sum(value for value in seconds if isinstance(value, (int, float)))
        found.append(
            {
                "output": os.path.relpath(pair.place, output),
                "fixed": pair.fixed,
                "moving": pair.moving,
                "status": failed.get(pair.place, "finished"),
                "warnings": " ".join(_codes(summary)),
                **{column: _at(summary, *names) for column, names in _COLUMNS.items()},
                "seconds": round(total, 3) or None,
            }
        )
    return found


def write(table, output):
    """Writes the rows of `rows` into the output folder; InputError where that cannot be done."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(table[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    path = os.path.join(output, NAME)
    try:
        with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
            file.write(text.getvalue())
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error}).") from error


def _codes(summary):
    notices = summary.get("notices")
    for notice in notices if isinstance(notices, list) else ():
        if isinstance(notice, dict) and notice.get("level") == "warning":
            yield str(notice.get("code"))


def _at(summary, *names):
    """Returns a value inside a summary, None where it is missing or no text or number."""
    for name in names:
        summary = summary.get(name) if isinstance(summary, dict) else None
    return summary if isinstance(summary, (int, float, str)) else None
