"""The losses of ALDK, by hand."""

import numpy as np
import pytest
import tensorflow as tf

from ldr_tf.losses import adversarial
from ldr_tf.networks.critic import Critic


def test_penalty_of_a_linear_critic_known_by_hand():
    # D(x) = 2 sum(x) over 4 inputs: gradient (2, 2, 2, 2), norm 4, penalty (4 - 1)^2 = 9
    def critic(x):
        return 2.0 * tf.reduce_sum(x, axis=1, keepdims=True)

    penalty, norm = adversarial.gradient_penalty(critic, tf.constant([[0.1, 0.2, 0.3, 0.4]]), "sum")
    np.testing.assert_allclose(norm, [4.0], rtol=1e-6)
    np.testing.assert_allclose(penalty, [9.0], rtol=1e-6)


def test_penalty_is_per_example_and_has_gradients_for_the_critic():
    critic = Critic()
    noise = np.random.default_rng(5).normal(size=(2, 32, 32, 32, 3))
    deformation = tf.constant(noise, tf.float32)
    with tf.GradientTape() as tape:
        penalty, _ = adversarial.gradient_penalty(critic, deformation, "sum")
        loss = tf.reduce_sum(penalty)
    alone, _ = adversarial.gradient_penalty(critic, deformation[1:], "sum")
    np.testing.assert_allclose(alone[0], penalty[1], rtol=1e-4)
    gradients = tape.gradient(loss, critic.trainable_variables[:-1:2])  # the kernels
    assert all(np.abs(g).max() > 0 for g in gradients)


def test_joint_deformation_at_its_ends():
    student, teacher = tf.zeros([1, 2, 2, 2, 3]), tf.ones([1, 2, 2, 2, 3])
    for beta in (0.0, 0.1, 1.0):
        joint = adversarial.joint_deformation(student, teacher, beta)
        np.testing.assert_allclose(joint, beta)


def test_adversarial_loss_by_hand():
    # features differ by 0.5 and 0.1: sum 0.26, mean 0.13; gamma 0.3 of l_rec 2
    student, teacher = tf.constant([[0.7, 0.2]]), tf.constant([[0.2, 0.3]])
    total = adversarial.feature_distance(student, teacher, "sum")
    np.testing.assert_allclose(total, [0.26], rtol=1e-5)
    mean = adversarial.feature_distance(student, teacher, "mean")
    np.testing.assert_allclose(mean, [0.13], rtol=1e-5)
    terms = 2.0, total[0] + 0.1 * 9.0
    loss = adversarial.adversarial_loss(*terms, adversarial.loss_weights(0.3))
    assert float(loss) == pytest.approx(0.3 * 2 + 0.7 * (0.26 + 0.9), rel=1e-5)
    beside = adversarial.adversarial_loss(*terms, adversarial.loss_weights(0.3, 0.5))
    assert float(beside) == pytest.approx(2 + 0.5 * (0.26 + 0.9), rel=1e-5)
