"""The networks as they are called, against Keras' layers and eight gathers; one set of weights."""

import numpy as np
import pytest
import tensorflow as tf

from experiments.benchmarks import naive
from ldr_tf.keras import keras
from ldr_tf.networks import layers
from ldr_tf.networks.cascade import CascadeNetwork
from ldr_tf.ops.flow import resize
from tests.networks.test_networks import CASES, build, pair

WHOLE = [case for case in CASES if not case.endswith("padded")]  # what the naive path takes


def flow_scale(flow):
    return float(tf.reduce_max(tf.abs(flow)))


@pytest.mark.parametrize("compiled_warp", [True, False])
@pytest.mark.parametrize("case", WHOLE)
def test_equals_the_naive_path(case, compiled_warp):
    network = build(case, compiled_warp)
    volumes = pair(case, batch=2)
    fast = network(*volumes)
    flow, warped = naive.registration(network)(*volumes)
    assert flow_scale(flow) > 1.0
    np.testing.assert_allclose(fast.flow, flow, atol=1e-3)
    np.testing.assert_allclose(fast.warped, warped, atol=1e-3)


def test_odd_sizes_equal_the_naive_path_on_padded_volumes():
    network = build("ldr_padded")
    fixed, moving = pair("ldr_padded", batch=2)
    fast = network(fixed, moving)
    fixed_whole, crop = layers.pad_to_multiple(fixed, 16)
    moving_whole, _ = layers.pad_to_multiple(moving, 16)
    flow = crop(naive.registration(network)(fixed_whole, moving_whole)[0])
    assert flow_scale(flow) > 1.0
    np.testing.assert_allclose(fast.flow, flow, atol=1e-3)
    np.testing.assert_allclose(fast.warped, naive.eight_gathers(moving, flow), atol=1e-3)


@pytest.mark.parametrize("compiled_warp", [True, False])
@pytest.mark.parametrize("case", ["ldr_half", "ldr_half_padded"])
def test_half_resolution_equals_resizing_and_eight_gathers(case, compiled_warp):
    """All stages; of sides that are no multiples of 16 the padding is cut off the coarse flows."""
    network = build(case, compiled_warp)
    fixed, moving = pair(case, batch=2)
    size = CASES[case].image_size
    half = [-(-n // 2) for n in size]
    # What is put before a volume is even: of 18, 20, 23 voxels to 32 (14, 12, 9) 6, 6, 4.
    before = {"ldr_half": [0, 0, 0], "ldr_half_padded": [6, 6, 4]}[case]
    pads = [[0, 0], *([b, -(n + b) % 16] for n, b in zip(size, before)), [0, 0]]
    warped, composed = moving, None
    for stem, stage in zip(network.stems, network(fixed, moving).stages):
        flow = stem(tf.pad(fixed, pads), tf.pad(warped, pads))
        flow = tf.slice(flow, [0, *(b // 2 for b in before), 0], [2, *half, 3])
        composed = flow if composed is None else flow + naive.eight_gathers(composed, flow / 2.0)
        whole, wanted = [
            resize(f, [2 * n for n in half])[:, : size[0], : size[1], : size[2]]
            for f in (flow, composed)
        ]
        warped = naive.eight_gathers(moving, wanted)
        assert flow_scale(flow) > 0.5
        np.testing.assert_allclose(stage.flow, whole, atol=1e-3)
        np.testing.assert_allclose(stage.composed, wanted, atol=1e-3)
        np.testing.assert_allclose(stage.warped, warped, atol=1e-3)


@pytest.mark.parametrize("case", ["ldr_cascade_rep", "ldr_half", "vtn"])
def test_gradients_equal_those_of_the_naive_path(case):
    network = build(case)
    fixed, moving = pair(case)

    def gradients(register):
        with tf.GradientTape() as tape:
            flow, warped = register(fixed, moving)
            loss = tf.reduce_mean((fixed - warped) ** 2) + 1e-4 * tf.reduce_mean(flow**2)
        return tape.gradient(loss, network.trainable_variables)

    fast = gradients(lambda *volumes: network(*volumes)[:2])
    reference = gradients(naive.registration(network))
    for ours, wanted in zip(fast, reference):
        scale = np.abs(wanted).max()
        np.testing.assert_allclose(ours, wanted, atol=max(1e-2 * scale, 1e-7))


@pytest.mark.parametrize("case", ["ldr", "vtn"])
def test_weights_are_those_of_keras_layers(case):
    """Names and shapes in checkpoints stay what they were before layers had a fast form."""
    heads = {"ldr": ("flow", (4, 4, 4, 3, 4)), "vtn": ("upsamp1to0", (4, 4, 4, 3, 5))}
    name, shape = heads[case]
    head = getattr(build(case).stems[0], name)
    assert isinstance(head, keras.layers.Conv3DTranspose) and head.subpixel
    assert head.name.startswith("conv3d_transpose")
    assert tuple(head.kernel.shape) == shape and head.kernel.name.split("/")[-1] == "kernel:0"
    assert len(head.weights) == 1


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("case", ["ldr", "ldr_half"])
def test_lower_precision_stays_near(case, precision):
    network = build(case)
    lower = CascadeNetwork(CASES[case], precision=precision)
    for variable, value in zip(lower.variables, network.variables):
        variable.assign(value)
    volumes = pair(case)
    wanted, flow = network(*volumes).flow, lower(*volumes).flow
    assert flow.dtype == tf.float32
    difference = flow_scale(flow - wanted)
    assert 0.0 < difference < 0.03 * flow_scale(wanted)


def test_new_weights_are_seen():
    network = build("ldr")
    volumes = pair("ldr")
    before = network(*volumes).flow
    kernel = network.stems[0].flow.kernel
    kernel.assign(2.0 * kernel)
    np.testing.assert_allclose(network(*volumes).flow, 2.0 * before, rtol=1e-5, atol=1e-6)


def test_image_pair():
    rng = np.random.default_rng(4)
    fixed, moving = rng.normal(size=(2, 2, 3, 4, 5, 1)).astype("float32")
    np.testing.assert_array_equal(
        layers.image_pair(fixed, moving), np.concatenate([fixed, moving], -1)
    )
