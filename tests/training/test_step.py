"""The training step: who moves whom, by which gradient."""

import dataclasses
import functools
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from ldr_tf.config import (
    AugmentationConfig,
    CriticConfig,
    DistillationConfig,
    LossConfig,
    NetworkConfig,
    OptimisationConfig,
    RunConfig,
)
from ldr_tf.errors import InputError
from ldr_tf.files import read_json
from ldr_tf.losses.adversarial import feature_distance
from ldr_tf.losses.regularization import flow_smoothness
from ldr_tf.losses.similarity import correlation_loss
from ldr_tf.networks.cascade import CascadeNetwork
from ldr_tf.training.state import TrainingState
from ldr_tf.training.step import TrainingStep

SIZE = (16, 16, 16)
CONFIGS = pathlib.Path(__file__).parents[2] / "experiments" / "configs"
PAPER = read_json(CONFIGS / "aldk_paper.json")["distillation"]["critic"]


class ShiftTeacher:
    """A teacher whose flow is known: a smooth push along x."""

    def __init__(self):
        wave = np.sin(np.linspace(0, np.pi, SIZE[0])) * 3.0
        flow = np.zeros((1, *SIZE, 3), "float32")
        flow[..., 0] = (wave[:, None, None] * wave[None, :, None] / 3.0)[None]
        self.weight = tf.Variable(flow)

    def __call__(self, fixed, moving):
        return dataclasses.make_dataclass("Answer", ["flow"])(self.weight + 0.0)


def distilled(kind="aldk", gamma=0.3, weight=None, **critic):
    critic = CriticConfig(**critic)
    return DistillationConfig(kind=kind, gamma=gamma, weight=weight, critic=critic)


def make(teacher=None, seed=1, xla="auto", flow_resolution="full", **distillation):
    config = RunConfig(
        network=NetworkConfig(image_size=SIZE, channels=4, flow_resolution=flow_resolution),
        augmentation=AugmentationConfig(0.0),
        optimisation=OptimisationConfig(learning_rate=1e-3, seed=seed, xla=xla),
        distillation=distilled(**distillation),
    )
    state = TrainingState(config)
    return state, TrainingStep(state, teacher or ShiftTeacher())


def batch(step=0, seed=0):
    rng = np.random.default_rng([seed, step])
    volumes = rng.integers(0, 256, (2, 1, *SIZE, 1), dtype=np.uint8)
    return {"fixed": volumes[0], "moving": volumes[1], "example": np.int64([step])}


def weights(model):
    return [value.copy() for value in model.get_weights()]


def changed(before, model):
    return [bool(np.any(a != b)) for a, b in zip(before, model.get_weights())]


@pytest.mark.parametrize("objective", ["game", "joint"])
def test_full_step_moves_student_and_critic_never_the_teacher(objective):
    teacher = CascadeNetwork(NetworkConfig(image_size=SIZE, channels=2))
    state, step = make(teacher, objective=objective)
    student, critic, frozen = map(weights, (state.network, state.critic, teacher))
    for index in range(2):
        step.full(batch(index))
    assert all(changed(student, state.network))
    assert all(changed(critic, state.critic))
    assert not any(changed(frozen, teacher))


def test_reconstruction_step_moves_the_network_alone():
    state, step = make()
    student, critic = weights(state.network), weights(state.critic)
    step.reconstruction(batch())
    assert all(changed(student, state.network))
    assert not any(changed(critic, state.critic))


def test_of_learned_steps_the_last_image_alone_counts():
    network = NetworkConfig(image_size=SIZE, channels=2, rep=2, descents=2)
    config = RunConfig(network=network, augmentation=AugmentationConfig(0.0))
    state = TrainingState(config)
    descent = state.network.descent
    descent.flow.kernel.assign(tf.random.stateless_normal(descent.flow.kernel.shape, [1, 2]))
    before = weights(descent)
    pair = [tf.cast(batch()[name], tf.float32) / 255 for name in ("fixed", "moving")]
    answer = state.network(*pair)
    scalars = TrainingStep(state).reconstruction(batch())
    wanted = [correlation_loss(pair[0], stage.warped).numpy().item() for stage in answer.stages]
    assert len(set(wanted[1:])) == 3
    assert float(scalars["similarity"]) == pytest.approx(wanted[-1], abs=1e-5)
    assert all(changed(before, descent))


@pytest.mark.parametrize("flow_resolution", ["full", "half"])
def test_every_student_weight_feels_the_critic_alone(flow_resolution):
    """With gamma 0 no gradient of the student is None or all zero."""
    state, step = make(gamma=0.0, flow_resolution=flow_resolution)
    # A few steps of the game first: at the start the critic tells nothing apart.
    for index in range(3):
        step.full(batch(index))
    fixed, moving = (tf.cast(batch()[name], tf.float32) / 255 for name in ("fixed", "moving"))
    phi_t = step._teacher(fixed, moving).flow / state.config.distillation.critic.flow_unit
    with tf.GradientTape() as tape:
        phi_s = state.network(fixed, moving).flow / state.config.distillation.critic.flow_unit
        distance = feature_distance(state.critic(phi_s), state.critic(phi_t))
    gradients = tape.gradient(distance, state.network.trainable_variables)
    assert len(gradients) == len(state.network.trainable_variables)
    for gradient in gradients:
        assert gradient is not None and np.abs(gradient).max() > 0.0

    before = weights(state.network)
    step.full(batch(3))
    assert all(changed(before, state.network))


@pytest.mark.parametrize(
    "arm",
    [
        {"kind": "flow"},
        {"objective": "game"},
        {"objective": "joint", "penalty": 2.0},
        PAPER,
        {"constraint": "none"},
        {"size": (8, 8, 8)},
        {"kind": "flow", "weight": 0.2},
        {"objective": "game", "weight": 30.0},
    ],
    ids=str,
)
def test_the_applied_gradient_is_that_of_the_weighted_losses(arm):
    """Against one plain tape of gamma l_rec + (1 - gamma) l_dis, or l_rec + weight l_dis.

    The second moment of Adam's first step is the squared gradient that was applied, times 1e-3.
    """
    gamma = 0.4
    state, step = make(gamma=gamma, **arm)
    wanted = plain_gradients(state, step._teacher, batch(), gamma)
    step.full(batch())
    moments = [v.numpy() for v in state.optimizer.variables if "/v/" in v.name or "_v/" in v.name]
    moments = moments or adam_moments(state.optimizer)
    assert len(moments) == len(wanted)
    for moment, gradient in zip(moments, wanted):
        scale = np.abs(gradient).max()
        np.testing.assert_allclose(np.sqrt(moment * 1e3), np.abs(gradient), atol=2e-3 * scale)


def adam_moments(optimizer):
    """The second moments in the order of the weights: Adam keeps all firsts, then all seconds."""
    return [moment.numpy() for moment in optimizer._velocities]


def plain_gradients(state, teacher, pair, gamma):
    """Gradients of the full loss with respect to the student, without anything of TrainingStep."""
    distillation = state.config.distillation
    critic = distillation.critic
    fixed, moving = (tf.cast(pair[name], tf.float32) / 255.0 for name in ("fixed", "moving"))
    phi_t = teacher(fixed, moving).flow
    with tf.GradientTape() as tape:
        answer = state.network(fixed, moving)
        phi_s = answer.flow
        similarity = correlation_loss(fixed, answer.warped)
        l_rec = tf.reduce_mean(similarity + flow_smoothness(phi_s))
        if distillation.kind == "flow":
            l_dis = tf.reduce_mean(tf.reduce_sum(tf.square(phi_s - phi_t), -1))
        else:
            s, t = phi_s / critic.flow_unit, phi_t / critic.flow_unit
            features = state.critic(s), state.critic(t)
            squares = tf.square(features[0] - features[1])
            over_features = getattr(tf, f"reduce_{critic.feature_reduction}")(squares, axis=-1)
            l_dis = tf.reduce_mean(over_features)
            if critic.objective == "joint":
                joint = critic.beta * t + (1 - critic.beta) * s
                with tf.GradientTape() as inner:
                    inner.watch(joint)
                    output = tf.reduce_mean(state.critic(joint))
                slope = inner.gradient(output, joint)
                voxels = float(np.prod(SIZE)) if critic.flow_length == "rms" else 1.0
                norm = tf.sqrt(tf.reduce_sum(tf.square(slope)) * voxels + 1e-12)
                l_dis += critic.penalty * tf.square(norm - 1.0)
        loss = gamma * l_rec + (1.0 - gamma) * l_dis
        if distillation.weight is not None:
            loss = l_rec + distillation.weight * l_dis
    return [g.numpy() for g in tape.gradient(loss, state.network.trainable_variables)]


def test_the_critic_may_step_beside_reconstruction():
    """The student moves by l_rec alone, as without it, and the critic by its game."""
    results = []
    for also in (False, True):
        state, step = make(on_reconstruction_steps=also)
        critic = weights(state.critic)
        scalars = step.reconstruction(batch())
        assert "full_loss" not in scalars
        results.append(weights(state.network))
        assert any(changed(critic, state.critic)) == also
    for a, b in zip(*results):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_gamma_weighs_reconstruction_against_distance():
    losses = {}
    for gamma in (0.0, 0.3, 1.0):
        _, step = make(gamma=gamma)
        scalars = {name: float(value) for name, value in step.full(batch()).items()}
        wanted = gamma * scalars["reconstruction"] + (1 - gamma) * scalars["discrimination"]
        losses[gamma] = scalars["full_loss"]
        assert scalars["full_loss"] == pytest.approx(wanted, rel=1e-5)
    assert len(set(losses.values())) == 3


def test_joint_objective_carries_the_penalty_to_both():
    _, step = make(objective="joint", gamma=0.25, penalty=2.0)
    scalars = {name: float(value) for name, value in step.full(batch()).items()}
    discrimination = scalars["critic_distance"] + 2.0 * scalars["critic_penalty"]
    wanted = 0.25 * scalars["reconstruction"] + 0.75 * discrimination
    assert scalars["full_loss"] == pytest.approx(wanted, rel=1e-5)


def test_critic_steps_are_counted():
    state, step = make(steps=3)
    step.full(batch())
    assert int(state.critic_optimizer.iterations) == 3
    assert int(state.optimizer.iterations) == 1


def test_flow_regression_draws_the_student_to_the_teacher():
    _, step = make(kind="flow", gamma=0.0)
    answers = [step.full(batch()) for _ in range(40)]
    # The gradient of a squared distance points straight away from the teacher.
    assert float(answers[0]["discrimination_towards_teacher"]) == pytest.approx(1.0, abs=1e-4)
    errors = [float(answer["teacher_end_point_error"]) for answer in answers]
    assert errors[-1] < 0.6 * errors[0]


def test_one_trace_for_varying_data_learning_rate_and_gamma():
    state, step = make()
    for index in range(20):
        state.optimizer.learning_rate.assign(1e-3 / (index + 1))
        step.reconstruction(batch(index))
        step.full(batch(index), gamma=tf.constant(index / 20))
    assert step.reconstruction.experimental_get_tracing_count() == 1
    assert step.full.experimental_get_tracing_count() == 1


def test_whole_step_agrees_under_xla():
    """The second-order gradient of the penalty included."""
    results = []
    for xla in ("off", "on"):
        state, step = make(seed=3, xla=xla)
        scalars = step.full(batch())
        results.append(({k: float(v) for k, v in scalars.items()}, weights(state.critic)))
    (plain, critic), (compiled, compiled_critic) = results
    assert plain.keys() == compiled.keys()
    for name, value in plain.items():
        assert compiled[name] == pytest.approx(value, rel=2e-3, abs=1e-6), name
    for a, b in zip(critic, compiled_critic):
        assert np.mean(np.abs(a - b) < 1e-4) > 0.99  # Adam's first step is the gradient's sign


@pytest.mark.slow
@pytest.mark.parametrize(
    ("base_network", "kind"),
    [
        ("LDR", "flow"),
        ("VTN", "none"),
        ("VoxelMorph", "none"),
        ("Pyramid", "aldk"),
    ],
)
def test_the_whole_step_of_every_network_compiles(base_network, kind):
    """As on a GPU, of which this is what a machine without one can show."""
    results = []
    for xla in ("off", "on"):
        config = RunConfig(
            network=NetworkConfig(base_network, image_size=SIZE, channels=4, affine_stem="none"),
            augmentation=AugmentationConfig(0.0),  # XLA draws other numbers from the same seed
            optimisation=OptimisationConfig(learning_rate=1e-3, xla=xla),
            distillation=distilled(kind),
        )
        step = TrainingStep(TrainingState(config), ShiftTeacher())
        scalars = (step.reconstruction if kind == "none" else step.full)(batch())
        results.append({name: float(value) for name, value in scalars.items()})
    plain, compiled = results
    assert plain.keys() == compiled.keys() and plain["gradient_norm"] > 0
    for name, value in plain.items():
        assert compiled[name] == pytest.approx(value, rel=2e-3, abs=1e-6), name


@pytest.mark.parametrize("constraint", ["spectral_norm", "weight_clipping", "none"])
def test_other_constraints_of_the_critic(constraint):
    if constraint == "spectral_norm" and tf.__version__ > "2.16":
        with pytest.raises(InputError, match="tensorflow-addons"):
            make(constraint=constraint)
        return
    state, step = make(constraint=constraint, learning_rate=0.1)
    for index in range(3):
        scalars = step.full(batch(index))
    assert "critic_penalty" not in scalars
    kernels = [w.numpy() for w in state.critic.trainable_variables if len(w.shape) == 5]
    largest = [np.linalg.norm(k.reshape(-1, k.shape[-1]), 2) for k in kernels]
    if constraint == "spectral_norm":
        assert max(largest) < 2.0  # one power iteration a step: near 1, not exact
    elif constraint == "weight_clipping":
        assert max(np.abs(k).max() for k in kernels) <= 0.01 + 1e-7
    else:
        assert max(largest) > 2.0


def two_pairs():
    pairs = [batch(index) for index in (0, 1)]
    return {name: np.concatenate([pair[name] for pair in pairs]) for name in pairs[0]}


def with_optimisation(optimisation, **distillation):
    config = RunConfig(
        network=NetworkConfig(image_size=SIZE, channels=4, cascades=2),
        augmentation=AugmentationConfig(0.2, flip_axis=0),
        optimisation=OptimisationConfig(learning_rate=1e-3, **optimisation),
        distillation=distilled(**distillation),
    )
    state = TrainingState(config)
    return state, TrainingStep(state, ShiftTeacher())


@functools.cache
def plain_step():
    """What the others are compared with, computed once; nobody changes it."""
    return one_full_step()


def one_full_step(**optimisation):
    state, step = with_optimisation({"batch_size": 2, **optimisation})
    scalars = {name: float(value) for name, value in step.full(two_pairs()).items()}
    return scalars, state


@pytest.mark.parametrize("how", [{"accumulate": 2}, {"recompute": True}])
def test_less_memory_gives_the_same_step(how):
    wanted, state = plain_step()
    got, frugal = one_full_step(**how)
    assert got.keys() == wanted.keys()
    for name, value in wanted.items():
        assert got[name] == pytest.approx(value, rel=1e-3, abs=1e-6), name
    # Adam's moments are the gradients: compared before the sign of a tiny one decides.
    for a, b in zip(state.optimizer.variables, frugal.optimizer.variables):
        scale = np.abs(a.numpy()).max() + 1e-12
        np.testing.assert_allclose(b.numpy() / scale, a.numpy() / scale, atol=1e-3)


@pytest.mark.parametrize("share", [0.25, 4.0])
def test_a_long_gradient_is_shortened(share):
    """To the length that the config allows, in its direction; a shorter one stays as it is."""
    _, plain = plain_step()
    wanted = adam_moments(plain.optimizer)  # 0.001 of the gradients' squares, after one step
    length = np.sqrt(sum(moment.sum() for moment in wanted) * 1e3)
    scalars, state = one_full_step(clip_norm=float(share * length))
    assert scalars["gradient_norm"] == pytest.approx(length, rel=1e-3)  # as it was found
    scale = min(share, 1.0) ** 2
    for moment, expected in zip(adam_moments(state.optimizer), wanted):
        np.testing.assert_allclose(moment, scale * expected, atol=1e-4 * expected.max())


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_learns_like_float32(precision):
    wanted, _ = plain_step()
    got, state = one_full_step(precision=precision)
    assert state.network.stems[0].compute_dtype == precision.split("_")[1]
    assert {v.dtype for v in state.network.trainable_variables} == {tf.float32}
    assert {layer.compute_dtype for layer in state.critic.convolutions} == {"float32"}
    for name in ("reconstruction", "critic_distance", "teacher_end_point_error"):
        assert got[name] == pytest.approx(wanted[name], rel=0.05), name
    if precision == "mixed_float16":
        assert got["loss_scale"] == 2**15 and got["overflow"] in (0.0, 1.0)
    assert got["gradient_norm"] == pytest.approx(wanted["gradient_norm"], rel=0.1)


def test_an_overflow_leaves_the_step_out_and_lowers_the_scale():
    state, step = with_optimisation({"precision": "mixed_float16"})
    before = weights(state.network)
    state.network.stems[0].flow.kernel.assign(state.network.stems[0].flow.kernel * 1e7)
    moved = weights(state.network)
    scalars = step.reconstruction(batch())
    assert float(scalars["overflow"]) == 1.0 and float(scalars["gradient_norm"]) == 0.0
    assert not any(changed(moved, state.network))
    assert float(state.loss_scale()) == 2**14
    assert any(changed(before, state.network))  # by the hand of this test


def test_stored_flows_take_the_teachers_place():
    """Without augmentation the stored flow is the teacher's own: the same step."""
    teacher = ShiftTeacher()
    results = []
    for stored in (False, True):
        state, step = make(teacher)
        pair = batch()
        if stored:
            step = TrainingStep(state)
            pair["teacher_flow"] = teacher.weight.numpy().astype("float16")
        results.append(step.full(pair))
    for name, value in results[0].items():
        assert float(results[1][name]) == pytest.approx(float(value), rel=1e-2, abs=1e-7), name


def test_skipping_leaves_everything_as_it_was():
    state, step = with_optimisation({"on_nonfinite": "skip"})
    state.network.stems[0].flow.kernel.assign(state.network.stems[0].flow.kernel * np.nan)
    before = [weights(state.network), weights(state.critic)]
    scalars = step.full(batch())
    assert not np.isfinite(float(scalars["full_loss"]))
    for old, model in zip(before, (state.network, state.critic)):
        assert all(np.array_equal(a, b, equal_nan=True) for a, b in zip(old, model.get_weights()))
    assert int(state.optimizer.iterations) == int(state.critic_optimizer.iterations) == 0


def test_labels_alone_move_the_network():
    """On images without any content the overlap is all there is to learn from, and it falls."""
    config = RunConfig(
        network=NetworkConfig(image_size=SIZE, channels=4),
        augmentation=AugmentationConfig(0.0),
        loss=LossConfig(label_weight=1.0),
        optimisation=OptimisationConfig(learning_rate=3e-3, schedule="constant"),
    )
    state = TrainingState(config)
    step = TrainingStep(state, classes=1)
    marks = np.zeros((2, 1, *SIZE, 1), np.uint16)
    marks[0, :, 4:10, 4:12, 4:12] = marks[1, :, 6:12, 4:12, 4:12] = 1
    images = (marks * 50).astype(np.uint8)
    images[:] = np.where(images > 0, 101, 100)  # something to see for the network, no more
    pair = {"fixed": images[0], "moving": images[1], "example": np.int64([0])}
    pair |= {"fixed_labels": marks[0], "moving_labels": marks[1]}
    overlaps = [float(step.reconstruction(pair)["overlap"]) for _ in range(60)]
    # Boxes six voxels deep, two apart: Dice 4/6.
    np.testing.assert_allclose(overlaps[0], 1 / 3, atol=0.01)
    assert overlaps[-1] < 0.2


def test_classes_of_which_a_pair_has_none_are_not_drawn():
    config = RunConfig(
        network=NetworkConfig(image_size=SIZE, channels=4),
        augmentation=AugmentationConfig(0.0),
        loss=LossConfig(label_weight=1.0, label_classes=2),
    )
    step = TrainingStep(TrainingState(config), classes=40)
    marks = np.zeros((1, *SIZE, 1), np.int32)
    marks[:, :4], marks[:, 6:8], marks[:, 12:14] = 7, 33, 21
    other = np.where(marks == 21, 20, marks)
    for example in range(8):
        drawn = step._draw_classes((marks, other), np.int64([example]))
        assert set(drawn.numpy()) == {7, 33}


def test_the_classes_that_count_are_drawn_by_example():
    """Class 1 is in place (loss 0), class 2 has nothing in common (loss 1): one of them a step."""
    config = RunConfig(
        network=NetworkConfig(image_size=SIZE, channels=4),
        augmentation=AugmentationConfig(0.0),
        loss=LossConfig(label_weight=1.0, label_classes=1),
        optimisation=OptimisationConfig(learning_rate=1e-9),
    )
    step = TrainingStep(TrainingState(config), classes=2)
    marks = np.zeros((2, 1, *SIZE, 1), np.uint16)
    marks[:, :, :4] = 1
    marks[0, :, 6:8] = marks[1, :, 12:14] = 2
    pair = {"fixed": (marks[0] * 50).astype(np.uint8), "moving": (marks[1] * 50).astype(np.uint8)}
    pair |= {"fixed_labels": marks[0], "moving_labels": marks[1]}

    def overlap(example):
        return float(step.reconstruction({**pair, "example": np.int64([example])})["overlap"])

    seen = [overlap(example) for example in range(8)]
    assert {round(value) for value in seen} == {0, 1}  # the flow is a little off zero
    assert seen == pytest.approx([overlap(example) for example in range(8)], abs=1e-6)
