"""Losses against numpy written from the formulas, and properties."""

import functools

import numpy as np
import pytest
import tensorflow as tf
from scipy import ndimage

from ldr_tf.losses import adversarial, distillation, overlap, regularization, similarity
from ldr_tf.networks.critic import Critic
from ldr_tf.ops.flow import affine_flow

RNG = np.random.default_rng(5)
FIXED = RNG.uniform(size=(2, 9, 10, 11, 1)).astype("float32")
WARPED = (0.5 * FIXED + 0.5 * RNG.uniform(size=FIXED.shape)).astype("float32")


def test_correlation_loss_equals_numpy_and_ignores_contrast():
    wanted = [1 - np.corrcoef(f.ravel(), w.ravel())[0, 1] for f, w in zip(FIXED, WARPED)]
    loss = similarity.correlation_loss(FIXED, WARPED)
    np.testing.assert_allclose(loss, wanted, atol=1e-4)
    np.testing.assert_allclose(similarity.correlation_loss(FIXED, 0.3 * FIXED + 0.2), 0, atol=1e-3)


def test_correlation_loss_of_flat_images_is_finite():
    flat = np.full_like(FIXED, 0.5)
    np.testing.assert_allclose(similarity.correlation_loss(flat, flat), 1.0)
    np.testing.assert_allclose(similarity.local_correlation_loss(flat, flat), 1.0, atol=1e-3)


@pytest.mark.parametrize("window", [1, 3, 5, 9])
def test_box_sum_equals_scipy_and_is_its_own_gradient(window):
    kernel = np.ones((window,) * 3)
    wanted = ndimage.convolve(FIXED[0, ..., 0].astype(float), kernel, mode="constant")
    with tf.GradientTape() as tape:
        volume = tf.constant(FIXED)
        tape.watch(volume)
        total = similarity.box_sum(volume, window)
        loss = tf.reduce_sum(total * WARPED)
    np.testing.assert_allclose(total[0, ..., 0], wanted, rtol=1e-5)
    gradient = tape.gradient(loss, volume)
    np.testing.assert_allclose(gradient, similarity.box_sum(tf.constant(WARPED), window), rtol=1e-5)


def test_local_correlation_equals_numpy():
    fixed, warped = FIXED[0, ..., 0].astype(float), WARPED[0, ..., 0].astype(float)
    values = []
    for index in np.ndindex(fixed.shape):
        part = tuple(slice(max(i - 2, 0), i + 3) for i in index)
        covariance = np.cov(fixed[part].ravel(), warped[part].ravel(), bias=True)
        values.append(covariance[0, 1] ** 2 / (covariance[0, 0] * covariance[1, 1]))
    loss = similarity.local_correlation_loss(FIXED, WARPED, window=5)
    np.testing.assert_allclose(loss[0], 1 - np.mean(values), atol=3e-3)


def test_smoothness_of_a_linear_field_is_known():
    # gradient 0.5 along x in one channel: half of 0.25 at (x - 1) of x places, over x y z 3
    matrix = np.zeros((1, 3, 3), "float32")
    matrix[0, 0, 0] = 0.5
    flow = affine_flow(matrix, tf.zeros([1, 3]), (5, 6, 7))
    np.testing.assert_allclose(regularization.flow_smoothness(flow), 0.125 * 4 / 5 / 3, rtol=1e-5)


def test_affine_losses_vanish_for_a_rotation_and_only_there():
    angle = 0.3
    rotation = np.eye(3)
    rotation[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    stretch = np.diag([1.2, 1.0, 1.0])
    w = np.float32([rotation - np.eye(3), stretch - np.eye(3)])
    np.testing.assert_allclose(regularization.determinant_loss(w), [0.0, 0.02], atol=1e-5)
    # by the formula on the eigenvalues 1.44, 1, 1 (e left out): s1 + s2 / s3 - 6
    wanted = 3.44 + (1.44 + 1.44 + 1) / 1.44 - 6
    np.testing.assert_allclose(regularization.orthogonality_loss(w), [0.0, wanted], atol=1e-4)


def test_penalty_of_a_linear_critic_known_by_hand():
    # D(x) = 2 sum(x) over 4 inputs: gradient (2, 2, 2, 2), norm 4, penalty (4 - 1)^2 = 9
    def critic(x):
        return 2.0 * tf.reduce_sum(x, axis=1, keepdims=True)

    penalty, norm = adversarial.gradient_penalty(critic, tf.constant([[0.1, 0.2, 0.3, 0.4]]), "sum")
    np.testing.assert_allclose(norm, [4.0], rtol=1e-6)
    np.testing.assert_allclose(penalty, [9.0], rtol=1e-6)


def test_penalty_is_per_example_and_has_gradients_for_the_critic():
    critic = Critic()
    deformation = tf.constant(RNG.normal(size=(2, 32, 32, 32, 3)).astype("float32"))
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
    loss = adversarial.adversarial_loss(2.0, total[0] + 0.1 * 9.0, 0.3)
    assert float(loss) == pytest.approx(0.3 * 2 + 0.7 * (0.26 + 0.9), rel=1e-5)


def test_flow_regression_by_hand():
    student, teacher = tf.zeros([1, 2, 2, 2, 3]), tf.fill([1, 2, 2, 2, 3], 2.0)
    np.testing.assert_allclose(distillation.flow_regression_loss(student, teacher), [12.0])
    np.testing.assert_allclose(distillation.end_point_error(student, teacher), [12.0**0.5])


def cube(shift, value, size=(12, 8, 8)):
    """Labels [1, x, y, z, 1]: a box of 4x4x4 voxels that begins at x = 2 + shift."""
    labels = np.zeros((1, *size, 1), np.int32)
    labels[0, 2 + shift : 6 + shift, 2:6, 2:6] = value
    return labels


def push(voxels, size=(12, 8, 8)):
    return tf.constant(np.broadcast_to(np.float32([voxels, 0, 0]), (1, *size, 3)))


def test_label_overlap_of_shifted_boxes_is_known():
    """Boxes two blocks a side, moved apart by a block: half of either is shared, Dice 1/2."""
    loss = functools.partial(overlap.soft_dice_loss, classes=3)
    fixed, moving = cube(0, 2), cube(2, 2)
    np.testing.assert_allclose(loss(fixed, fixed, push(0)), 0.0, atol=1e-6)
    np.testing.assert_allclose(loss(fixed, moving, push(0)), 0.5, atol=1e-6)
    np.testing.assert_allclose(loss(fixed, moving, push(2)), 0.0, atol=1e-6)
    # By one voxel, a block's half: shares 1/2, 1, 1/2 beside 1, 1 of the two blocks; over x
    # 2 (1/2 + 1) / (2 + 1/4 + 1 + 1/4 ) = 6/7.
    np.testing.assert_allclose(loss(fixed, moving, push(1)), 1 / 7, atol=1e-6)


def test_labels_of_one_side_do_not_count():
    fixed, moving = cube(0, 2), cube(0, 2)
    fixed[0, 10:, 6:, 6:] = 1  # the moving side has no class 1
    moving[0, 10:, :2, :2] = 3
    loss = overlap.soft_dice_loss(fixed, moving, push(0), 3)
    np.testing.assert_allclose(loss, 0.0, atol=1e-6)
    nothing = np.zeros_like(fixed)
    np.testing.assert_array_equal(overlap.soft_dice_loss(fixed, nothing, push(0), 3), [0.0])


def test_label_overlap_pulls_the_flow_the_right_way():
    flow = push(0.5)
    with tf.GradientTape() as tape:
        tape.watch(flow)
        loss = overlap.soft_dice_loss(cube(0, 1), cube(2, 1), flow, 1)
    gradient = tape.gradient(loss, flow).numpy()
    assert gradient[..., 0].sum() < 0 and np.isfinite(gradient).all()
    with pytest.raises(ValueError, match="moving_labels"):
        overlap.soft_dice_loss(cube(0, 1), cube(0, 1)[:, :4], flow, 1)
