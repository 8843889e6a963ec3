"""l_rec put together by hand: which stages count, by which weights."""

from typing import NamedTuple, Optional

import numpy as np
import tensorflow as tf

from ldr_tf.config import LossConfig
from ldr_tf.losses.overlap import soft_dice_loss
from ldr_tf.losses.reconstruction import Labels, reconstruction_loss
from ldr_tf.losses.regularization import affine_loss, flow_smoothness
from ldr_tf.losses.similarity import mse_loss

SIZE = (8, 8, 8)
RNG = np.random.default_rng(3)


class Stage(NamedTuple):
    flow: tf.Tensor
    warped: tf.Tensor
    matrix: Optional[tf.Tensor] = None


class Answer(NamedTuple):
    flow: tf.Tensor
    stages: list


def volume(channels=1):
    return tf.constant(RNG.uniform(size=(2, *SIZE, channels)), tf.float32)


FIXED = volume()
AFFINE = Stage(volume(3), volume(), tf.constant(RNG.normal(size=(2, 3, 3)) / 9, tf.float32))
DENSE = [Stage(volume(3), volume()) for _ in range(3)]


def test_the_last_image_and_every_flow_count():
    answer = Answer(DENSE[-1].flow, DENSE)
    terms = reconstruction_loss(FIXED, answer, LossConfig("mse", 0.5))
    smooth = sum(flow_smoothness(stage.flow) for stage in DENSE)
    np.testing.assert_allclose(terms["similarity"], mse_loss(FIXED, DENSE[2].warped))
    np.testing.assert_allclose(terms["smoothness"], smooth, rtol=1e-6)
    total = mse_loss(FIXED, DENSE[2].warped) + 0.5 * smooth
    np.testing.assert_allclose(terms["reconstruction"], total, rtol=1e-6)
    assert set(terms) == {"reconstruction", "similarity", "smoothness"}


def test_the_composed_flow_is_kept_smooth_instead():
    composed = volume(3)
    config = LossConfig("mse", 0.5, regularized="composed")
    terms = reconstruction_loss(FIXED, Answer(composed, DENSE), config)
    np.testing.assert_allclose(terms["smoothness"], flow_smoothness(composed), rtol=1e-6)
    np.testing.assert_allclose(terms["similarity"], mse_loss(FIXED, DENSE[2].warped))


def test_labels_alone():
    labels = Labels(*[tf.constant(RNG.integers(0, 3, (2, *SIZE, 1)))] * 2, tf.constant([1, 2]))
    config = LossConfig("none", 0.5, label_weight=1.0)
    terms = reconstruction_loss(FIXED, Answer(DENSE[0].flow, DENSE[:1]), config, labels=labels)
    np.testing.assert_array_equal(terms["similarity"], [0, 0])
    overlap = soft_dice_loss(labels.fixed, labels.moving, DENSE[0].flow, labels.classes)
    wanted = overlap + 0.5 * flow_smoothness(DENSE[0].flow)
    np.testing.assert_allclose(terms["reconstruction"], wanted, rtol=1e-6)


def test_repetitions_of_the_last_stem_all_count():
    terms = reconstruction_loss(FIXED, Answer(DENSE[-1].flow, DENSE), LossConfig("mse"), rep=2)
    wanted = mse_loss(FIXED, DENSE[1].warped) + mse_loss(FIXED, DENSE[2].warped)
    np.testing.assert_allclose(terms["similarity"], wanted, rtol=1e-6)


def test_an_affine_map_is_kept_rigid_and_not_smooth():
    answer = Answer(DENSE[0].flow, [AFFINE, DENSE[0]])
    terms = reconstruction_loss(FIXED, answer, LossConfig("mse", 0.0))
    np.testing.assert_allclose(terms["smoothness"], flow_smoothness(DENSE[0].flow), rtol=1e-6)
    wanted = mse_loss(FIXED, DENSE[0].warped) + affine_loss(AFFINE.matrix)
    np.testing.assert_allclose(terms["reconstruction"], wanted, rtol=1e-5)


def test_labels_add_their_overlap_by_their_weight():
    sides = [RNG.integers(0, 3, (2, *SIZE, 1)) for _ in range(2)]
    answer = Answer(DENSE[0].flow, DENSE[:1])
    without = reconstruction_loss(FIXED, answer, LossConfig("mse", 1.0))
    config = LossConfig("mse", 1.0, label_weight=2.5)
    terms = reconstruction_loss(FIXED, answer, config, labels=Labels(*sides, [1, 2]))
    overlap = soft_dice_loss(*sides, answer.flow, [1, 2])
    np.testing.assert_allclose(terms["overlap"], overlap)
    difference = terms["reconstruction"] - without["reconstruction"]
    np.testing.assert_allclose(difference, 2.5 * overlap, rtol=1e-4)
