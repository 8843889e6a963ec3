"""The overlap of labels, of boxes whose Dice is known."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from ldr_tf.losses import overlap


def cube(shift, value, size=(12, 8, 8)):
    """Labels [1, x, y, z, 1]: a box of 4x4x4 voxels that begins at x = 2 + shift."""
    labels = np.zeros((1, *size, 1), np.int32)
    labels[0, 2 + shift : 6 + shift, 2:6, 2:6] = value
    return labels


def push(voxels, size=(12, 8, 8)):
    return tf.constant(np.broadcast_to(np.float32([voxels, 0, 0]), (1, *size, 3)))


def test_label_overlap_of_shifted_boxes_is_known():
    """Boxes two blocks a side, moved apart by a block: half of either is shared, Dice 1/2."""
    loss = functools.partial(overlap.soft_dice_loss, classes=range(1, 4))
    fixed, moving = cube(0, 2), cube(2, 2)
    np.testing.assert_allclose(loss(fixed, fixed, push(0)), 0.0, atol=1e-6)
    np.testing.assert_allclose(loss(fixed, moving, push(0)), 0.5, atol=1e-6)
    np.testing.assert_allclose(loss(fixed, moving, push(2)), 0.0, atol=1e-6)
    # By one voxel, a block's half: shares 1/2, 1, 1/2 beside 1, 1 of the two blocks; over x
    # 2 (1/2 + 1) / (2 + 1/4 + 1 + 1/4 ) = 6/7.
    np.testing.assert_allclose(loss(fixed, moving, push(1)), 1 / 7, atol=1e-6)


def test_only_the_given_classes_count():
    """Class 1 is in place, class 3 half shared: mean loss 1/4, of either alone 0 and 1/2."""
    fixed, moving = cube(0, 3), cube(2, 3)
    for labels in (fixed, moving):
        labels[0, 10:, 6:, 6:] = 1
    for classes, wanted in (([1, 2, 3], 0.25), ([3], 0.5), ([1], 0.0), ([2], 0.0)):
        loss = overlap.soft_dice_loss(fixed, moving, push(0), classes)
        np.testing.assert_allclose(loss, wanted, atol=1e-6)


def test_labels_of_one_side_do_not_count():
    fixed, moving = cube(0, 2), cube(0, 2)
    fixed[0, 10:, 6:, 6:] = 1  # the moving side has no class 1
    moving[0, 10:, :2, :2] = 3
    loss = overlap.soft_dice_loss(fixed, moving, push(0), range(1, 4))
    np.testing.assert_allclose(loss, 0.0, atol=1e-6)
    nothing = np.zeros_like(fixed)
    np.testing.assert_array_equal(
        overlap.soft_dice_loss(fixed, nothing, push(0), range(1, 4)), [0.0]
    )


def test_label_overlap_pulls_the_flow_the_right_way():
    flow = push(0.5)
    with tf.GradientTape() as tape:
        tape.watch(flow)
        loss = overlap.soft_dice_loss(cube(0, 1), cube(2, 1), flow, [1])
    gradient = tape.gradient(loss, flow).numpy()
    assert gradient[..., 0].sum() < 0 and np.isfinite(gradient).all()
    with pytest.raises(ValueError, match="moving_labels"):
        overlap.soft_dice_loss(cube(0, 1), cube(0, 1)[:, :4], flow, [1])
