"""Splines at voxels against SciPy's B-splines, one basis function after the other."""

import numpy as np
import pytest
import tensorflow as tf
from scipy.interpolate import BSpline

from ldr_tf.ops.bspline import spline_at_voxels

SIZE = (7, 8, 12)


def matrix(voxels, points, spacing):
    """[voxels, points]: the cubic basis function centred on each control point, at each voxel."""
    places = np.arange(voxels) / spacing + 1
    knots = [np.arange(-2, 3) + point for point in range(points)]
    found = [BSpline.basis_element(k, extrapolate=False)(places) for k in knots]
    return np.nan_to_num(np.transpose(found))


@pytest.mark.parametrize("compiled", [None, True])
@pytest.mark.parametrize("spacing, more", [(1, 0), (2, 0), (3, 2), (12, 0)])
def test_values_and_gradient(spacing, more, compiled):
    random = np.random.default_rng(spacing)
    counts = [(n - 1) // spacing + 4 + more for n in SIZE]
    points = random.normal(size=(2, *counts, 3))
    upstream = random.normal(size=(2, *SIZE, 3))
    matrices = [matrix(n, count, spacing) for n, count in zip(SIZE, counts)]
    values = tf.function(lambda c: spline_at_voxels(c, SIZE, spacing), jit_compile=compiled)
    coefficients = tf.constant(points, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(coefficients)
        found = values(coefficients)
    gradient = tape.gradient(found, coefficients, tf.constant(upstream, tf.float32))
    expected = np.einsum("bijkc,xi,yj,zk->bxyzc", points, *matrices)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    expected = np.einsum("bxyzc,xi,yj,zk->bijkc", upstream, *matrices)
    np.testing.assert_allclose(gradient, expected, atol=1e-5)


def test_constants_and_planes_are_met():
    counts = [(n - 1) // 2 + 4 for n in SIZE]
    places = np.moveaxis(np.indices(counts), 0, -1)[None] - 1.0  # in control points, from voxel 0
    found = spline_at_voxels(tf.constant(places, tf.float32), SIZE, 2)
    expected = np.moveaxis(np.indices(SIZE), 0, -1)[None] / 2
    np.testing.assert_allclose(found, expected, atol=1e-5)
