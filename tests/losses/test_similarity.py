"""How unlike images are, against numpy written from the formulas, and by hand."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from ldr_tf.losses import similarity

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


def test_local_correlation_equals_numpy():
    fixed, warped = FIXED[0, ..., 0].astype(float), WARPED[0, ..., 0].astype(float)
    values = []
    for index in np.ndindex(fixed.shape):
        part = tuple(slice(max(i - 2, 0), i + 3) for i in index)
        covariance = np.cov(fixed[part].ravel(), warped[part].ravel(), bias=True)
        values.append(covariance[0, 1] ** 2 / (covariance[0, 0] * covariance[1, 1]))
    loss = similarity.local_correlation_loss(FIXED, WARPED, window=5)
    np.testing.assert_allclose(loss[0], 1 - np.mean(values), atol=3e-3)


def two_levels(pattern, size=(1, 8, 8, 8, 1)):
    """Intensities 0 and 1, which lie on bins, by a boolean [8, 8, 8]."""
    return np.broadcast_to(pattern[None, ..., None], size).astype("float32")


def test_mutual_information_by_hand():
    """Half of the voxels bright: H = ln 2. The same halves share all, crossed ones nothing."""
    half = np.arange(8) < 4
    along_x = np.broadcast_to(half[:, None, None], (8, 8, 8))
    along_y = np.broadcast_to(half[None, :, None], (8, 8, 8))
    loss = similarity.mutual_information_loss
    fixed = two_levels(along_x)
    np.testing.assert_allclose(loss(fixed, fixed), 0.0, atol=1e-5)
    np.testing.assert_allclose(loss(fixed, two_levels(~along_x)), 0.0, atol=1e-5)  # any contrast
    np.testing.assert_allclose(loss(fixed, two_levels(along_y)), 1.0, atol=1e-5)
    # Three quarters of y bright and independent of x in one half: I worked out from the table.
    mixed = two_levels(along_x | along_y)
    joint = np.array([[0.25, 0.25], [0.0, 0.5]])  # rows: fixed dark, bright
    margins = joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True)
    wanted = np.sum(joint[joint > 0] * np.log(joint[joint > 0] / margins[joint > 0])) / np.log(2)
    np.testing.assert_allclose(loss(fixed, mixed), 1 - wanted, atol=1e-5)
    np.testing.assert_allclose(loss(np.full_like(fixed, 0.5), fixed), 1.0, atol=1e-5)


def test_mutual_information_pulls_images_together():
    """The gradient with respect to a blurred edge's place points towards the fixed edge."""
    place = tf.constant(3.0)
    ramp = tf.range(16, dtype=tf.float32)[None, :, None, None, None] * tf.ones([1, 16, 4, 4, 1])
    fixed = tf.sigmoid(ramp - 5.0)
    with tf.GradientTape() as tape:
        tape.watch(place)
        loss = similarity.mutual_information_loss(fixed, 1.0 - tf.sigmoid(ramp - place))
    assert float(tape.gradient(loss, place)) < 0.0


def test_gradient_fields_equal_numpy():
    def gradient(volume):
        padded = np.pad(volume.astype(float), 1, mode="edge")
        inner = slice(1, -1)
        along = [np.roll(padded, -1, axis) - np.roll(padded, 1, axis) for axis in range(3)]
        return np.stack([(a / 2)[inner, inner, inner] for a in along])

    losses = similarity.gradient_fields_loss(FIXED, WARPED, edge=0.1)
    for fixed, warped, loss in zip(FIXED[..., 0], WARPED[..., 0], losses):
        f, w = gradient(fixed), gradient(warped)
        lengths = [np.sqrt(np.sum(g**2, 0) + 0.01) for g in (f, w)]
        cosines = np.sum(f * w, 0) / lengths[0] / lengths[1]
        assert float(loss) == pytest.approx(1 - np.mean(cosines**2), abs=1e-5)


def test_gradient_fields_by_hand():
    """A ramp along x against itself, turned over, and against one along y."""
    ramp = np.broadcast_to(0.1 * np.arange(8.0)[:, None, None], (8, 8, 8))
    along_x, along_y = (np.float32(r)[None, ..., None] for r in (ramp, ramp.transpose(1, 0, 2)))
    loss = functools.partial(similarity.gradient_fields_loss, edge=1e-4)
    for other in (along_x, 1 - 0.5 * along_x):  # any contrast
        np.testing.assert_allclose(loss(along_x, other), 0.0, atol=1e-4)
    np.testing.assert_allclose(loss(along_x, along_y), 1.0, atol=1e-5)
    # As steep as the bound for an edge, it counts half in each image.
    np.testing.assert_allclose(loss(along_x, along_x, edge=0.1)[0], 1 - 0.75 / 4 - 0.25 / 25)
    known = np.ones_like(along_x)
    known[:, 3] = 0.0  # and so do the planes beside it: 5 of 8 are left
    np.testing.assert_allclose(loss(along_x, along_x, known=known), 3 / 8, atol=1e-4)
