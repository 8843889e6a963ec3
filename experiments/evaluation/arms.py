"""What the runs of a comparison came to, arm by arm: rows, table and figure."""

import pandas as pd

from ldr_tf.files import atomic_path
from ldr_tf.metrics import statistics

BASE = "none"
"""The arm that all others are compared with, pair by pair."""

FIGURES = {"dice": "Dice", "folds_percent": "folds %", "std_jacobian": "std of J"}


def arm_rows(pairs, runs):
    """Returns a row for each arm.

    Args:
      pairs: a frame of evaluation's pairs.csv.
      runs: arm -> list of (the method's name in `pairs`, processor minutes of its training or
        None).

    Returns:
      [{"arm", "runs", "dices": each run's mean over pairs, each of FIGURES: mean over runs, with
      "_std" behind it: their sample standard deviation or None, "minutes": mean or None,
      "parameters", "cpu_seconds": median of a pair's, "over_base": [mean, low, high] of the Dice
      above BASE's, 95 % over pairs after the mean over runs, or None}].
    """
    per_pair = pairs.pivot_table("dice", ["fixed", "moving"], "method")
    rows = []
    for arm, members in runs.items():
        names = [name for name, _ in members]
        minutes = [taken for _, taken in members if taken is not None]
        of_arm = pairs[pairs["method"].isin(names)]
        means = of_arm.groupby("method")[list(FIGURES)].mean().loc[names]
        row = {
            "arm": arm,
            "runs": len(names),
            "dices": means["dice"].tolist(),
            "minutes": sum(minutes) / len(minutes) if minutes else None,
            "parameters": int(of_arm["parameters"].iloc[0]),
            "cpu_seconds": float(of_arm["cpu_seconds"].median()),
            "over_base": None,
        }
        for figure in FIGURES:
            row[figure] = float(means[figure].mean())
            row[f"{figure}_std"] = float(means[figure].std(ddof=1)) if len(names) > 1 else None
        if BASE in runs and arm != BASE:
            base = per_pair[[name for name, _ in runs[BASE]]].mean(axis=1)
            found = statistics.compare(base, per_pair[names].mean(axis=1))
            row["over_base"] = [found.difference, found.low, found.high]
        rows.append(row)
    return rows


def table(rows, open_arms=()):
    """Returns the rows as a Markdown table; `open_arms` have no run yet."""
    head = ["arm", "runs", *FIGURES.values(), f"Dice above {BASE} (95 %)", "processor minutes"]
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    for row in rows:
        cells = [_with_spread(row[figure], row[f"{figure}_std"]) for figure in FIGURES]
        over = row["over_base"]
        over = "" if over is None else "{:+.4f} ({:+.4f} to {:+.4f})".format(*over)
        minutes = "" if row["minutes"] is None else f"{row['minutes']:.1f}"
        cells = [row["arm"], str(row["runs"]), *cells, over, minutes]
        lines.append("| " + " | ".join(cells) + " |")
    lines += [f"| {arm} | open |" + " |" * (len(head) - 2) for arm in open_arms]
    return "\n".join([*lines, "", "Mean ± standard deviation over runs.", ""])


def _with_spread(mean, deviation):
    return f"{mean:.4f}" if deviation is None else f"{mean:.4f} ± {deviation:.4f}"


def draw(rows, path):
    """Draws each run's Dice, arm by arm, and where students differ Dice against their cost."""
    from matplotlib.figure import Figure

    trained = [row for row in rows if row["cpu_seconds"] > 0]
    sizes = {row["parameters"] for row in trained if row["arm"] != "teacher"}
    names = [row["arm"].replace("+", "\n+") for row in reversed(rows)]
    lines = sum(name.count("\n") + 1 for name in names)
    size = (12 if len(sizes) > 1 else 8, 1.5 + 0.25 * (len(rows) + lines) / 2)
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(1, 2 if len(sizes) > 1 else 1, squeeze=False)[0]
    for place, row in enumerate(reversed(rows)):
        panels[0].plot(row["dices"], [place] * row["runs"], "o", color="0.6", markersize=4)
        panels[0].plot(row["dice"], place, "|", color="C0", markersize=16, markeredgewidth=2)
    panels[0].set_yticks(range(len(rows)), names, fontsize=7)
    panels[0].set_xlabel("Dice (dots: runs, bar: their mean)")
    panels[0].grid(axis="x", alpha=0.3)
    if len(sizes) > 1:
        longest = 1000 * max(row["cpu_seconds"] for row in trained)
        for row in trained:
            place = (1000 * row["cpu_seconds"], row["dice"])
            panels[1].plot(*place, "o", color="C0")
            # Towards the middle, where there is room.
            side, offset = ("right", -6) if place[0] > 0.6 * longest else ("left", 6)
            panels[1].annotate(
                f"{row['arm']}, {row['parameters'] / 1e6:.1f} M",
                place,
                (offset, 3),
                textcoords="offset points",
                horizontalalignment=side,
                fontsize=7,
            )
        panels[1].margins(x=0.1)
        panels[1].set_xlabel("processor time of a pair, ms (beside each: parameters)")
        panels[1].set_ylabel("Dice")
        panels[1].grid(alpha=0.3)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=120)


def read_pairs(path):
    """Returns evaluation's pairs.csv as the frame that `arm_rows` takes."""
    return pd.read_csv(path)
