"""Writes the results once all rows are there."""

import shlex

from experiments.evaluation import comparisons, environment, tables


def about(flag_values, rows, unknown_spacing, shared, **known):
    """Returns what summary.json and the report say beside the figures.

    Args:
      flag_values: of the command; those that were given make its line.
      rows: of the evaluation.
      unknown_spacing: whether "mm" are voxels, since the data set does not give their size.
      shared: whether other workers were busy meanwhile.
      **known: what else is to be said.
    """
    given = [flag_values[name].serialize() for name in sorted(flag_values)]
    given = [
        text for name, text in zip(sorted(flag_values), given) if flag_values[name].present and text
    ]
    words = [word for text in given for word in text.split("\n")]
    notes = [tables.SHARED_SECONDS_NOTE if shared else tables.SECONDS_NOTE]
    if unknown_spacing:
        notes.append("mm: the data set does not tell its voxel size, taken as 1 mm (--spacing)")
    return {
        **known,
        "command": shlex.join(["python", "-m", "experiments.evaluate", *words]),
        "notes": notes,
        "warnings": list(dict.fromkeys(text for row in rows for text in row["warnings"])),
        "comparisons": comparisons.compare_methods(rows),
        **environment.describe(),
    }


def write(rows, cases, methods, folder, what, form, report):
    """Writes the tables, the originals' lines where asked for, and the report.

    Args:
      rows, cases, methods: of the evaluation.
      folder: made if absent.
      what: of `about`.
      form, report: values of the flags --format and --report.

    Returns:
      The names of the files, without the originals' lines.
    """
    tables.write_results(rows, folder, **what)
    if form == "rcn":
        tables.write_rcn_lines(rows, folder)
    names = ["pairs.csv", "labels.csv", "summary.json"]
    if report != "none":
        from experiments.evaluation.report import write_report

        write_report(rows, cases, methods, folder, what, pictures=report == "full")
        names.append("report.html")
    return names
