"""Flows with answers known by hand: constant and affine fields."""

from pathlib import Path

import numpy as np
import tensorflow as tf

from ldr_tf.ops import bspline
from ldr_tf.ops import flow as flows
from ldr_tf.ops.warp import identity_grid, warp

GOLDEN = np.load(Path(__file__).parents[1] / "golden" / "ops.npz")


def smooth_flow(size, seed, largest=2.0):
    rng = np.random.default_rng(seed)
    grid = rng.uniform(-largest, largest, (1, 5, 5, 5, 3)).astype("float32")
    return bspline.free_form_flow(tf.constant(grid), size)


def test_free_form_flow_equals_the_original_code():
    flow = bspline.free_form_flow(tf.constant(GOLDEN["control_grid"]), (40, 40, 40))
    np.testing.assert_allclose(flow[:, ::2, ::2, ::2], GOLDEN["free_form_flow"], atol=2e-6)


def test_free_form_flow_of_a_volume_that_is_no_cube():
    # Equal offsets give the same inner flow along every axis: the spline's weights sum to 1.
    grid = np.tile(np.float32([1.0, -2.0, 3.0]), (1, 5, 5, 5, 1))
    flow = bspline.free_form_flow(tf.constant(grid), (16, 24, 20))
    np.testing.assert_allclose(flow[0, 5, 8, 7], [1.0, -2.0, 3.0], atol=1e-5)
    assert flow.shape == (1, 16, 24, 20, 3)
    assert abs(float(flow[0, 0, 8, 7, 0])) < 1.0  # fades towards the ring of zeros


def test_constant_flows_add():
    first = tf.fill([1, 6, 6, 6, 3], 0.5)
    second = tf.fill([1, 6, 6, 6, 3], -1.25)
    np.testing.assert_allclose(flows.compose(first, second), first + second)


def test_warping_by_a_composition_equals_warping_twice():
    size = (24, 20, 28)
    grid = identity_grid(size)
    image = tf.reduce_sum(tf.sin(grid / 8.0), -1)[None, ..., None]
    first, second = smooth_flow(size, 1), smooth_flow(size, 2)
    twice = warp(warp(image, first), second)
    once = warp(image, flows.compose(first, second))
    inner = (slice(None), slice(4, -4), slice(4, -4), slice(4, -4))
    assert np.abs(once - image)[inner].max() > 0.2
    np.testing.assert_allclose(once[inner], twice[inner], atol=0.02)


def test_affine_composition_is_exact():
    rng = np.random.default_rng(0)
    matrix = tf.constant(rng.uniform(-0.1, 0.1, (1, 3, 3)).astype("float32"))
    translation = tf.constant([[0.5, -1.0, 0.25]])
    size = (8, 9, 10)
    affine = flows.affine_flow(matrix, translation, size)
    second = smooth_flow(size, 3)
    centre = (np.array(size) - 1) / 2
    points = identity_grid(size).numpy() + second[0].numpy()
    wanted = (points - centre) @ (matrix[0].numpy().T + np.eye(3)) + centre + [0.5, -1.0, 0.25]
    composed = flows.compose_affine(matrix, affine, second)
    np.testing.assert_allclose(identity_grid(size) + composed[0], wanted, atol=1e-4)


def test_affine_flow_turns_about_the_centre():
    matrix = tf.constant([[[0.0, 0.0, 0.0], [0.0, 0.1, 0.0], [0.0, 0.0, 0.0]]])
    flow = flows.affine_flow(matrix, tf.zeros([1, 3]), (5, 5, 5))
    np.testing.assert_allclose(flow[0, 2, :, 2, 1], [-0.2, -0.1, 0.0, 0.1, 0.2], atol=1e-6)


def test_resizing_keeps_values_and_scales_flows():
    constant = tf.fill([1, 8, 8, 8, 3], 2.0)
    np.testing.assert_allclose(flows.resize(constant, (4, 16, 8)), 2.0)
    resized = flows.resize_flow(constant, (4, 16, 8))
    np.testing.assert_allclose(resized[0, 1, 2, 3], [1.0, 4.0, 2.0])
    # halving a ramp takes the middle of each pair of voxels
    ramp = tf.reshape(tf.range(8.0), [1, 8, 1, 1, 1])
    np.testing.assert_allclose(flows.resize(ramp, (4, 1, 1))[0, :, 0, 0, 0], [0.5, 2.5, 4.5, 6.5])


def test_averaging_uses_every_voxel():
    """Eight to two along x: means of four; five to two: of two and a half; longer: linear."""
    volume = np.zeros((1, 8, 5, 4, 1), "float32")
    volume[0, :, 0, 0, 0] = np.arange(8)
    volume[0, 0, :, 1, 0] = [1, 2, 3, 4, 5]
    small = flows.resize(tf.constant(volume), (2, 5, 4), average=True).numpy()
    np.testing.assert_allclose(small[0, :, 0, 0, 0], [1.5, 5.5])
    small = flows.resize(tf.constant(volume), (8, 2, 4), average=True).numpy()
    np.testing.assert_allclose(small[0, 0, :, 1, 0], [4.5 / 2.5, 10.5 / 2.5], rtol=1e-6)
    same = [flows.resize(tf.constant(volume), (16, 10, 4), average=a) for a in (True, False)]
    np.testing.assert_array_equal(*same)
    with tf.GradientTape() as tape:
        x = tf.constant(volume)
        tape.watch(x)
        total = tf.reduce_sum(flows.resize(x, (2, 2, 2), average=True))
    assert np.all(tape.gradient(total, x).numpy() > 0)
