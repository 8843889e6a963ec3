"""How the runs of a comparison came along: validation figures against steps and processor time."""

import math

import pandas as pd

from ldr_tf.files import atomic_path
from ldr_tf.runs.validations import read_validations

FIGURES = {"dice": "validation Dice", "folds_any_percent": "folds towards any corner, %"}


def read_curves(runs):
    """Returns the validations of trained runs, one row each.

    Args:
      runs: arm -> list of (run folder, minutes of processor time that its training took).

    Returns:
      A frame with the columns arm, run (its place among the arm's), step, minutes (the run's, in
      proportion to the steps) and those of FIGURES; without rows where nothing was validated.
    """
    rows = []
    for arm, members in runs.items():
        for run, (folder, minutes) in enumerate(members):
            found = read_validations(folder)
            for step, figures in found.items():
                taken = minutes * step / max(found)
                kept = {name: figures.get(name, math.nan) for name in FIGURES}
                rows.append({"arm": arm, "run": run, "step": step, "minutes": taken, **kept})
    return pd.DataFrame(rows, columns=["arm", "run", "step", "minutes", *FIGURES])


def draw(curves, path):
    """Draws `read_curves`: a line for each arm, the mean of its runs, and their range as a band."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 6 + 0.2 * curves["arm"].nunique()), layout="constrained")
    panels = figure.subplots(len(FIGURES), 2, sharex="col", sharey="row")
    for row, (name, label) in zip(panels, FIGURES.items()):
        for panel, along in zip(row, ("step", "minutes")):
            for arm, of_arm in curves.groupby("arm", sort=False):
                steps = of_arm.groupby("step").agg(
                    {"minutes": "mean", name: ["mean", "min", "max"]}
                )
                places = steps.index if along == "step" else steps["minutes", "mean"]
                panel.plot(places, steps[name, "mean"], ".-", label=arm)
                panel.fill_between(places, steps[name, "min"], steps[name, "max"], alpha=0.15)
            panel.grid(alpha=0.3)
        row[0].set_ylabel(label)
    panels[-1][0].set_xlabel("steps")
    panels[-1][1].set_xlabel("processor time, minutes")
    handles = panels[0][0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=1, fontsize=8, frameon=False)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=120)
