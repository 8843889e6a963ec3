"""The table of figures is whole: rows, summaries and columns are made from it."""

import numpy as np

from experiments.evaluation import tables
from ldr_tf.evaluation import FIGURES, ORIGINAL_FIGURES, Measures, VolumePair, measure, summarize
from ldr_tf.evaluation.figures import BEST, HIGHER, LOWER, TABLE, VALIDATION, figures_for
from ldr_tf.evaluation.validation import validate


def pair():
    volume = np.random.default_rng(0).uniform(0, 255, (6, 7, 8)).astype(np.float32)
    return VolumePair("a", "b", volume, volume[::-1].copy())


def test_names_differ_and_every_row_has_them():
    figures = FIGURES + ORIGINAL_FIGURES
    assert len({figure.name for figure in figures}) == len(figures)
    flow = np.zeros((6, 7, 8, 3), np.float32)
    row = measure(pair(), flow, pair().moving, measures=Measures(originals=True))
    measured = {figure.name for figure in figures if figure.measure is not None}
    assert measured | {"fixed", "moving", "labels", "label_figures"} == set(row)
    assert {figure.name for figure in figures} <= set(summarize([row]))
    assert {figure.name for figure in FIGURES} <= set(tables.ROW_COLUMNS)


def test_a_figure_that_can_be_the_best_has_a_direction():
    for figure in FIGURES:
        assert figure.better in (HIGHER, LOWER, None)
        assert BEST not in figure.uses or (figure.better and TABLE in figure.uses)
        float(figure.form.format(1.5))


def test_folds_are_counted_both_ways_in_the_row():
    flow = np.zeros((6, 7, 8, 3), np.float32)
    flow[2, 3, 3] = -0.5  # folds towards its backward corner alone
    row = measure(pair(), flow, pair().moving)
    assert (row["folds"], row["folds_percent"]) == (0, 0)
    assert row["folds_any_percent"] == 100 / (6 * 7 * 8)


def test_validation_has_both_counts_of_folds():
    names = {figure.name for figure in figures_for(VALIDATION)}
    assert {"folds_percent", "folds_any_percent", "dice", "landmark"} <= names
    assert validate(None, [pair()])["folds_any_percent"] == 0
