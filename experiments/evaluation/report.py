"""report.html: the evaluation as one page that needs no network, with links to pages of pairs."""

import base64
import json
import os
import urllib.parse

import jinja2
from markupsafe import Markup

from experiments.evaluation import figures
from experiments.evaluation.pictures import draw_pictures, page_of
from experiments.evaluation.tables import by_method, summarize_methods, table_cells
from ldr_tf.errors import InputError
from ldr_tf.evaluation.figures import (
    BEST,
    BOXES,
    FIGURES,
    HIGHER,
    REGULARITY,
    SHOWN_TESTS,
    TABLE,
    figure_of,
    figures_for,
)
from ldr_tf.files import atomic_path, read_json


def write_report(rows, cases, methods, folder, about, pictures=True):
    """Writes `folder`/report.html, whole or not at all.

    Args:
      rows: of the evaluation.
      cases, methods: those of the evaluation; the pictured pairs are registered once more.
      folder: the evaluation's output.
      about: what summary.json says about the evaluation, see experiments.evaluate.
      pictures: False leaves the pictures out.
    """
    groups, summaries = by_method(rows), summarize_methods(rows)
    drawn = draw_pictures(groups, cases, methods, folder) if pictures else {}
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(os.path.dirname(os.path.abspath(__file__))),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    page = environment.get_template("report.html.jinja").render(
        about=about,
        pairs=len({(row["fixed"], row["moving"]) for row in rows}),
        table=_table(rows, summaries),
        colours=figures.colours_of(groups),
        diagrams={name: Markup(svg) for name, svg in _diagrams(groups, summaries).items()},
        comparisons=_comparisons(about["comparisons"]),
        summaries=summaries,
        regularity=figures_for(REGULARITY),
        explained=[figure for figure in FIGURES if figure.meaning],
        pictures={
            name: [
                (title, fixed, moving, _data_uri(path), _link(page_of(path), folder))
                for title, fixed, moving, path in shown
            ]
            for name, shown in drawn.items()
        },
        configs={name: _config(path) for name, path in about["runs"].items()},
    )
    path = os.path.join(folder, "report.html")
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
        file.write(page)


def _diagrams(groups, summaries):
    found = {
        "pairs": figures.pair_boxes(groups, [(f.name, f.called()) for f in figures_for(BOXES)]),
        "label_dice": figures.label_boxes(groups, "dice", "Dice"),
        "jacobian": figures.jacobian_lines(groups) if len(groups) > 1 else "",
        "costs": "",
    }
    for key in ("dice", "correlation"):
        if any(summary[key]["count"] for summary in summaries.values()):
            found["costs"] = figures.cost_scatter(summaries, key, figure_of(key).called())
            break
    return found


def _table(rows, summaries):
    """Returns the heading and, for each method, cells (mean, spread, whether the best)."""
    heading, *lines = table_cells(rows)
    best = {}
    columns = figures_for(TABLE)
    for place, figure in enumerate(columns, 1):
        known = {name: s[figure.name] for name, s in summaries.items() if s[figure.name]["count"]}
        means = {name: values["mean"] for name, values in known.items()}
        if BEST in figure.uses and len(means) > 1:
            pick = max if figure.better == HIGHER else min
            best[place] = pick(means, key=means.get)
    shown = []
    for line in lines:
        cells = [cell.partition(" (")[::2] for cell in line[1:]]
        cells = [
            (mean, spread.rstrip(")"), best.get(place) == line[0])
            for place, (mean, spread) in enumerate(cells, 1)
        ]
        shown.append((line[0], cells))
    # What no method has needs no column.
    kept = [any(cells[i][0] != "-" for _, cells in shown) for i in range(len(columns) + 1)]
    shown = [(name, [cell for cell, keep in zip(cells, kept) if keep]) for name, cells in shown]
    return heading[:1] + [word for word, keep in zip(heading[1:], kept) if keep], shown


def _comparisons(comparisons):
    return [
        {**line, "title": figure_of(line["figure"]).called()}
        for line in comparisons
        if SHOWN_TESTS in figure_of(line["figure"]).uses
    ]


def _link(path, folder):
    return urllib.parse.quote(os.path.relpath(path, folder))


def _data_uri(path):
    with open(path, "rb") as file:
        return "data:image/jpeg;base64," + base64.b64encode(file.read()).decode()


def _config(run):
    """Returns a run's config.json, one line for each of its parts; "" without one."""
    try:
        parts = read_json(os.path.join(run, "config.json"))
    except InputError:
        return ""
    return "\n".join(f"{name}: {json.dumps(part)}" for name, part in parts.items())
