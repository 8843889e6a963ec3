"""The results as files and text: pairs.csv, labels.csv, summary.json, the table of methods."""

import collections
import csv
import math
import os
import statistics

from ldr_tf.evaluation import summarize
from ldr_tf.evaluation.figures import FIGURES, LABEL_FIGURES, TABLE, figures_for
from ldr_tf.files import atomic_path, write_json

ROW_COLUMNS = ["method", "fixed", "moving", *[figure.name for figure in FIGURES], "parameters"]
SECONDS_NOTE = (
    "seconds: wall clock of one pair in memory, nothing else running; a network is warmed up "
    "first, what a refinement compiles counts"
)
SHARED_SECONDS_NOTE = (
    "seconds: wall clock of one pair in memory, on machines where other workers were busy: not to "
    "be compared"
)
_COMMAND_ONLY = ("labels", "label_figures", "jacobian_histogram", "warnings", "key")


def by_method(rows):
    """Returns {method: its rows}, in the order of the rows."""
    groups = collections.defaultdict(list)
    for row in rows:
        groups[row["method"]].append(row)
    return dict(groups)


def summarize_methods(rows):
    """Returns `ldr_tf.evaluation.summarize` of each method's rows, with "parameters"."""
    return {
        name: {"parameters": group[0]["parameters"], **summarize(group)}
        for name, group in by_method(rows).items()
    }


def table_cells(rows):
    """Returns the comparison of the methods as cells: a heading, then a line for each method.

    A cell is "mean (standard deviation over pairs)", "-" where no pair has the figure.
    """
    columns = figures_for(TABLE)
    lines = [["method", *[figure.heading for figure in columns], "parameters"]]
    for name, summary in summarize_methods(rows).items():
        cells = [_mean_and_spread(summary[figure.name], figure.form) for figure in columns]
        parameters = f"{summary['parameters']:,}" if summary["parameters"] else "-"
        lines.append([name, *cells, parameters])
    return lines


def table(rows):
    """Returns `table_cells` as text in columns."""
    lines = table_cells(rows)
    widths = [max(map(len, column)) for column in zip(*lines)]
    return "\n".join(
        "  ".join([line[0].ljust(widths[0])] + [c.rjust(w) for c, w in zip(line[1:], widths[1:])])
        for line in lines
    )


def write_results(rows, folder, **about):
    """Writes pairs.csv, labels.csv and summary.json into `folder`, each whole or not at all.

    NaN is an empty cell in the CSV files and null in the JSON file.

    Args:
      rows: of `runner.Runner`.
      folder: made if absent.
      **about: what else summary.json holds.
    """
    os.makedirs(folder, exist_ok=True)
    extra = [key for key in rows[0] if key not in (*ROW_COLUMNS, *_COMMAND_ONLY)]
    _write_csv(os.path.join(folder, "pairs.csv"), ROW_COLUMNS + extra, rows)
    names = ["method", "fixed", "moving"]
    labels = [
        {**{name: row[name] for name in names}, "label": label, **figures}
        for row in rows
        for label, figures in row["label_figures"].items()
    ]
    columns = [*names, "label", *LABEL_FIGURES]
    _write_csv(os.path.join(folder, "labels.csv"), columns, labels)
    summary = {**about, "methods": summarize_methods(rows)}
    write_json(os.path.join(folder, "summary.json"), _without_nan(summary))


def write_rcn_lines(rows, folder):
    """Writes METHOD.txt for each method: the text lines of the original code's evaluation.

    A line for each pair, `id1 id2 dice jacc landmark std|J|`, then a summary, mean (standard
    deviation). A landmark distance is 0 where there are no landmarks, as in the original; Dice and
    Jaccard are nan where there are no labels, and the summary leaves such pairs out. A "/" in a
    method's name is "_" in the file's.
    """
    for name, group in by_method(rows).items():
        figures = [
            [
                row["original_dice"],
                row["original_jaccard"],
                0.0 if math.isnan(row["original_landmark"]) else row["original_landmark"],
                row["std_jacobian"],
            ]
            for row in group
        ]
        lines = [
            " ".join([row["fixed"], row["moving"], *map(str, values)])
            for row, values in zip(group, figures)
        ]
        lines.append("Summary")
        titles = ("Dice score", "Jacc score", "Landmark distance", "Jacobian determinant")
        for title, values in zip(titles, zip(*figures)):
            values = [value for value in values if not math.isnan(value)] or [math.nan]
            spread = statistics.pstdev(values) if len(values) > 1 else 0 * values[0]
            lines.append(f"{title}: {statistics.fmean(values)} ({spread})")
        path = os.path.join(folder, f"{plain_name(name)}.txt")
        with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")


def plain_name(name):
    """Returns a method's name as a file's."""
    return name.strip("/").replace("/", "_")


def _mean_and_spread(figure, form):
    if math.isnan(figure["mean"]):
        return "-"
    text = form.format(figure["mean"])
    return text if figure["count"] < 2 else f"{text} ({form.format(figure['std'])})"


def _write_csv(path, columns, rows):
    with atomic_path(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        for row in rows:
            writer.writerow([_cell(row[column]) for column in columns])


def _cell(value):
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.6g}"
    return value


def _without_nan(value):
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value
