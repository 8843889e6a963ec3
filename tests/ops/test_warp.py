"""Warps against answers known by hand, the original code's numbers, and the plain form."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from scipy import ndimage

from ldr_tf.ops import warp as warps

GOLDEN = np.load(Path(__file__).parents[1] / "golden" / "ops.npz")
IMAGE = tf.constant(GOLDEN["image"].astype("float32"))
FLOW = tf.constant(GOLDEN["flow"].astype("float32"))


def ramp(size, slope=(1.0, 10.0, 100.0)):
    """The linear image sum of slope * coordinate: trilinear sampling gives it exactly."""
    grid = np.stack(np.meshgrid(*map(np.arange, size), indexing="ij"), -1)
    return (grid @ np.array(slope)).astype("float32")[None, ..., None]


@pytest.mark.parametrize("compiled", [True, False])
def test_equals_the_original_code(compiled):
    clamped = warps.warp(IMAGE, FLOW, compiled)[:, ::2, ::2, ::2]
    np.testing.assert_allclose(clamped, GOLDEN["warped_clamp"], atol=1e-4)
    positions = warps.identity_grid(IMAGE.shape[1:4]) + FLOW
    bordered = warps.sample_zero_border(IMAGE, positions, compiled)[:, ::2, ::2, ::2]
    np.testing.assert_allclose(bordered, GOLDEN["warped_zero_padding"], atol=1e-5)
    sampled = warps.sample_zero_border(FLOW, tf.constant(GOLDEN["points"]), compiled)
    np.testing.assert_allclose(sampled, GOLDEN["sampled_at_points"], atol=1e-5)


@pytest.mark.parametrize("compiled", [True, False])
def test_constant_flow_moves_a_ramp_by_its_slope(compiled):
    image = ramp((6, 7, 8))
    flow = np.tile(np.float32([0.5, 0.25, -0.5]), (1, 6, 7, 8, 1))
    moved = warps.warp(image, flow, compiled)
    # 0.5 * 1 + 0.25 * 10 - 0.5 * 100 = -47, where nothing is clamped
    np.testing.assert_allclose((moved - image)[:, :-1, :-1, 1:], -47.0, atol=1e-3)


def test_channel_c_moves_along_axis_c_backwards():
    image = np.zeros((1, 4, 4, 4, 1), "float32")
    image[0, 2, 1, 1] = 1.0
    flow = np.zeros((1, 4, 4, 4, 3), "float32")
    flow[..., 0] = 1.0  # warped(p) = image(p + 1 along x): the voxel appears at x = 1
    assert warps.warp(image, flow)[0, 1, 1, 1, 0] == 1.0
    assert tf.reduce_sum(warps.warp(image, flow)) == 1.0


def test_outside_is_the_edge_or_zero():
    image = np.ones((1, 4, 4, 4, 1), "float32")
    for shift, expected in ((0.25, 0.75), (1.0, 0.0), (9.0, 0.0)):
        flow = np.full((1, 4, 4, 4, 3), 0.0, "float32")
        flow[..., 2] = shift
        assert warps.warp(image, flow)[0, 0, 0, 3, 0] == 1.0
        bordered = warps.sample_zero_border(image, np.float32([[[0, 0, 3 + shift]]]))
        assert float(bordered[0, 0, 0]) == pytest.approx(expected)


@pytest.mark.parametrize("size", [(1, 5, 9), (12, 7, 5)])
@pytest.mark.parametrize("channels", [1, 3])
def test_equals_scipy_for_any_batch_and_size(size, channels):
    rng = np.random.default_rng(3)
    image = rng.uniform(size=(2, *size, channels)).astype("float32")
    flow = rng.normal(scale=2.0, size=(2, *size, 3)).astype("float32")
    moved = warps.warp(image, flow).numpy()
    grid = np.stack(np.meshgrid(*map(np.arange, size), indexing="ij"))
    for b in range(2):
        positions = grid + np.moveaxis(flow[b], -1, 0)
        for c in range(channels):
            wanted = ndimage.map_coordinates(image[b, ..., c], positions, order=1, mode="nearest")
            np.testing.assert_allclose(moved[b, ..., c], wanted, atol=1e-5)


def test_nearest_keeps_type_and_values():
    labels = np.arange(27, dtype="int16").reshape(1, 3, 3, 3, 1)
    flow = np.full((1, 3, 3, 3, 3), 0.4, "float32")
    np.testing.assert_array_equal(warps.warp_nearest(labels, flow), labels)
    flow[..., 0] = 0.6
    moved = warps.warp_nearest(labels, flow)
    assert moved.dtype == tf.int16
    np.testing.assert_array_equal(moved[0, :2], labels[0, 1:])


def test_compiled_gradients_equal_those_of_the_plain_form():
    gradients = []
    for compiled in (True, False):
        with tf.GradientTape() as tape:
            tape.watch([IMAGE, FLOW])
            loss = tf.reduce_sum(warps.warp(IMAGE, FLOW, compiled) ** 2)
        gradients.append(tape.gradient(loss, [IMAGE, FLOW]))
    for ours, reference in zip(*gradients):
        assert np.abs(reference).max() > 1.0
        np.testing.assert_allclose(ours, reference, atol=1e-4)


def test_shapes_that_do_not_fit_are_refused():
    volume = np.zeros((1, 4, 4, 4, 1), "float32")
    with pytest.raises(ValueError, match="three channels"):
        warps.warp(tf.constant(volume), tf.constant(volume))
    with pytest.raises(ValueError, match="one grid"):
        warps.warp(tf.constant(volume), tf.zeros([1, 4, 4, 5, 3]))
    with pytest.raises(ValueError, match="batch, x, y, z"):
        warps.warp(tf.constant(volume[0]), tf.zeros([1, 4, 4, 4, 3]))


@pytest.mark.parametrize("size", [(1, 5, 9), (12, 7, 5), (6, 96, 96)])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_plain_form_takes_turns_over_any_batch_and_size(size, channels):
    rng = np.random.default_rng(4)
    image = rng.uniform(size=(2, *size, channels)).astype("float32")
    flow = rng.normal(scale=2.0, size=(2, *size, 3)).astype("float32")
    wanted = warps.warp(image, flow)
    np.testing.assert_allclose(warps.warp(image, flow, compiled=False), wanted, atol=1e-6)
    unknown = tf.function(
        lambda image, flow: warps.warp(image, flow, compiled=False),
        input_signature=[tf.TensorSpec([None] * 4 + [n]) for n in (channels, 3)],
    )
    np.testing.assert_allclose(unknown(image, flow), wanted, atol=1e-6)
