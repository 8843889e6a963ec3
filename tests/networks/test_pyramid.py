"""The pyramid: starts as the identity, learns, moves with its images, composes its levels."""

import numpy as np
import pytest
import tensorflow as tf

from ldr_tf.config import NetworkConfig
from ldr_tf.keras import keras
from ldr_tf.networks.cascade import CascadeNetwork
from ldr_tf.networks.pyramid import Pyramid, PyramidLevel
from ldr_tf.ops.flow import resize
from ldr_tf.ops.jacobian import jacobian_determinant
from ldr_tf.ops.warp import warp

CONFIG = NetworkConfig(
    "Pyramid", image_size=(16, 16, 16), channels=4, cascades=1, flow_resolution="half"
)


def blobs(size=(16, 16, 16), shift=(1.5, -1.0, 0.5)):
    """A Gaussian blob in the middle, and the same blob `shift` voxels further."""
    grid = np.stack(np.meshgrid(*map(np.arange, size), indexing="ij"), -1)
    middle = (np.array(size) - 1) / 2
    volumes = [
        np.exp(-((grid - middle - offset) ** 2).sum(-1) / 18) for offset in ((0, 0, 0), shift)
    ]
    return [tf.constant(v[None, ..., None].astype("float32")) for v in volumes]


def textures(size=(16, 16, 16)):
    """Two smooth volumes."""
    coarse = np.random.default_rng(2).uniform(size=(2, 1, 5, 5, 5, 1)).astype("float32")
    return [resize(volume, size) for volume in coarse]


def give_heads(stem, scale=0.01, seed=3):
    """Heads that predict something."""
    rng = np.random.default_rng(seed)
    for head in stem.heads:
        head.kernel.assign(scale * rng.normal(size=head.kernel.shape))
    return stem


def by_hand(widths, neighbours=(7, 27, 27, 27)):
    """Counts parameters: of the widths from fine to coarse."""
    count, inputs = 0, 1
    for level, width in enumerate(widths):
        count += 27 * inputs * width + width + 27 * width * width + width  # encoder
        hidden = width if level < 3 else 0
        count += 27 * (neighbours[level] + 2 * width + hidden) * width + width
        count += 2 * (27 * width * width + width) + 3 * width  # two more, head
        count += hidden and widths[level + 1] * width  # from the coarser level
        inputs = width
    return count


@pytest.mark.parametrize("channels, widths", [(8, (4, 8, 16, 32)), (16, (8, 16, 32, 64))])
def test_parameters_by_hand(channels, widths):
    assert Pyramid(channels).count_params() == by_hand(widths)


def test_starts_as_the_identity():
    fixed, moving = blobs()
    answer = CascadeNetwork(CONFIG)(fixed, moving)
    np.testing.assert_array_equal(answer.flow, np.zeros((1, 16, 16, 16, 3)))
    np.testing.assert_allclose(answer.warped, moving, atol=1e-7)
    np.testing.assert_array_equal(jacobian_determinant(answer.flow), np.ones((1, 14, 14, 14)))


@pytest.mark.parametrize("recompute", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_every_weight_has_a_gradient(recompute):
    network = CascadeNetwork(CONFIG, recompute=recompute)
    give_heads(network.stems[0])
    fixed, moving = blobs()

    @tf.function(autograph=False)
    def gradients():
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((network(fixed, moving).warped - fixed) ** 2)
        return tape.gradient(loss, network.trainable_variables)

    found = gradients()
    assert all(gradient is not None for gradient in found)
    norms = [float(tf.norm(gradient)) for gradient in found]
    assert min(norms) > 0.0 and np.isfinite(norms).all()


@pytest.mark.slow
def test_gradients_of_compiled_and_plain_forms_agree(monkeypatch):
    keras.utils.set_random_seed(1)
    monkeypatch.setattr(PyramidLevel, "PLAIN_VOXELS", 0)  # all levels in functions of XLA
    stem = give_heads(Pyramid(2, flow_resolution="half"), 1.0)
    fixed, moving = textures()
    found = []
    for stem.compiled in (True, False):
        with tf.GradientTape() as tape:
            flow = stem(fixed, moving)
            loss = tf.reduce_mean(flow**2)
        found.append([flow, *tape.gradient(loss, stem.trainable_variables)])
    assert np.abs(found[0][0]).max() > 0.2
    for ours, plain in zip(*found):
        np.testing.assert_allclose(ours, plain, atol=1e-4 * np.abs(plain).max() + 1e-9)


@pytest.mark.slow
def test_learns_to_move_a_blob():
    fixed, moving = blobs()
    network = CascadeNetwork(CONFIG)
    optimizer = keras.optimizers.Adam(2e-3)

    @tf.function(autograph=False)
    def step():
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((network(fixed, moving).warped - fixed) ** 2)
        gradients = tape.gradient(loss, network.trainable_variables)
        optimizer.apply_gradients(zip(gradients, network.trainable_variables))
        return loss

    losses = [float(step()) for _ in range(60)]
    assert losses[-1] < 0.3 * losses[0]
    # Backwards: the fixed blob's voxels find theirs `shift` further.
    flow = network(fixed, moving).flow.numpy()[0, 6:10, 6:10, 6:10].mean((0, 1, 2))
    assert flow[0] > 0.4 and flow[1] < -0.2


def test_moves_with_its_images():
    """Both images 16 voxels further along x: so is the flow, away from the volume's edges."""
    rng = np.random.default_rng(5)
    images = rng.uniform(size=(2, 1, 512, 16, 16, 1)).astype("float32")
    stem = give_heads(Pyramid(2, flow_resolution="half"), 0.05)
    stem.compiled = False
    flow = stem(*images).numpy()
    further = stem(*np.roll(images, 16, axis=2)).numpy()
    inner = flow[:, 116:132]
    assert inner.std() > 0.01
    np.testing.assert_allclose(further[:, 124:140], inner, atol=1e-4)


def test_levels_compose():
    """A constant flow on each level by hand: 16 s + 8 s + 4 s + 2 s voxels in all."""
    stem = Pyramid(2, flow_resolution="half")
    for level in stem.levels:
        # A last convolution whose features are its bias, 1, and a head that sees the first.
        level.convolutions[-1].kernel.assign(tf.zeros_like(level.convolutions[-1].kernel))
        level.convolutions[-1].bias.assign(tf.ones_like(level.convolutions[-1].bias))
        kernel = np.zeros(level.flow.kernel.shape, "float32")
        kernel[..., 0, :] = np.array([0.25, -0.5, 0.125]) / 8  # the head's output counts eightfold
        level.flow.kernel.assign(kernel)
    fixed, moving = blobs((32, 16, 16))
    wanted = np.broadcast_to(30 * np.array([0.25, -0.5, 0.125]), (1, 16, 8, 8, 3))
    np.testing.assert_allclose(stem(fixed, moving), wanted, atol=1e-5)


def test_each_level_warps_the_moving_features():
    """What a finer level correlates is the moving image as the coarser levels have moved it."""
    size = (1, 8, 8, 8)
    rng = np.random.default_rng(6)
    fixed, moving = (
        tf.constant(rng.normal(size=(*size, 4)), tf.float32) for _ in ("fixed", "moving")
    )
    flow = tf.fill([1, 4, 4, 4, 3], 0.75)
    hidden = tf.constant(rng.normal(size=(1, 4, 4, 4, 6)), tf.float32)
    level = PyramidLevel(4, 6, 7, 1.0)
    level.flow.kernel.assign(0.02 * tf.ones_like(level.flow.kernel))
    found, features = level(fixed, moving, flow, hidden, compiled=False)
    moved = warp(moving, tf.fill([*size, 3], 1.5))
    still, same = level(fixed, moved, tf.zeros_like(flow), hidden, compiled=False)
    np.testing.assert_allclose(features, same, atol=1e-5)
    np.testing.assert_allclose(found, still + 1.5, atol=1e-4)
    assert np.abs(still).max() > 0.05


@pytest.mark.parametrize("precision, bound", [("mixed_bfloat16", 0.05), ("mixed_float16", 0.01)])
def test_lower_precision_stays_near(precision, bound):
    keras.utils.set_random_seed(1)
    network = CascadeNetwork(CONFIG)
    give_heads(network.stems[0], 0.1)
    lower = CascadeNetwork(CONFIG, precision=precision)
    lower.set_weights(network.get_weights())
    fixed, moving = textures()
    wanted, flow = network(fixed, moving).flow, lower(fixed, moving).flow
    assert flow.dtype == tf.float32
    largest = np.abs(wanted).max()
    assert largest > 0.1
    assert 0.0 < np.abs(flow - wanted).max() < bound * largest
