"""One case list drives every network: tf.function, XLA, checkpoint, kept graph, SavedModel."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from ldr_tf import cache
from ldr_tf.config import NetworkConfig
from ldr_tf.models.run import flow_function
from ldr_tf.networks.affine import LDRUtilStem, VTNAffineStem
from ldr_tf.networks.cascade import CascadeNetwork
from ldr_tf.networks.critic import Critic
from ldr_tf.networks.descent import Descent
from ldr_tf.networks.pyramid import Pyramid
from ldr_tf.networks.student import LDR
from ldr_tf.networks.voxelmorph import LDRReleased, VoxelMorph
from ldr_tf.networks.vtn import VTN
from ldr_tf.ops.flow import compose, compose_affine, resize
from ldr_tf.ops.warp import warp

CASES = {
    "ldr": NetworkConfig(image_size=(32, 16, 16), channels=2),
    "ldr_cascade_rep": NetworkConfig(image_size=(16, 16, 16), channels=2, cascades=2, rep=2),
    "ldr_padded": NetworkConfig(image_size=(18, 20, 24), channels=2),
    "vtn": NetworkConfig(base_network="VTN", image_size=(64, 64, 64), channels=1),
    "vtn_affine": NetworkConfig(
        base_network="VTN", affine_stem="vtn", image_size=(64, 64, 64), channels=1, cascades=2
    ),
    "voxelmorph": NetworkConfig(base_network="VoxelMorph", image_size=(32, 16, 16), channels=2),
    "ldr_released": NetworkConfig(
        base_network="LDRReleased", affine_stem="light", image_size=(64, 48, 48), channels=2
    ),
    "ldr_half": NetworkConfig(
        image_size=(32, 16, 16), channels=2, cascades=2, flow_resolution="half"
    ),
    "ldr_half_padded": NetworkConfig(
        image_size=(18, 20, 23), channels=2, cascades=2, flow_resolution="half"
    ),
    "vtn_padded": NetworkConfig(base_network="VTN", image_size=(40, 48, 36), channels=1),
    "pyramid": NetworkConfig(base_network="Pyramid", image_size=(16, 32, 16), channels=4),
    "pyramid_affine": NetworkConfig(
        base_network="Pyramid", affine_stem="light", image_size=(64, 48, 48), channels=2
    ),
    "pyramid_half_padded": NetworkConfig(
        base_network="Pyramid",
        image_size=(32, 18, 23),
        channels=2,
        cascades=2,
        flow_resolution="half",
    ),
    "descent": NetworkConfig(
        base_network="Pyramid", image_size=(16, 32, 16), channels=2, cascades=2, descents=2
    ),
    "descent_padded": NetworkConfig(image_size=(18, 20, 23), channels=2, descents=1),
}


def build(case, compiled_warp=True):
    """The case's network with weights large enough for flows of some voxels."""
    network = CascadeNetwork(CASES[case], compiled_warp)
    rng = np.random.default_rng(1)
    for variable in network.trainable_variables:
        fan = max(np.prod(variable.shape[:4]), 1)
        variable.assign(rng.uniform(-1, 1, variable.shape) * 2 * (3 / fan) ** 0.5)
    if network.affine_stem is not None:
        for variable in network.affine_stem.head.trainable_variables:
            variable.assign(variable * 0.01)
    half, base = CASES[case].flow_resolution == "half", CASES[case].base_network
    smaller = {"VTN": 0.1, "Pyramid": 0.005}.get(base, 0.125 if half else 1.0)
    for head in (head for stem in network.stems for head in stem.heads):
        head.kernel.assign(head.kernel * smaller)
    if network.descent is not None:
        network.descent.flow.kernel.assign(network.descent.flow.kernel * 0.1)
    return network


def pair(case, batch=1):
    """Smooth volumes: on noise, cascades would blow rounding up."""
    rng = np.random.default_rng(2)
    coarse = rng.uniform(size=(2, batch, 5, 5, 5, 1)).astype("float32")
    return [resize(volume, CASES[case].image_size) for volume in coarse]


def assert_same(answer, wanted):
    assert np.abs(wanted.flow).max() > 0.1
    np.testing.assert_allclose(answer.flow, wanted.flow, atol=2e-3)
    np.testing.assert_allclose(answer.warped, wanted.warped, atol=2e-3)


@pytest.mark.parametrize(
    "network, count",
    [
        (lambda: LDR(), 1_548_528),
        (lambda: LDR(flow_resolution="half"), 1_548_528 - 64 * 32 * 3 + 32 * 3),
        (lambda: VTN(), 28_252_203),
        (lambda: VTNAffineStem((128, 128, 128)), 14_166_288),
        (lambda: LDRUtilStem((128, 128, 128)), 332_880),
        (lambda: LDRUtilStem((64, 64, 64)), 292_944),
        (lambda: VoxelMorph(), 300_547),
        (lambda: LDRReleased(), 280_659),
        (lambda: Critic(), 2_789_427),
        (lambda: Pyramid(), 930_288),
        # Convolutions of 27 weights and a bias, then the one of 1x1x1 and the transposed one.
        (
            lambda: Descent(),
            27 * (8 * 16 + 16 * 16 + 16 * 32 + 3 * 32 * 32 + 32 * 16 + 64 * 32)
            + (16 + 16 + 32 * 4 + 16 + 32)
            + 32 * 16
            + 64 * 16 * 3,
        ),
    ],
    ids=[
        *["LDR", "LDRHalf", "VTN", "VTNAffine", "LDRUtil", "LDRUtil64"],
        *["VoxelMorph", "LDRReleased", "Critic", "Pyramid", "Descent"],
    ],
)
def test_parameter_counts(network, count):
    assert network().count_params() == count


@pytest.mark.parametrize("case", CASES)
def test_shapes_stages_and_batch(case):
    config, network = CASES[case], build(case)
    answer = network(*pair(case, batch=2))
    assert answer.flow.shape == (2, *config.image_size, 3)
    assert answer.warped.shape == (2, *config.image_size, 1)
    affine = config.affine_stem != "none"
    assert len(answer.stages) == affine + config.cascades * config.rep + config.descents
    alone = network(*(volume[1:] for volume in pair(case, batch=2)))
    np.testing.assert_allclose(alone.flow[0], answer.flow[1], atol=2e-3)


@pytest.mark.parametrize("case", CASES)
def test_stages_compose(case):
    _, moving = pair(case)
    answer = build(case)(*pair(case))
    composed = None
    for before, stage in zip([None, *answer.stages], answer.stages):
        if before is None:
            composed = stage.flow
        elif before.matrix is not None:
            composed = compose_affine(before.matrix, composed, stage.flow)
        else:
            composed = compose(composed, stage.flow)
        if CASES[case].flow_resolution == "half":  # composed before the flows are whole
            composed = stage.composed
        np.testing.assert_allclose(stage.composed, composed, atol=1e-3)
        np.testing.assert_allclose(stage.warped, warp(moving, composed), atol=1e-3)
    np.testing.assert_array_equal(answer.flow, answer.stages[-1].composed)


@pytest.mark.parametrize("case", CASES)
def test_traced_plain_and_eager_agree(case):
    fixed, moving = pair(case)
    wanted = build(case)(fixed, moving)
    assert_same(tf.function(build(case))(fixed, moving), wanted)
    assert_same(tf.function(build(case, compiled_warp=False))(fixed, moving), wanted)


@pytest.mark.parametrize(
    "case",
    [
        *["ldr", "ldr_cascade_rep", "ldr_half", "voxelmorph", "vtn_affine"],
        *[pytest.param(case, marks=pytest.mark.slow) for case in ("pyramid", "descent")],
    ],
)
def test_whole_network_compiles_with_xla(case):
    fixed, moving = pair(case)
    network = build(case)
    compiled = tf.function(lambda f, m: network(f, m)[:2], jit_compile=True)
    flow, warped = compiled(fixed, moving)
    wanted = network(fixed, moving)
    np.testing.assert_allclose(flow, wanted.flow, atol=5e-3)
    np.testing.assert_allclose(warped, wanted.warped, atol=5e-3)


@pytest.mark.parametrize("case", CASES)
def test_checkpoint_round_trip(case, tmp_path):
    fixed, moving = pair(case)
    network = build(case)
    path = tf.train.Checkpoint(network=network).write(str(tmp_path / "weights"))
    other = CascadeNetwork(CASES[case])
    assert np.abs(other(fixed, moving).flow - network(fixed, moving).flow).max() > 0.1
    tf.train.Checkpoint(network=other).read(path).assert_consumed()
    assert_same(other(fixed, moving), network(fixed, moving))


@pytest.mark.parametrize("case", CASES)
def test_kept_graph_round_trip(case, tmp_path, monkeypatch):
    cache.use(str(tmp_path))
    volumes, network, size = pair(case), build(case), CASES[case].image_size
    wanted = network(*volumes).flow
    made = flow_function(network, size)
    monkeypatch.delattr(CascadeNetwork, "_register")
    for function in (made, flow_function(network, size)):
        np.testing.assert_array_equal(function(*volumes)[0], wanted)


@pytest.mark.parametrize("case", CASES)
def test_saved_model_round_trip(case, tmp_path):
    fixed, moving = pair(case)
    network = build(case, compiled_warp=False)
    call = tf.function(lambda fixed, moving: {"flow": network(fixed, moving).flow})
    module = tf.Module()
    module.weights = network.variables  # as the export does
    module.call = call
    tf.saved_model.save(module, str(tmp_path), call.get_concrete_function(fixed, moving))
    loaded = tf.saved_model.load(str(tmp_path))
    answer = loaded.call(fixed, moving)
    np.testing.assert_allclose(answer["flow"], network(fixed, moving).flow, atol=2e-3)


@pytest.mark.parametrize(
    "case",
    ["ldr_cascade_rep", "ldr_half", "vtn_affine", "voxelmorph", "pyramid"],
)
def test_more_cascades_start_where_fewer_were(case):
    fewer = build(case)
    config = dataclasses.replace(CASES[case], cascades=CASES[case].cascades + 1)
    more = CascadeNetwork(config)
    more.start_from(fewer)
    fixed, moving = pair(case)
    wanted, answer = fewer(fixed, moving), more(fixed, moving)
    assert len(answer.stages) == len(wanted.stages) + CASES[case].rep
    assert_same(answer, wanted)
    np.testing.assert_array_equal(answer.stages[-1].flow, np.zeros_like(answer.flow))
    # Of the cascade that is new all but the heads is the last one's, so that it can learn at once.
    heads = sum(len(head.weights) for head in more.stems[-1].heads)
    learned = more.stems[-1].trainable_variables, fewer.stems[-1].trainable_variables
    assert sum(np.array_equal(a, b) for a, b in zip(*learned)) >= len(learned[0]) - heads


def test_half_resolution_by_hand():
    """Flows at voxel centres: coarse voxel i takes the fixed image's mean of 2i and 2i + 1."""
    network = CascadeNetwork(NetworkConfig(image_size=(16, 16, 16), flow_resolution="half"))
    stem = network.stems[0]
    for variable in network.trainable_variables:
        variable.assign(tf.zeros_like(variable))
    # A kernel of four takes the voxels 2i - 1 to 2i + 2; of the images the first is the fixed one.
    kernel = np.zeros(stem.conv1.kernel.shape, "float32")
    kernel[1:3, 1:3, 1:3, 0, 0] = 1 / 8
    stem.conv1.kernel.assign(kernel)
    (head,) = stem.heads
    kernel = np.zeros(head.kernel.shape, "float32")
    # The skip's channels come after deconv2's; the head's output counts eight times.
    kernel[0, 0, 0, 16] = np.array([1.0, -2.0, 0.5]) / 8
    head.kernel.assign(kernel)
    ramp = np.broadcast_to(np.arange(16, dtype="float32")[:, None, None], (16, 16, 16))
    fixed = tf.constant(ramp[None, ..., None] / 16)
    flow = network(fixed, tf.zeros_like(fixed)).flow
    # The ramp comes out again; beyond the outermost centres, at 0.5 and 14.5, it is level.
    wanted = np.clip(np.arange(16), 0.5, 14.5) / 16
    np.testing.assert_allclose(flow[0, :, 3, 9, 0], wanted, atol=1e-6)
    np.testing.assert_allclose(flow[0, :, 0, 15, 1], -2 * wanted, atol=1e-6)
    np.testing.assert_allclose(flow[0, :, 8, 8, 2], wanted / 2, atol=1e-6)


def test_zero_padding_leaves_no_trace():
    """A network of local reach sees the same next to the padding as inside zeros of one's own."""
    network = build("ldr")
    fixed, moving = (volume[:, :24] for volume in pair("ldr"))  # 24 is no multiple of 16
    padded = [tf.pad(v, [[0, 0], [4, 4], [0, 0], [0, 0], [0, 0]]) for v in (fixed, moving)]
    whole = network.stems[0](*padded)
    np.testing.assert_allclose(network(fixed, moving).flow, whole[:, 4:-4], atol=1e-4)


def test_refusals():
    network = build("vtn_affine")
    volume = tf.zeros([1, 64, 64, 128, 1])
    with pytest.raises(ValueError, match="affine stem takes volumes"):
        network(volume, volume)
    with pytest.raises(ValueError, match="one grid"):
        network(volume, volume[:, :, :, :64])
    with pytest.raises(ValueError, match="one channel"):
        network(tf.zeros([1, 64, 64, 64, 2]), tf.zeros([1, 64, 64, 64, 2]))
