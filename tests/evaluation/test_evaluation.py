"""Evaluation: fake networks with known flows on cubes counted by hand."""

import collections
import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from ldr_tf.errors import InputError
from ldr_tf.evaluation import (
    Measures,
    Predictor,
    VolumePair,
    evaluate,
    evaluate_pair,
    prediction,
    summarize,
    validate,
)
from ldr_tf.ops.warp import warp

SIZE = 16
Output = collections.namedtuple("Output", "flow warped")


class ShiftNetwork:
    """Moves by a constant number of voxels along x; counts how often it is traced."""

    def __init__(self, shift):
        self.shift = tf.Variable(shift, dtype=tf.float32)
        self.traces = 0

    def __call__(self, fixed, moving):
        self.traces += 1
        tf.debugging.assert_less_equal(tf.reduce_max(moving), 1.0)
        flow = tf.zeros_like(tf.repeat(fixed, 3, axis=-1)) + self.shift * [1.0, 0.0, 0.0]
        return Output(flow, warp(moving, flow, compiled=False))


def cube(start, value):
    volume = np.zeros((SIZE,) * 3, np.uint8)
    volume[start : start + 4, 4:8, 4:8] = value
    return volume


def make_pair(**changes):
    """The moving cubes lie 2 voxels further along x than the fixed ones."""
    pair = VolumePair(
        fixed_id="a",
        moving_id="b",
        fixed=cube(2, 200) + cube(8, 100),
        moving=cube(4, 200) + cube(10, 100),
        fixed_labels=cube(2, 1) + cube(8, 2),
        moving_labels=cube(4, 1) + cube(10, 2),
        fixed_points=np.float32([[3, 5, 5], [-1, -1, -1]]),
        moving_points=np.float32([[5, 5, 5], [9, 9, 9]]),
    )
    return dataclasses.replace(pair, **changes)


def test_identity():
    pair = make_pair()
    row = evaluate_pair(None, pair)
    assert (row["fixed"], row["moving"]) == ("a", "b")
    assert row["labels"] == {"1": 0.5, "2": 0.5}  # 32 of 64 voxels in common
    assert row["dice"] == 0.5
    assert row["jaccard"] == pytest.approx(1 / 3)
    assert row["landmark"] == 2
    assert (row["std_jacobian"], row["folds"], row["folds_percent"]) == (0, 0, 0)
    assert row["folds_any_percent"] == 0
    assert row["seconds"] == 0
    expected = np.corrcoef(pair.fixed.ravel(), pair.moving.ravel())[0, 1]
    assert row["correlation"] == pytest.approx(expected)


def test_perfect_network():
    row = evaluate_pair(ShiftNetwork(2), make_pair())
    assert row["dice"] == row["jaccard"] == 1
    assert row["landmark"] == pytest.approx(0)
    assert row["correlation"] == pytest.approx(1)
    assert row["seconds"] > 0


def test_wrong_direction_is_worse():
    row = evaluate_pair(ShiftNetwork(-2), make_pair())
    assert row["dice"] == 0
    assert row["landmark"] == pytest.approx(4)


def test_given_labels_have_names_and_absent_ones_are_counted():
    row = evaluate_pair(ShiftNetwork(1), make_pair(), {"liver": 2, "spleen": 9})
    assert row["labels"]["liver"] == 0.75
    assert np.isnan(row["labels"]["spleen"])
    assert row["dice"] == 0.75
    assert row["labels_absent"] == 1


def test_masks_are_one_organ():
    pair = make_pair(fixed_labels=cube(4, 255), moving_labels=cube(5, 255))
    row = evaluate_pair(None, pair, measures=Measures(originals=True))
    assert row["labels"] == {"255": 0.75}
    assert row["original_dice"] == pytest.approx(0.75)
    assert row["original_jaccard"] == pytest.approx(0.6)


def test_label_in_one_map_alone_counts_as_missed():
    row = evaluate_pair(None, make_pair(fixed_labels=cube(4, 1), moving_labels=cube(4, 3)))
    assert row["labels"] == {"1": 0, "3": 0}
    assert row["labels_absent"] == 0


def test_without_labels_and_points():
    pair = make_pair(fixed_labels=None, moving_points=None)
    row = evaluate_pair(None, pair, {"liver": 1}, measures=Measures(originals=True))
    for figure in ("dice", "jaccard", "landmark", "original_dice", "original_landmark"):
        assert np.isnan(row[figure])
    assert row["labels"] == {}


def test_originals_landmarks_count_the_absent():
    row = evaluate_pair(None, make_pair(), measures=Measures(originals=True))
    assert row["original_landmark"] == pytest.approx((2 + np.sqrt(243)) / 2)
    assert "original_landmark" not in evaluate_pair(None, make_pair())


def test_one_trace_for_one_size_and_weights_are_seen():
    network = ShiftNetwork(0)
    predictor = Predictor(network)
    assert evaluate(predictor, [make_pair()])[0]["dice"] == 0.5
    network.shift.assign(2)
    rows = evaluate(predictor, [make_pair()] * 3)
    assert [row["dice"] for row in rows] == [1, 1, 1]
    assert network.traces == 1


def test_first_call_is_not_timed(monkeypatch):
    calls = []
    monkeypatch.setattr(
        prediction, "_compiled", lambda network: lambda *inputs: calls.append(1) or network(*inputs)
    )
    predictor = Predictor(ShiftNetwork(1))
    pair = make_pair()
    predictor(pair.fixed, pair.moving)
    assert len(calls) == 2  # once to warm up, once timed
    predictor(pair.fixed, pair.moving)
    assert len(calls) == 3
    predictor(pair.fixed[:8], pair.moving[:8])  # another size warms up again
    assert len(calls) == 5


def test_summary():
    first = evaluate_pair(ShiftNetwork(2), make_pair())
    second = evaluate_pair(None, make_pair())
    third = evaluate_pair(None, make_pair(moving_labels=None))
    summary = summarize([first, second, third])
    assert summary["pairs"] == 3
    assert summary["dice"] == {"mean": 0.75, "std": 0.25, "count": 2}
    assert summary["labels"]["2"] == {"mean": 0.75, "std": 0.25, "count": 2}
    assert summary["landmark"]["count"] == 3
    assert "original_dice" not in summary
    empty = summarize([third])["dice"]
    assert empty["count"] == 0
    assert np.isnan(empty["mean"])


def test_sizes_that_differ_are_refused():
    with pytest.raises(InputError, match="pair a, b: moving_labels"):
        make_pair(moving_labels=np.zeros((SIZE, SIZE, 4), np.uint8))
    with pytest.raises(InputError, match="same number of points"):
        make_pair(fixed_points=np.zeros((5, 3), np.float32))


def test_validation_gives_the_means_of_what_is_known():
    pairs = [make_pair(), make_pair(fixed_labels=None, fixed_points=None)]
    figures = validate(ShiftNetwork(1), iter(pairs))
    rows = evaluate(ShiftNetwork(1), pairs)
    assert figures["dice"] == rows[0]["dice"] == 0.75
    assert figures["landmark"] == pytest.approx(1)
    assert figures["correlation"] == pytest.approx(np.mean([row["correlation"] for row in rows]))
    assert figures["folds_percent"] == 0
    unknown = validate(None, pairs[1:])
    assert set(unknown) == {"std_jacobian", "folds_percent", "folds_any_percent", "correlation"}
