"""The report: one whole page that asks for nothing else; the tables beside it."""

import html.parser
import json
import math
import urllib.parse

import numpy as np
import pytest
from matplotlib.figure import Figure

from experiments import evaluate
from experiments.evaluation import figures, pictures, tables
from experiments.evaluation.comparisons import compare_methods

VOID = {"meta", "img", "br", "link", "input", "hr"}


class Page(html.parser.HTMLParser):
    """Checks that tags close in order; collects text and what a browser would fetch."""

    def __init__(self):
        super().__init__()
        self.open, self.text, self.fetched, self.images = [], [], [], 0

    def handle_starttag(self, tag, attrs):
        for name, value in attrs:
            if name in ("src", "href", "xlink:href") and not value.startswith(("data:", "#")):
                self.fetched.append(value)
        self.images += tag == "img"
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def read_page(path):
    page = Page()
    page.feed(path.read_text(encoding="utf-8"))
    assert not page.open
    return page


@pytest.fixture
def call(tiny_dataset, fake_runs, tmp_path):
    """Evaluates two fake runs on all pairs and returns the output folder."""
    fake_runs["runs/<b>"] = fake_runs["runs/teacher"]

    def run(*others):
        flags = ["--run=runs/student", "--run=runs/<b>", f"--dataset={tiny_dataset}"]
        output = tmp_path / "results"
        command = ["evaluate", *flags, "--subset=all", f"--output={output}", *others]
        assert evaluate.main(command) == 0
        return output

    return run


def test_the_page_is_whole_and_fetches_nothing(call):
    output = call()
    page = read_page(output / "report.html")
    # The pages of the pairs are links; to be seen, the report needs none of them.
    links = [urllib.parse.unquote(link) for link in page.fetched]
    assert len(links) == 12 and all((output / link).is_file() for link in links)
    assert all(link.endswith(".html") for link in links)
    text = " ".join(" ".join(page.text).split())
    assert "student" in text and "<b>" in text  # a name is text, not a tag
    assert "python -m experiments.evaluate --dataset=" in text
    summary = json.loads((output / "summary.json").read_text())
    assert summary["commit"] in text and summary["versions"]["tensorflow"] in text
    # Best, median and worst of both runs; Dice is 0, 0.5 and 1 among their pairs.
    assert page.images == len(list((output / "pictures").glob("*.jpg"))) == 6
    assert len(list((output / "pictures").glob("*.html"))) == 6
    assert "any fold % : voxels whose determinant" in text or "any fold %: voxels" in text
    assert "best pair, Dice 1.000" in text and "worst pair, Dice 0.000" in text

    made = {path: path.stat().st_mtime_ns for path in (output / "pictures").iterdir()}
    call()  # nothing is new: pictures are kept
    assert made == {path: path.stat().st_mtime_ns for path in (output / "pictures").iterdir()}


def test_a_page_without_pictures(call):
    output = call("--report=plain", "--limit=1")
    assert read_page(output / "report.html").images == 0
    assert not (output / "pictures").exists()


def row(method, pair, dice, **others):
    known = {
        "method": method,
        "parameters": 0,
        "fixed": "a",
        "moving": pair,
        "dice": dice,
        "landmark": math.nan,
        "correlation": math.nan,
        "label_figures": {"1": {"dice": dice}},
    }
    return {**known, **others}


def test_best_median_and_worst():
    rows = [row("m", str(index), dice) for index, dice in enumerate([0.3, 0.9, 0.5, 0.7, math.nan])]
    assert [(title, r["moving"]) for title, r in pictures.chosen_rows(rows)] == [
        ("best pair, Dice 0.900", "1"),
        ("median pair, Dice 0.700", "3"),
        ("worst pair, Dice 0.300", "0"),
    ]
    lost = [row("m", str(index), math.nan, landmark=mm) for index, mm in enumerate([4.0, 1.0])]
    assert [r["moving"] for _, r in pictures.chosen_rows(lost)] == ["1", "0"]  # less is better
    assert pictures.chosen_rows([row("m", "0", math.nan)]) == []


def test_methods_are_compared_on_the_pairs_that_both_have():
    rows = [row("a", str(i), 0.5) for i in range(6)]
    rows += [row("b", str(i), 0.6 + 0.01 * i) for i in range(5)]
    (found,) = [line for line in compare_methods(rows) if line["figure"] == "dice"]
    assert (found["first"], found["second"], found["count"]) == ("a", "b", 5)
    assert found["difference"] == pytest.approx(0.12)
    assert found["p_holm"] == pytest.approx(found["p"]) == pytest.approx(2 / 2**5)


def test_diagrams_leave_out_what_nobody_has():
    groups = {"a": [row("a", "0", math.nan)], "b": [row("b", "0", math.nan)]}
    assert figures.pair_boxes(groups, [("dice", "Dice")]) == ""
    assert figures.label_boxes(groups, "dice", "Dice") == ""
    groups["b"][0]["dice"] = 0.5
    assert figures.pair_boxes(groups, [("dice", "Dice")]).startswith("<svg")


def test_many_labels_stand_in_two_columns():
    labels = {str(index): {"dice": 0.5} for index in range(30)}
    groups = {"a": [row("a", "0", 0.5, label_figures=labels)]}
    one = {"a": [row("a", "0", 0.5, label_figures={"1": {"dice": 0.5}})]}
    drawn = [figures.label_boxes(g, "dice", "Dice") for g in (groups, one)]
    assert [svg.count('<g id="axes_') for svg in drawn] == [2, 1]


def test_table_shows_mean_and_spread():
    costs = {
        "jaccard": 0.4,
        "hd95_mm": math.nan,
        "std_jacobian": 0.0,
        "folds_percent": 0.0,
        "folds_any_percent": 0.0,
        "seconds": 0.0,
        "labels": {},
    }
    rows = [row("a", str(index), dice, **costs) for index, dice in enumerate([0.5, 0.7])]
    _, line = tables.table_cells(rows)
    assert line[:5] == ["a", "0.600 (0.100)", "0.400 (0.000)", "-", "-"]
    assert line[-1] == "-"


def test_a_server_does_not_tell_its_parameters():
    costs = {"jaccard": 0.4, "hd95_mm": 1.0, "std_jacobian": 0.0, "seconds": 0.5, "labels": {}}
    rows = [row("server", "0", 0.5, **costs, parameters=None)]
    assert tables.table_cells(rows)[1][-1] == "-"
    drawn = figures.cost_scatter(tables.summarize_methods(rows), "dice", "Dice")
    assert drawn.startswith("<svg")


def test_boxes_are_tukeys():
    # Quartiles 2 and 4, whiskers to what lies within 3 of them: 9 is a point of its own.
    panel = Figure().subplots()
    figures._box(panel, [3.0, 1.0, 2.0, 4.0, 9.0], 0, 0.5, "#123456")
    (box,) = panel.patches
    assert (box.get_x(), box.get_width()) == (2, 2)
    low, high, median, outside = [list(line.get_xdata()) for line in panel.lines]
    assert (low, high, median, outside) == ([1, 2], [4, 4], [3, 3], [9])


def test_every_method_has_a_colour_of_its_own():
    colours = figures.colours_of(["identity", *map(str, np.arange(6))])
    assert len(set(colours.values())) == 7
    assert colours["identity"] == figures.IDENTITY_COLOUR
