"""Learned steps: start without moving anything, see both forces, learn to go where they point."""

import dataclasses
import itertools

import numpy as np
import pytest
import tensorflow as tf

from ldr_tf.config import NetworkConfig
from ldr_tf.errors import InputError
from ldr_tf.keras import keras
from ldr_tf.networks.cascade import CascadeNetwork
from ldr_tf.networks.descent import Descent
from ldr_tf.ops.force import correlation_force
from ldr_tf.ops.gradients import laplacian
from tests.networks.test_networks import CASES, assert_same, build, pair
from tests.networks.test_pyramid import give_heads, textures


def flows(size=(16, 16, 16)):
    """A smooth flow of about a voxel."""
    fields = [textures(size)[0], *textures(size)]
    return tf.concat([2.0 * field - 1.0 for field in fields], axis=-1)


@pytest.mark.parametrize("compiled", [True, False])
def test_starts_as_the_identity(compiled):
    descent = Descent(2)
    descent.compiled = compiled
    np.testing.assert_array_equal(descent(*textures(), flows()), np.zeros((1, 16, 16, 16, 3)))


def test_a_network_starts_from_one_without_steps():
    fewer = build("ldr")
    more = CascadeNetwork(dataclasses.replace(CASES["ldr"], cascades=2, descents=2))
    more.start_from(fewer)
    answer = more(*pair("ldr"))
    assert len(answer.stages) == 4
    assert_same(answer, fewer(*pair("ldr")))


def test_takes_over_the_steps_of_a_network_that_has_them():
    network = build("descent")
    again = CascadeNetwork(CASES["descent"])
    again.start_from(network)
    assert_same(again(*pair("descent")), network(*pair("descent")))


def test_every_weight_has_a_gradient():
    descent = give_heads(Descent(4))
    fixed, warped = textures()

    @tf.function(autograph=False)
    def gradients():
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((descent(fixed, warped, flows()) - 1.0) ** 2)
        return tape.gradient(loss, descent.trainable_variables)

    norms = [float(tf.norm(gradient)) for gradient in gradients()]
    assert min(norms) > 0.0 and np.isfinite(norms).all()


def test_sees_the_forces():
    """First channels that take the force along x and the Laplacian along z, and hand them on."""
    descent = Descent(16)
    for layer in itertools.chain(*descent.down, descent.up):
        layer.kernel.assign(tf.zeros_like(layer.kernel))
    (enter, same), last = descent.down[0], descent.up[0]
    for layer, channels in ((enter, (2, 7)), (same, (0, 1)), (last, (0, 1))):
        kernel = np.zeros(layer.kernel.shape, "float32")
        middle = 0 if layer is enter else 1  # of stride 2 a kernel of three starts at the voxel
        for out, channel in enumerate(channels):
            kernel[middle, middle, middle, channel, out] = 1.0
        layer.kernel.assign(kernel)
    head = np.zeros(descent.flow.kernel.shape, "float32")
    head[1, 1, 1, 0, 0] = head[1, 1, 1, 2, 1] = 1.0  # [x, y, z, out, in]: to the same voxel
    descent.flow.kernel.assign(head)
    fixed, warped = textures()
    found = descent(fixed, warped, flows())[0, ::2, ::2, ::2]
    wanted = 3.0 * correlation_force(fixed, warped)[0, ::2, ::2, ::2, 0]
    bent = 2 / 3 * laplacian(flows())[0, ::2, ::2, ::2, 2]

    def through_leaky_relu(value):
        value = np.clip(value, -4, 4)
        return np.where(value > 0, value, 0.1**3 * value)

    assert np.abs(wanted).max() > 0.05 and np.abs(bent).max() > 0.05
    np.testing.assert_allclose(found[..., 0], through_leaky_relu(wanted), atol=1e-4)
    np.testing.assert_allclose(found[..., 2], through_leaky_relu(bent), atol=1e-4)
    np.testing.assert_array_equal(found[..., 1], 0.0)


@pytest.mark.parametrize("precision, bound", [("mixed_bfloat16", 0.05), ("mixed_float16", 0.01)])
def test_lower_precision_stays_near(precision, bound):
    keras.utils.set_random_seed(1)
    network = CascadeNetwork(CASES["descent"])
    for stem in (*network.stems, network.descent):
        give_heads(stem, 0.1)
    lower = CascadeNetwork(CASES["descent"], precision=precision)
    lower.set_weights(network.get_weights())
    fixed, moving = pair("descent")
    wanted, flow = network(fixed, moving).flow, lower(fixed, moving).flow
    assert flow.dtype == tf.float32
    largest = np.abs(wanted).max()
    assert largest > 0.1
    assert 0.0 < np.abs(flow - wanted).max() < bound * largest


@pytest.mark.slow
def test_learns_to_move_a_texture():
    """Two steps, on a texture that lies a voxel off; the cascade before them stays as it is."""
    keras.utils.set_random_seed(1)
    fixed = textures((24, 16, 16))[0]
    moving = tf.roll(fixed, 1, axis=1)
    network = CascadeNetwork(NetworkConfig(image_size=(24, 16, 16), channels=2, descents=2))
    optimizer = keras.optimizers.Adam(5e-3)

    @tf.function(autograph=False)
    def step():
        with tf.GradientTape() as tape:
            inner = (network(fixed, moving).warped - fixed)[:, 4:-4, 4:-4, 4:-4]
            loss = tf.reduce_mean(inner**2)
        weights = network.descent.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights))
        return loss

    losses = [float(step()) for _ in range(60)]
    assert losses[-1] < 0.3 * losses[0]
    assert network(fixed, moving).flow.numpy()[0, 8:-8, 6:10, 6:10, 0].mean() > 0.5


def test_refuses_flows_at_half_the_resolution():
    with pytest.raises(InputError, match=r"network\.descents must be 0 where"):
        NetworkConfig(descents=1, flow_resolution="half")
