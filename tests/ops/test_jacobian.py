"""Jacobian determinants known by hand, and their gradient against a tape's."""

import numpy as np
import pytest
import tensorflow as tf

from ldr_tf.metrics.jacobian import jacobian_determinant
from ldr_tf.ops import jacobian
from ldr_tf.ops.flow import affine_flow


@pytest.mark.parametrize(
    "matrix", [np.diag([0.5, 0.0, -0.5]), [[0.0, 0.3, 0.0], [-0.3, 0.0, 0.2], [0.1, 0.0, 0.4]]]
)
def test_jacobian_of_an_affine_map_is_its_determinant(matrix):
    matrix = np.float32(matrix)
    flow = affine_flow(matrix[None], tf.zeros([1, 3]), (5, 6, 7))
    for corner in np.ndindex(2, 2, 2):
        found = jacobian.jacobian_determinant(flow, corner)
        assert found.shape == (1, 3, 4, 5)
        np.testing.assert_allclose(found, np.linalg.det(matrix + np.eye(3)), atol=1e-5)


def test_jacobian_of_a_quadratic_field_and_of_a_fold():
    x = np.arange(6, dtype="float32")
    flow = np.zeros((1, 6, 6, 6, 3), "float32")
    flow[..., 0] = (-0.2 * x * x)[None, :, None, None]
    # forward difference of -0.2 x^2 is -0.2 (2 x + 1): 1 + that is 0.8, 0.4, 0.0, -0.4, -0.8
    found = jacobian.jacobian_determinant(tf.constant(flow))
    np.testing.assert_allclose(found[0, :, 2, 2], [0.4, 0.0, -0.4, -0.8], atol=1e-5)
    found = jacobian.jacobian_determinant(tf.constant(flow), (0, 1, 1))
    np.testing.assert_allclose(found[0, :, 2, 2], [0.8, 0.4, 0.0, -0.4], atol=1e-5)


@pytest.mark.parametrize("corner", list(np.ndindex(2, 2, 2)))
def test_the_jacobian_towards_a_corner_is_numpys(corner):
    flow = np.random.default_rng(1).normal(0, 0.3, (1, 6, 7, 8, 3)).astype("float32")
    inner = tuple(slice(1, None) if ahead else slice(None, -1) for ahead in corner)
    wanted = jacobian_determinant(flow[0], corner)[inner]
    found = jacobian.jacobian_determinant(tf.constant(flow), tf.constant(corner))
    np.testing.assert_allclose(found[0], wanted, atol=1e-5)


@pytest.mark.parametrize("corner", [(1, 1, 1), (0, 1, 0), (1, 0, 0)])
@pytest.mark.parametrize("share", [0.0, 0.1, 1.0])
def test_the_gradient_of_few_voxels_is_a_tapes(corner, share):
    rng = np.random.default_rng(2)
    flow = tf.constant(rng.normal(0, 0.4, (2, 6, 7, 8, 3)), tf.float32)
    upstream = rng.normal(size=(2, 4, 5, 6)) * (rng.random((2, 4, 5, 6)) < share)
    upstream, before = tf.constant(upstream, tf.float32), tf.ones_like(flow)
    with tf.GradientTape() as tape:
        tape.watch(flow)
        total = tf.reduce_sum(upstream * jacobian.jacobian_determinant(flow, corner))
    wanted = before + tape.gradient(total, flow)
    found = jacobian.add_jacobian_gradient(before, flow, corner, upstream)
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    assert (np.abs(wanted - before).max() > 0.1) == (share > 0)
