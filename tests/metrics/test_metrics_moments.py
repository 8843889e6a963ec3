"""Moments of pieces are those of the whole, by NumPy."""

import numpy as np
import pytest

from ldr_tf.metrics.moments import Moments, PairedMoments


def pieces(array):
    return np.split(array, [0, 3, 4, 20, 20], axis=-1)


def test_mean_and_deviation():
    array = np.random.default_rng(0).normal(1e4, 3, (2, 50)).astype(np.float32)
    found = sum((Moments.of(piece) for piece in pieces(array)), Moments())
    assert found.count == 100
    assert found.mean == pytest.approx(array.mean(dtype=np.float64), rel=1e-12)
    assert found.deviation == pytest.approx(array.std(dtype=np.float64), rel=1e-9)


def test_correlation():
    rng = np.random.default_rng(1)
    first = rng.normal(-1000, 20, 60)
    second = 0.3 * first + rng.normal(0, 5, 60)
    both = zip(pieces(first), pieces(second))
    found = sum((PairedMoments.of(*piece) for piece in both), PairedMoments())
    assert found.correlation == pytest.approx(np.corrcoef(first, second)[0, 1], rel=1e-12)


def test_a_constant_has_no_correlation():
    numbers, constant = np.arange(30.0), np.full(30, 0.1)
    both = zip(pieces(numbers), pieces(constant))
    found = sum((PairedMoments.of(*piece) for piece in both), PairedMoments())
    assert np.isnan(found.correlation) and np.isnan(PairedMoments().correlation)
