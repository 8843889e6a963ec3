"""The report's diagrams, each a piece of SVG to stand in a page."""

import io
import math

import numpy as np
from matplotlib import rc_context
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.cbook import boxplot_stats
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from ldr_tf.metrics.folding import HISTOGRAM_EDGES

IDENTITY_COLOUR = "#8a8f98"
COLOURS = ("#2f6fb5", "#d9822b", "#3a9b6f", "#b1477e", "#7a5cc0", "#b59a1f", "#4fb0c6", "#c6503f")
_INK, _PALE, _LINES = "#22262c", "#6b727c", "#e4e7eb"
_STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "text.color": _INK,
    "axes.edgecolor": _PALE,
    "axes.labelcolor": _INK,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": _LINES,
    "xtick.color": _PALE,
    "ytick.color": _PALE,
    "xtick.labelcolor": _INK,
    "ytick.labelcolor": _INK,
    "svg.hashsalt": "ldr_tf",
}
_LABELS = "label_figures"
_WIDTH = 10.6
_MANY_LABELS = 14
_MANY_PAIRS = 300


def colours_of(methods):
    """Returns {method: colour}; the identity is grey."""
    others = [name for name in methods if name != "identity"]
    found = {name: COLOURS[index % len(COLOURS)] for index, name in enumerate(others)}
    return {name: found.get(name, IDENTITY_COLOUR) for name in methods}


def pair_boxes(groups, figures):
    """Draws, for each (figure, title), the values of all pairs as a box for each method.

    Args:
      groups: {method: rows}.
      figures: list of (key of the rows, title); one that no row has is left out.

    Returns:
      SVG text; "" where nothing is left.
    """
    figures = [(key, title) for key, title in figures if _values_by_method(groups, key)]
    if not figures:
        return ""
    with rc_context(_STYLE):
        height = 0.9 + 0.34 * len(groups)
        figure = Figure(figsize=(_WIDTH, height), layout="constrained")
        axes = figure.subplots(1, len(figures), sharey=True, squeeze=False)[0]
        colours = colours_of(groups)
        for panel, (key, title) in zip(axes, figures):
            values = _values_by_method(groups, key)
            for place, name in enumerate(groups):
                _box(panel, values.get(name, []), place, 0.5, colours[name], points=True)
            panel.set_title(title)
            panel.use_sticky_edges = False
            panel.margins(x=0.06)
            panel.set_yticks(range(len(groups)), list(groups))
            panel.set_ylim(len(groups) - 0.5, -0.5)
            panel.grid(axis="y", visible=False)
        return _svg(figure)


def label_boxes(groups, key, title):
    """Draws the values of every label and method as boxes, two columns where labels are many."""
    names = list(
        dict.fromkeys(label for rows in groups.values() for r in rows for label in r[_LABELS])
    )
    values = {
        (method, label): _known(row[_LABELS].get(label, {}).get(key) for row in rows)
        for method, rows in groups.items()
        for label in names
    }
    names = [label for label in names if any(values[method, label] for method in groups)]
    if not names:
        return ""
    columns = 2 if len(names) > _MANY_LABELS else 1
    length = math.ceil(len(names) / columns)
    with rc_context(_STYLE):
        step = max(0.2, 0.085 * len(groups) + 0.06)
        figure = Figure(figsize=(_WIDTH, 1.1 + step * length), layout="constrained")
        axes = figure.subplots(1, columns, sharex=True, squeeze=False)[0]
        colours, wide = colours_of(groups), 0.8 / len(groups)
        for column, panel in enumerate(axes):
            shown = names[column * length : (column + 1) * length]
            for row, label in enumerate(shown):
                if row % 2:
                    panel.axhspan(row - 0.5, row + 0.5, color="#f5f6f8", lw=0, zorder=0)
                for index, method in enumerate(groups):
                    place = row + (index - (len(groups) - 1) / 2) * wide
                    _box(panel, values[method, label], place, wide * 0.7, colours[method])
            panel.use_sticky_edges = False
            panel.set_yticks(range(len(shown)), shown)
            panel.set_ylim(length - 0.5, -0.5)
            panel.tick_params(axis="y", length=0)
            panel.grid(axis="y", visible=False)
            panel.set_xlabel(title)
        _legend(figure, colours)
        return _svg(figure)


def cost_scatter(summaries, figure_key, title):
    """Draws a figure's mean, with its deviation, against seconds and parameters, a dot per method.

    Args:
      summaries: of `tables.summarize_methods`.
      figure_key, title: the figure and what its axis says.
    """
    panels = (
        ("seconds a pair", lambda summary: summary["seconds"]["mean"]),
        ("parameters", lambda summary: summary["parameters"] or 0),
    )
    colours = colours_of(summaries)
    with rc_context(_STYLE):
        figure = Figure(figsize=(_WIDTH, 3.5), layout="constrained")
        axes = figure.subplots(1, 2, sharey=True)
        for panel, (what, cost) in zip(axes, panels):
            known = {n: s for n, s in summaries.items() if not math.isnan(s[figure_key]["mean"])}
            for name, summary in known.items():
                mean, spread = summary[figure_key]["mean"], summary[figure_key]["std"]
                if cost(summary) > 0:
                    panel.errorbar(
                        cost(summary), mean, spread, fmt="o", ms=7, lw=1, color=colours[name]
                    )
                elif name == "identity":
                    panel.axhline(mean, color=colours[name], lw=1.2, ls="--")
            panel.set_xscale("log")
            panel.set_xlabel(f"{what} (logarithmic)")
            panel.margins(y=0.1)
            _widen(panel)
            panel.xaxis.set_major_formatter(FuncFormatter(_plain_number))
            panel.xaxis.set_minor_formatter(NullFormatter())
            panel.xaxis.set_major_locator(LogLocator(subs=(1.0, 3.0), numticks=8))
        axes[0].set_ylabel(title)
        _legend(figure, colours)
        return _svg(figure)


def jacobian_lines(groups):
    """Draws the distribution of |J| over all voxels of all pairs; folds lie in the shaded part."""
    with rc_context(_STYLE):
        figure = Figure(figsize=(_WIDTH, 3.1), layout="constrained")
        panel = figure.subplots()
        colours = colours_of([name for name in groups if name != "identity"])
        width = HISTOGRAM_EDGES[1] - HISTOGRAM_EDGES[0]
        panel.axvspan(HISTOGRAM_EDGES[0], 0, color="#f7e3e0", lw=0)
        place = {"transform": panel.get_xaxis_transform(), "ha": "center", "va": "top"}
        panel.text(-0.5, 0.95, "folds", color=_PALE, **place)
        panel.axvline(1, color=IDENTITY_COLOUR, lw=1, ls="--")
        for name, colour in colours.items():
            counts = np.sum([row["jacobian_histogram"] for row in groups[name]], axis=0)
            density = counts / max(counts.sum(), 1) / width
            panel.stairs(density, HISTOGRAM_EDGES, color=colour, lw=1.4)
        panel.set_yscale("log")
        panel.set_ylim(bottom=1e-6)
        panel.set_xlim(HISTOGRAM_EDGES[0], HISTOGRAM_EDGES[-1])
        panel.set_xlabel("Jacobian determinant (1: volume kept; the ends hold all beyond)")
        panel.set_ylabel("share of voxels per unit")
        _legend(figure, colours)
        return _svg(figure)


def _box(panel, values, place, wide, colour, points=False):
    """Draws one lying box by Tukey's rules; `boxplot` itself takes a second for a hundred."""
    if not values:
        return
    values = np.sort(values)
    (box,) = boxplot_stats(values)
    low, high = box["q1"], box["q3"]
    panel.barh(
        place, high - low, wide, left=low, facecolor=colour + "55", edgecolor=colour, linewidth=0.9
    )
    panel.plot([box["whislo"], low], [place] * 2, color=colour, lw=0.9)
    panel.plot([high, box["whishi"]], [place] * 2, color=colour, lw=0.9)
    panel.plot([box["med"]] * 2, [place - wide / 2, place + wide / 2], color=colour, lw=1.8)
    if points and len(values) <= _MANY_PAIRS:
        spread = np.linspace(-0.28, 0.28, len(values)) * wide if len(values) > 1 else np.zeros(1)
        panel.plot(values, place + spread, ".", ms=3.5, color=colour, alpha=0.7)
    else:
        outside = box["fliers"]
        panel.plot(outside, [place] * len(outside), ".", ms=2.5, color=colour)


def _values_by_method(groups, key):
    found = {name: _known(row.get(key) for row in rows) for name, rows in groups.items()}
    return {name: values for name, values in found.items() if values}


def _known(values):
    return [value for value in values if value is not None and not math.isnan(value)]


def _widen(panel):
    low, high = panel.get_xlim()
    panel.set_xlim(low / 2, high * 2)


def _plain_number(value, _):
    for factor, letter in ((1e6, " M"), (1e3, " k")):
        if value >= factor:
            return f"{value / factor:g}{letter}"
    return f"{value:g}"


def _legend(figure, colours):
    handles = [Patch(facecolor=colour + "55", edgecolor=colour) for colour in colours.values()]
    figure.legend(
        handles,
        list(colours),
        loc="outside upper left",
        ncols=min(len(colours), 6),
        frameon=False,
        handlelength=1.0,
    )


def _svg(figure):
    FigureCanvasSVG(figure)
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    svg = text.getvalue()
    return svg[svg.index("<svg") :]
