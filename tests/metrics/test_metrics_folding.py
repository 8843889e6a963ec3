"""Folding: fields whose Jacobian determinant is known by hand."""

import numpy as np
import pytest

from ldr_tf.metrics.folding import (
    HISTOGRAM_EDGES,
    describe,
    folds_any_percent,
    folds_percent,
    jacobian_histogram,
    std_jacobian,
)
from ldr_tf.metrics.jacobian import jacobian_determinant


def folding(flow):
    return describe(jacobian_determinant(flow))


def grid(size):
    return np.stack(np.meshgrid(*map(np.arange, size), indexing="ij"), axis=-1).astype(np.float64)


def test_identity():
    assert folding(np.zeros((5, 6, 7, 3), np.float32)) == (0, 0.0, 0.0, 0.0, 1.0)


def test_affine_has_one_determinant_everywhere():
    matrix = np.array([[1.2, 0.1, 0.0], [-0.1, 0.9, 0.2], [0.05, 0.0, 1.1]])
    points = grid((6, 7, 8))
    result = folding(points @ matrix.T - points)
    assert np.linalg.det(matrix) > 0
    assert result.folds == 0
    assert result.std_jacobian == pytest.approx(0, abs=1e-5)


def test_reflection_folds_everywhere():
    points = grid((5, 6, 7))
    result = folding(points * [-1, 1, 1] - points)  # det = -1
    assert result.folds == 4 * 5 * 6
    assert result.percent == 100


def test_zero_determinant_is_a_fold():
    points = grid((4, 4, 4))
    assert folding(points * [0, 1, 1] - points).percent == 100


def test_quadratic_field():
    # x -> x + a x^2: the forward difference is 1 + a (2 x + 1), its standard deviation 2 a times
    # that of 0..7, sqrt((64 - 1) / 12).
    size, a = (9, 5, 5), 0.01
    flow = np.zeros(size + (3,))
    flow[..., 0] = a * grid(size)[..., 0] ** 2
    assert folding(flow).std_jacobian == pytest.approx(2 * a * np.sqrt(63 / 12), rel=1e-4)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_fold_of_known_volume(axis):
    # One layer steps back by two voxels along `axis`: J = -1 just before it, 3 just behind.
    size = [8, 9, 10]
    flow = np.zeros(size + [3], np.float32)
    layer = [slice(None)] * 3
    layer[axis] = 4
    flow[tuple(layer) + (axis,)] = -2
    result = folding(flow)
    voxels = [n - 1 for n in size]
    assert result.folds == np.prod(voxels) / voxels[axis]
    assert result.percent == pytest.approx(100 / voxels[axis])


def test_nan_is_a_fold():
    flow = np.zeros((4, 4, 4, 3), np.float32)
    flow[3, 0, 0, 0] = np.nan
    assert folding(flow).folds == 1


def test_standard_deviation_is_the_populations():
    # Two voxels along x with determinants 1 and 2: 0.5, not 0.707.
    flow = np.zeros((3, 2, 2, 3), np.float32)
    flow[2, ..., 0] = 1
    assert folding(flow).std_jacobian == pytest.approx(0.5)


def stretched(factors):
    """A flow whose |J| along x is each of the factors in turn, over 2 x 2 voxels."""
    flow = np.zeros((len(factors) + 1, 3, 3, 3))
    flow[1:, ..., 0] = np.cumsum(np.array(factors) - 1.0)[:, None, None]
    return flow


def test_log_jacobian_is_clipped_at_folds_alone():
    # log |J|: log 0.5, log 2 and log 1e-9 for the fold; adding 3 first would give another figure.
    result = folding(stretched([0.5, 2.0, -1.0]))
    expected = np.std(np.log([0.5, 2.0, 1e-9]))
    assert result.sd_log_jacobian == pytest.approx(expected, rel=1e-5)
    assert result.min_jacobian == pytest.approx(-1, abs=1e-5)
    small = folding(stretched([1e-3, 1.0]))  # small, but no fold: its own logarithm
    assert small.sd_log_jacobian == pytest.approx(np.log(1000) / 2, rel=1e-3)


def test_uniform_scaling_has_no_spread():
    points = grid((5, 5, 5))
    result = folding(points * 0.2)  # |J| = 1.2 ** 3
    assert result.sd_log_jacobian == pytest.approx(0, abs=1e-5)
    assert result.min_jacobian == pytest.approx(1.728, rel=1e-5)


def test_histogram_counts_every_voxel_once():
    flow = stretched([0.52, 0.52, 2.03, -5.0, 9.0])
    counts = jacobian_histogram(jacobian_determinant(flow))
    assert counts.sum() == 5 * 2 * 2
    places = {index: count for index, count in enumerate(counts) if count}
    # Bins of 0.05 from -1 on: 0.52 in the 30th, 2.03 in the 60th, the rest in the outermost.
    assert places == {30: 8, 60: 4, 0: 4, 99: 4}
    assert HISTOGRAM_EDGES[30] == pytest.approx(0.5)


def test_the_figures_by_themselves_are_those_of_the_description():
    determinant = jacobian_determinant(stretched([0.5, 2.0, -1.0]))
    described = describe(determinant)
    assert folds_percent(determinant) == described.percent == pytest.approx(100 / 3)
    assert std_jacobian(determinant) == described.std_jacobian


def test_folds_towards_any_corner_are_a_share_of_all_voxels():
    # One edge of four along x folds; the voxels at both of its ends do, towards each other.
    flow = stretched([1.0, -1.0, 1.0, 1.0])
    assert folding(flow).percent == 25
    assert folds_any_percent(flow) == pytest.approx(100 * 2 / 5)
    assert folds_any_percent(np.zeros((4, 5, 6, 3), np.float32)) == 0
