"""What the loop keeps of its steps: the newest numbers, and the share of waiting."""

import time

import pytest

from ldr_tf.training.loop import TrainingError, _Pending, _Waiting


def describe(step):
    return f"pair {step}"


def test_the_newest_number_of_every_scalar_is_reported():
    pending = _Pending("stop", describe)
    pending.add(0, {"reconstruction": 1.0})
    pending.add(1, {"reconstruction": 2.0, "full_loss": 5.0})
    pending.add(2, {"reconstruction": 3.0})
    assert pending.read() == {"reconstruction": 3.0, "full_loss": 5.0, "skipped_steps": 0}
    pending.add(3, {"reconstruction": 4.0})
    assert pending.read() == {"reconstruction": 4.0, "skipped_steps": 0}


def test_a_number_that_is_not_finite_stops_with_its_name_and_pairs():
    pending = _Pending("stop", describe)
    pending.add(6, {"reconstruction": 1.0})
    pending.add(7, {"reconstruction": float("nan"), "full_loss": 1.0})
    with pytest.raises(TrainingError, match=r"^step 8: reconstruction is nan \(pairs: pair 7\)"):
        pending.read()


def test_skipped_steps_are_counted():
    pending = _Pending("skip", describe)
    pending.add(0, {"reconstruction": float("inf")})
    pending.add(1, {"reconstruction": 1.0, "overflow": 1.0})
    pending.add(2, {"reconstruction": 1.0, "overflow": 0.0})
    assert pending.read()["skipped_steps"] == 2
    pending.add(3, {"reconstruction": float("nan")})
    assert pending.read()["skipped_steps"] == 3


def test_waiting_is_the_share_of_time_in_the_batches():
    def slow():
        while True:
            time.sleep(0.02)
            yield 1

    batches = _Waiting(slow())
    for _ in range(5):
        next(batches)
    assert 50.0 < batches.percent() <= 100.0
    time.sleep(0.02)
    assert batches.percent() < 1.0
