"""Every number that the original TensorFlow 1 code returned, against ours, stage by stage.

The files under tests/golden were written by running the originals (Recursive Cascaded Networks
and the LDR release, TensorFlow 1.14, CPU). Their weights are rebuilt from a seed and the names of
the variables. Bounds: flows 5e-4 voxel at the largest and 2e-5 on average, warped images 5e-4 of
the intensity range, losses and metrics 1e-3 relative or 2e-6 absolute, orthogonality 5e-3.
"""

import functools
import zlib
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from ldr_tf.config import LossConfig
from ldr_tf.evaluation import Measures, VolumePair, evaluate_pair
from ldr_tf.losses import regularization
from ldr_tf.losses.reconstruction import reconstruction_loss
from ldr_tf.losses.similarity import correlation_loss
from ldr_tf.metrics.landmarks import landmark_distances
from ldr_tf.networks.cascade import CascadeNetwork
from ldr_tf.runs.legacy import network_config, original_variables

GOLDEN = Path(__file__).parent / "golden"

# file, its name ending in the volume's side: base network, cascades, rep, anatomy, weights' seed
CASES = {
    "vtn_n1_64": ("VTN", 1, 1, "brain", 11),
    "vtn_n2_64": ("VTN", 2, 1, "brain", 12),
    "vtn_n1_rep2_64": ("VTN", 1, 2, "brain", 13),
    "voxelmorph_n2_64": ("VoxelMorph", 2, 1, "brain", 14),
    "ldr_released_brain_n1_64": ("LDRReleased", 1, 1, "brain", 15),
    "ldr_released_liver_n1_64": ("LDRReleased", 1, 1, "liver", 17),
    "rcn_vtn_n1_128": ("VTN", 1, 1, "brain", 18),
}


def weight(seed, name, shape):
    """The value of a variable, as the files' makers drew it."""
    rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
    if len(shape) == 1:
        return rng.uniform(-0.05, 0.05, shape).astype("float32")
    fan = np.prod(shape[:3]) * min(shape[3], shape[4])
    gains = {"flow": 6.0, "conv7_W": 0.02, "conv7_b": 0.5, "upsamp1to0": 0.35}
    gain = gains.get(name.split("/")[-2], 1.0)
    return (rng.uniform(-1, 1, shape) * np.sqrt(3 / fan) * gain).astype("float32")


def build(case):
    base_network, cascades, rep, anatomy, seed = CASES[case]
    side = int(case.rsplit("_", 1)[1])
    config = network_config(base_network, cascades, rep, anatomy, (side, side, side))
    network = CascadeNetwork(config)
    for name, variable in original_variables(network).items():
        variable.assign(weight(seed, name, tuple(variable.shape)))
    return network


@functools.lru_cache(maxsize=1)
def answer(case):
    """The golden file, our network and its answer; one case at a time is kept."""
    golden = np.load(GOLDEN / f"{case}.npz")
    network = build(case)
    fixed, moving = (
        tf.constant(golden[name][None, ..., None] / np.float32(255)) for name in ("fixed", "moving")
    )
    return golden, network, fixed, network(fixed, moving)


def stored(golden, name):
    """The stored part of a tensor, its stride, and the mean of its absolute value."""
    for stride in (1, 2, 4, 8):
        key = f"{name}__stride{stride}"
        if key in golden:
            return golden[key], stride, float(golden[f"{name}__absmean"])
    raise KeyError(name)


def assert_tensor(golden, name, ours, scale=1.0, largest=5e-4, mean=np.inf):
    wanted, stride, absmean = stored(golden, name)
    ours = np.asarray(ours)
    difference = np.abs(ours[:, ::stride, ::stride, ::stride] - wanted) / scale
    assert difference.max() <= largest, name
    assert difference.mean() <= mean, name
    assert np.abs(ours).mean() == pytest.approx(absmean, rel=1e-4), name


def assert_number(ours, wanted, relative=1e-3):
    np.testing.assert_allclose(ours, wanted, rtol=relative, atol=2e-6)


@pytest.mark.parametrize("case", CASES)
def test_variables_are_the_originals(case):
    golden = np.load(GOLDEN / f"{case}.npz")
    ours = {
        name: ",".join(map(str, variable.shape))
        for name, variable in original_variables(build(case)).items()
    }
    assert ours == dict(zip(golden["variable_names"], golden["variable_shapes"]))


@pytest.mark.parametrize("case", CASES)
def test_flows_and_images_of_every_stage(case):
    golden, _, _, registration = answer(case)
    count = sum(key.endswith("__absmean") and key.startswith("flow_") for key in golden)
    assert len(registration.stages) == count > 1
    for index, stage in enumerate(registration.stages):
        assert_tensor(golden, f"flow_{index}", stage.flow, mean=2e-5)
        assert_tensor(golden, f"real_flow_{index}", stage.composed, mean=2e-5)
        assert_tensor(golden, f"warped_moving_{index}", stage.warped)
    assert_tensor(golden, "real_flow", registration.flow, mean=2e-5)
    assert_tensor(golden, "warped_moving", registration.warped * 255, scale=255.0)


@pytest.mark.parametrize("case", CASES)
def test_losses_of_every_stage(case):
    golden, network, fixed, registration = answer(case)
    checked = 0
    for index, stage in enumerate(registration.stages):
        losses = {}
        if stage.matrix is not None:
            losses["det_loss"] = regularization.determinant_loss(stage.matrix), 1e-3
            losses["ortho_loss"] = regularization.orthogonality_loss(stage.matrix), 5e-3
            losses["loss"] = regularization.affine_loss(stage.matrix), 5e-3
        else:
            losses["reg_loss"] = regularization.flow_smoothness(stage.flow), 1e-3
            if f"{index}_raw_loss" in golden:
                losses["raw_loss"] = correlation_loss(fixed, stage.warped), 1e-3
            losses["loss"] = sum(value for value, _ in losses.values()), 1e-3
        for name, (value, relative) in losses.items():
            assert_number(value, golden[f"{index}_{name}"], relative)
            checked += 1
    assert checked == sum(key[0].isdigit() and key.endswith("loss") for key in golden)
    rep = network.config.rep
    terms = reconstruction_loss(fixed, registration, LossConfig(), rep)
    assert_number(terms["reconstruction"], golden["loss"])


@pytest.mark.parametrize("case", CASES)
def test_metrics(case):
    golden, network, _, registration = answer(case)
    pair = VolumePair(
        "fixed",
        "moving",
        golden["fixed"],
        golden["moving"],
        golden["seg_fixed"],
        golden["seg_moving"],
        golden["point_fixed"][0],
        golden["point_moving"][0],
    )
    row = evaluate_pair(network, pair, {"mask": 255}, Measures(originals=True))
    assert_number(row["original_dice"], golden["dice_score"][0])
    assert_number(row["original_jaccard"], golden["jacc_score"][0])
    assert_number(row["original_landmark"], golden["landmark_dist"][0])
    assert_number(row["std_jacobian"], golden["jacobian_det"][0])
    distances = landmark_distances(
        np.asarray(registration.flow)[0], pair.fixed_points, pair.moving_points
    )
    assert_number(distances, golden["landmark_dists"][0])
