"""Smoothness and rigidity of fields and maps whose answers are known by hand."""

import numpy as np
import tensorflow as tf

from ldr_tf.losses import regularization
from ldr_tf.ops.flow import affine_flow


def test_smoothness_of_a_linear_field_is_known():
    # gradient 0.5 along x in one channel: half of 0.25 at (x - 1) of x places, over x y z 3
    matrix = np.zeros((1, 3, 3), "float32")
    matrix[0, 0, 0] = 0.5
    flow = affine_flow(matrix, tf.zeros([1, 3]), (5, 6, 7))
    np.testing.assert_allclose(regularization.flow_smoothness(flow), 0.125 * 4 / 5 / 3, rtol=1e-5)


def test_gradient_of_smoothness_by_its_differences_one_by_one():
    flow = np.random.default_rng(4).normal(size=(2, 4, 5, 6, 3))
    expected = np.zeros_like(flow)
    for axis in (1, 2, 3):
        for low, high in zip(range(flow.shape[axis] - 1), range(1, flow.shape[axis])):
            a, b = ((slice(None),) * axis + (place,) for place in (low, high))
            expected[b] += flow[b] - flow[a]
            expected[a] -= flow[b] - flow[a]
    expected /= 4 * 5 * 6 * 3
    gradient = regularization.smoothness_gradient(tf.constant(flow, tf.float32))
    np.testing.assert_allclose(gradient, expected, atol=1e-6)
    with tf.GradientTape() as tape:
        given = tf.constant(flow, tf.float32)
        tape.watch(given)
        smoothness = regularization.flow_smoothness(given)
    upstream = tf.constant([2.0, -1.0])
    found = tape.gradient(smoothness, given, upstream)
    np.testing.assert_allclose(found, expected * [[[[[2.0]]]], [[[[-1.0]]]]], atol=1e-6)
    # Half of the product of field and gradient is the field's smoothness.
    products = (flow * expected).sum(axis=(1, 2, 3, 4)) / 2
    np.testing.assert_allclose(smoothness, products, rtol=1e-5)


def test_affine_losses_vanish_for_a_rotation_and_only_there():
    angle = 0.3
    rotation = np.eye(3)
    rotation[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    stretch = np.diag([1.2, 1.0, 1.0])
    w = np.float32([rotation - np.eye(3), stretch - np.eye(3)])
    np.testing.assert_allclose(regularization.determinant_loss(w), [0.0, 0.02], atol=1e-5)
    # by the formula on the eigenvalues 1.44, 1, 1 (e left out): s1 + s2 / s3 - 6
    wanted = 3.44 + (1.44 + 1.44 + 1) / 1.44 - 6
    np.testing.assert_allclose(regularization.orthogonality_loss(w), [0.0, wanted], atol=1e-4)
