"""Augmentation: a function of seed and example, and stored flows that follow it."""

import numpy as np
import pytest
import tensorflow as tf

from ldr_tf.config import AugmentationConfig
from ldr_tf.ops.bspline import free_form_flow
from ldr_tf.ops.flow import compose
from ldr_tf.ops.warp import warp
from ldr_tf.training.augment import TrainingPair, augment, undo_deformation

SIZE = (24, 28, 32)


def smooth_volumes(batch=3):
    grid = np.stack(np.meshgrid(*[np.linspace(0, 4, n) for n in SIZE], indexing="ij"), -1)
    phases = np.random.default_rng(0).uniform(0, 6, (2, batch, 1, 1, 1, 3))
    return [np.sin(grid + p).mean(-1, keepdims=True).astype("float32") for p in phases]


def smooth_flow(batch=3, seed=1):
    control = np.random.default_rng(seed).normal(size=(batch, 5, 5, 5, 3)).astype("float32")
    return free_form_flow(control, SIZE)


def test_an_example_does_not_depend_on_its_batch():
    fixed, moving = smooth_volumes()
    config = AugmentationConfig(0.4, 0)
    pair = TrainingPair(fixed, moving)
    whole = augment(pair, config, 7, np.array([5, 6, 7]))
    for item in range(3):
        part = slice(item, item + 1)
        one = TrainingPair(fixed[part], moving[part])
        alone = augment(one, config, 7, np.array([5 + item]))
        for a, b in zip(whole[:2], alone[:2]):
            np.testing.assert_allclose(a[part], b, atol=1e-6)
    other = augment(pair, config, 8, np.array([5, 6, 7]))
    assert np.abs(whole[1] - other[1]).max() > 0.01


def test_offsets_have_the_originals_strength():
    """|offset| <= 0.4 * (size // 4), and a cubic of a uniform number: mean |u^3| is 1/4."""
    from ldr_tf.training.augment import random_control_grid

    seeds = tf.stack([tf.fill([200], 1), tf.range(200)], axis=-1)
    grid = random_control_grid((32, 32, 64), 0.4, seeds).numpy()
    limits = 0.4 * np.array([8, 8, 16])
    assert grid.shape == (200, 5, 5, 5, 3)
    assert np.all(np.abs(grid).max((0, 1, 2, 3)) <= limits)
    np.testing.assert_allclose(np.abs(grid).mean((0, 1, 2, 3)), limits / 4, rtol=0.03)


def test_half_of_the_pairs_are_mirrored_whole():
    fixed, moving = smooth_volumes(1)
    mirrored = 0
    for example in range(40):
        pair = TrainingPair(fixed, moving)
        f, m, *_ = augment(pair, AugmentationConfig(0.0, 2), 3, np.array([example]))
        turned = not np.array_equal(f, fixed)
        mirrored += turned
        np.testing.assert_array_equal(f, fixed[:, :, :, ::-1] if turned else fixed)
        np.testing.assert_array_equal(m, moving[:, :, :, ::-1] if turned else moving)
    assert 10 <= mirrored <= 30


def test_undoing_a_deformation_inverts_it():
    deformation, flow = smooth_flow(seed=2), smooth_flow(seed=3)
    changed = undo_deformation(flow, deformation)
    back = compose(deformation, changed)  # first the deformation, then the flow onto the result
    inner = (slice(None), *[slice(4, -4)] * 3)
    np.testing.assert_allclose(back[inner], flow[inner], atol=2e-4)


@pytest.mark.parametrize("axis", [None, 0, 2])
def test_a_stored_flow_follows_the_augmentation(axis):
    """The warped image stays what it was, up to interpolating twice, or its mirror image."""
    fixed, moving = smooth_volumes()
    flow = smooth_flow()
    wanted = warp(moving, flow).numpy()
    pair = TrainingPair(fixed, moving, flow)
    f, m, changed, _ = augment(pair, AugmentationConfig(0.3, axis), 1, np.array([0, 1, 2]))
    got = warp(m, changed).numpy()
    for item in range(3):
        turned = not np.array_equal(f[item], fixed[item])
        expected = np.flip(wanted[item], axis) if turned else wanted[item]
        inner = tuple([slice(4, -4)] * 3)
        assert np.abs(got[item] - expected)[inner].max() < 0.01
    assert np.abs(changed - flow).max() > 0.5


def test_labels_follow_their_images():
    """Labels that are the image cut at one half stay so, but where interpolation decides."""
    fixed, moving = smooth_volumes()
    labels = tuple((np.asarray(image) > 0.5).astype(np.uint16) for image in (fixed, moving))
    pair = TrainingPair(fixed, moving, labels=labels)
    pair = augment(pair, AugmentationConfig(0.4, 0), 7, np.array([5, 6, 7]))
    for image, marks in zip((pair.fixed, pair.moving), pair.labels):
        assert marks.dtype == "uint16" and marks.shape == image.shape
        assert np.mean((np.asarray(image) > 0.5) != (np.asarray(marks) > 0)) < 0.02
    assert np.mean(np.asarray(pair.labels[1]) != labels[1]) > 0.04


def test_a_shift_moves_all_of_a_pair_alike():
    """Found again by looking for the whole number of voxels that explains the fixed image."""
    fixed, moving = smooth_volumes()
    flow, labels = smooth_flow(), tuple((np.asarray(v) > 0.5).astype(int) for v in (fixed, moving))
    numbers = np.array([5, 6, 7])
    config = AugmentationConfig(0.0, None, shift=3)
    pair = augment(TrainingPair(fixed, moving, flow, labels), config, 7, numbers)
    offsets = []
    for item in range(3):
        places = [np.array(p) - 3 for p in np.ndindex(7, 7, 7)]
        (offset,) = [p for p in places if np.array_equal(moved(fixed[item], p), pair.fixed[item])]
        offsets.append(tuple(offset))
        sides = [(moving, pair.moving), (flow, pair.flow), *zip(labels, pair.labels)]
        for before, after in sides:
            np.testing.assert_array_equal(after[item], moved(before[item], offset))
    assert len(set(offsets)) == 3 and np.ptp(offsets) >= 3
    alone = augment(TrainingPair(fixed[1:2], moving[1:2]), config, 7, numbers[1:2])
    np.testing.assert_array_equal(alone.fixed[0], pair.fixed[1])


def moved(volume, offset):
    """new(p) = volume(p - offset), 0 outside, by numpy."""
    volume = np.asarray(volume)
    result = np.zeros_like(volume)
    target = tuple(slice(max(o, 0), n + min(o, 0)) for o, n in zip(offset, volume.shape))
    source = tuple(slice(max(-o, 0), n + min(-o, 0)) for o, n in zip(offset, volume.shape))
    result[target] = volume[source]
    return result
