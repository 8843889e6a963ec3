"""The critic's game: whom its gradients move, and that they stay alive."""

import numpy as np
import pytest
import tensorflow as tf

from ldr_tf.config import CriticConfig, LossConfig
from ldr_tf.keras import keras
from ldr_tf.losses.adversarial import feature_distance, gradient_penalty, joint_deformation
from ldr_tf.losses.reconstruction import reconstruction_loss
from ldr_tf.networks.critic import Critic
from ldr_tf.ops.bspline import free_form_flow
from ldr_tf.training.discrimination import CriticGame, regression

SIZE = (16, 16, 16)


def flows(strengths=(0.2, 0.4), batch=2, seed=4):
    """The student's and the teacher's: free-form deformations of a few voxels."""
    grids = np.random.default_rng(seed).normal(size=(2, batch, 5, 5, 5, 3)).astype("float32")
    return [8.0 * s * free_form_flow(grid, SIZE) for s, grid in zip(strengths, grids)]


def game(**options):
    options = CriticConfig(**options)
    keras.utils.set_random_seed(1)
    critic = Critic(None, options.constraint)
    return CriticGame(critic, options), critic, options


def plain_gradients(critic, options, phi_s, phi_t, loss_of):
    """Gradients of `loss_of(distance, penalty)` by one plain tape: flow first, then weights."""
    with tf.GradientTape() as tape:
        tape.watch(phi_s)
        s, t = phi_s / options.flow_unit, phi_t / options.flow_unit
        distance = tf.reduce_mean(feature_distance(critic(s), critic(t)))
        joint = joint_deformation(s, t, options.beta)
        penalty = tf.reduce_mean(gradient_penalty(critic, joint, options.flow_length)[0])
        loss = loss_of(distance, penalty)
    return tape.gradient(loss, [phi_s, *critic.trainable_variables])


@pytest.mark.parametrize("objective", ["game", "joint"])
def test_each_side_descends_its_own_loss(objective):
    play, critic, options = game(objective=objective, penalty=3.0)
    phi_s, phi_t = flows()
    answer = play(phi_s, phi_t)

    def joint(distance, penalty):
        return distance + 3.0 * penalty

    def student(distance, penalty):
        return distance

    def opponent(distance, penalty):
        return 3.0 * penalty - distance

    of_student, of_critic = {"game": (student, opponent), "joint": (joint, joint)}[objective]
    wanted = plain_gradients(critic, options, phi_s, phi_t, of_student)[0]
    np.testing.assert_allclose(answer.gradient, wanted, atol=1e-6 * np.abs(wanted).max() + 1e-12)
    wanted = plain_gradients(critic, options, phi_s, phi_t, of_critic)[1:]
    for got, expected in zip(answer.critic_gradients, wanted):
        scale = np.abs(expected).max()
        assert scale > 0
        np.testing.assert_allclose(got, expected, atol=1e-4 * scale)


def test_regression_gradient_known_by_hand():
    phi_s, phi_t = tf.ones((1, 2, 2, 2, 3)), tf.zeros((1, 2, 2, 2, 3))
    answer = regression(phi_s, phi_t)
    assert float(answer.value) == 3.0  # 1 + 1 + 1 at every voxel
    np.testing.assert_allclose(answer.gradient, 2.0 / 8.0)  # 2 (s - t) over eight voxels
    assert answer.critic_gradients == []


def test_without_penalty_the_critic_climbs_the_distance():
    play, critic, options = game(constraint="none")
    phi_s, phi_t = flows()
    answer = play(phi_s, phi_t)
    assert set(answer.scalars) == {"critic_distance", "critic_saturation"}
    wanted = plain_gradients(critic, options, phi_s, phi_t, lambda distance, _: -distance)[1:]
    for got, expected in zip(answer.critic_gradients, wanted):
        np.testing.assert_allclose(got, expected, atol=1e-4 * np.abs(expected).max())


def test_a_student_driven_by_the_distance_alone_comes_closer_to_the_teacher():
    """Gamma 0 on one fixed pair: a critic that can tell the flows apart pulls one to the other.

    First the critic learns until it can; then the student's flow follows it in steps of 0.003
    voxel, rms.
    """
    play, critic, _ = game(flow_unit=1.0)
    start, phi_t = flows(strengths=(0.05, 0.4), batch=1)
    student = tf.Variable(start)
    optimizer = keras.optimizers.Adam(1e-3, epsilon=1e-8)
    optimizer.build(critic.trainable_variables)

    @tf.function
    def learn():
        answer = play(student, phi_t)
        optimizer.apply_gradients(zip(answer.critic_gradients, critic.trainable_variables))
        return answer.value

    @tf.function
    def follow():
        answer = play(student, phi_t)
        length = tf.sqrt(3.0 * tf.reduce_mean(tf.square(answer.gradient)))
        student.assign_sub(0.003 * answer.gradient / length)
        return answer.value

    def error():
        return float(tf.reduce_mean(tf.norm(student - phi_t, axis=-1)))

    before = error()
    assert any(float(learn()) > 0.3 for _ in range(400))  # seen with four seeds: after 121 to 146
    distances = [float(follow()) for _ in range(100)]
    # Seen with four seeds, after 0.3 voxel of steps: error 0.968 to 0.994 of 1.812, distance 0.03
    # to 0.09. Steps that have nothing to do with the teacher make the error larger.
    assert distances[-1] < 0.5 * distances[0]
    assert error() < 0.997 * before, (before, error())


@pytest.mark.slow
def test_critic_stays_alive_and_its_gradient_reaches_the_student():
    """Two fixed sets of deformations, 300 critic steps at the default scale."""
    play, critic, options = game()
    phi_s, phi_t = flows(strengths=(0.15, 0.3), batch=4)
    optimizer = keras.optimizers.Adam(options.learning_rate, epsilon=1e-8)
    optimizer.build(critic.trainable_variables)

    @tf.function
    def step():
        answer = play(phi_s, phi_t)
        optimizer.apply_gradients(zip(answer.critic_gradients, critic.trainable_variables))
        return answer

    for _ in range(300):
        answer = step()
    assert 0.8 < float(answer.scalars["critic_gradient_norm"]) < 1.2
    features = critic(phi_s / options.flow_unit).numpy()
    assert features.min() > 0.01 and features.max() < 0.99  # the sigmoid still has a slope
    assert float(tf.norm(answer.gradient)) > 1e-3 * reconstruction_gradient(phi_s)


def reconstruction_gradient(flow):
    """Length of the gradient of l_rec with respect to the flow, for two images of waves."""
    from ldr_tf.networks.cascade import Registration, Stage
    from ldr_tf.ops.warp import warp

    axes = np.meshgrid(*[np.linspace(0, 3 * np.pi, n) for n in SIZE], indexing="ij")
    fixed = (0.5 + 0.5 * np.sin(axes[0]) * np.sin(axes[1]) * np.sin(axes[2])).astype("float32")
    fixed = tf.repeat(fixed[None, ..., None], flow.shape[0], axis=0)
    moving = tf.roll(fixed, 2, axis=1)
    with tf.GradientTape() as tape:
        tape.watch(flow)
        warped = warp(moving, flow)
        stages = [Stage(flow, flow, warped, None)]
        terms = reconstruction_loss(fixed, Registration(flow, warped, stages), LossConfig())
        loss = tf.reduce_mean(terms["reconstruction"])
    return float(tf.norm(tape.gradient(loss, flow)))
