"""Folding: fields whose Jacobian determinant is known by hand."""

import numpy as np
import pytest

from ldr_tf.metrics.folding import folding


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
