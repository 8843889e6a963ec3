"""The phantoms' truth, checked with scipy's interpolation, and that a seed gives the same bytes."""

import itertools

import numpy as np
import pytest
from scipy import ndimage

from data.anatomy import LABELS
from data.phantoms import make_subject
from ldr_tf.metrics.jacobian import jacobian_determinant

TEMPLATE = 1
SUBJECTS = (0, 1, 2, 3)


@pytest.fixture(scope="module")
def template():
    return make_subject(TEMPLATE, None)


@pytest.fixture(scope="module")
def subjects():
    return [make_subject(TEMPLATE, seed) for seed in SUBJECTS]


def dice(first, second):
    """Dice of each label, in the order of LABELS."""
    return np.array(
        [
            2 * np.sum((first == v) & (second == v)) / (np.sum(first == v) + np.sum(second == v))
            for v in LABELS.values()
        ]
    )


def warp(array, flow, order):
    """array(p + flow(p)) by scipy."""
    where = np.indices(array.shape) + np.moveaxis(flow, -1, 0)
    return ndimage.map_coordinates(array, where, order=order, mode="nearest")


def test_form(template, subjects):
    for phantom in (template, *subjects):
        assert phantom.volume.shape == phantom.labels.shape == (64, 64, 64)
        assert phantom.volume.dtype == phantom.labels.dtype == np.uint8
        assert phantom.flow.shape == (64, 64, 64, 3)
        assert phantom.flow.dtype == phantom.points.dtype == np.float32
        assert phantom.points.shape == (6, 3)
        assert set(np.unique(phantom.labels)) == {0, *LABELS.values()}
        assert min(np.bincount(phantom.labels.ravel())) > 300  # no organ is a mere speck
    assert not template.flow.any()


def test_the_true_flow_takes_the_template_to_each_subject(template, subjects):
    for subject in subjects:
        # Votes of linearly interpolated masks: nearest alone would add half a voxel of jitter.
        masks = [warp((template.labels == v) * 1.0, subject.flow, 1) for v in [0, *LABELS.values()]]
        warped = np.argmax(masks, axis=0)
        assert np.mean(warped == subject.labels) > 0.985
        assert dice(warped, subject.labels).min() > 0.92
        assert (
            dice(warped, subject.labels).mean()
            > dice(template.labels, subject.labels).mean() + 0.15
        )
        # The other sign would be another convention.
        assert dice(warp(template.labels, -subject.flow, 0), subject.labels).mean() < 0.6


def test_intensities_move_with_the_anatomy(template, subjects):
    for subject in subjects:
        warped = warp(template.volume.astype(float), subject.flow, 1)
        body = subject.labels > 0
        before = np.corrcoef(template.volume[body], subject.volume[body])[0, 1]
        assert np.corrcoef(warped[body], subject.volume[body])[0, 1] > max(0.94, before + 0.2)


def test_texture_moves_with_the_anatomy(template, subjects):
    """Inside one organ, away from its surface, where only texture varies."""
    for subject in subjects:
        inside = ndimage.binary_erosion(subject.labels == LABELS["mesentery"], iterations=2)
        warped = warp(template.volume.astype(float), subject.flow, 1)
        before = np.corrcoef(template.volume[inside], subject.volume[inside])[0, 1]
        after = np.corrcoef(warped[inside], subject.volume[inside])[0, 1]
        assert after > max(0.8, before + 0.2)


def test_deformations_are_smooth_and_invertible(subjects):
    for subject in subjects:
        determinant = jacobian_determinant(subject.flow)
        assert determinant.shape == (63, 63, 63)
        assert determinant.min() > 0.2
        largest = np.linalg.norm(subject.flow, axis=-1).max()
        assert 64 * 0.08 < largest < 64 * 0.115
        # Length scale: neighbouring displacements differ by far less than the largest.
        assert (
            max(np.abs(np.diff(subject.flow, axis=axis)).max() for axis in range(3))
            < 0.12 * largest
        )


def test_dice_between_subjects_before_registration(subjects):
    pairs = itertools.combinations(subjects, 2)
    mean = np.mean([dice(a.labels, b.labels) for a, b in pairs])
    assert 0.5 < mean < 0.68


def test_landmarks_correspond(template, subjects):
    for subject in subjects:
        present = (subject.points >= 0).all(axis=1)
        assert present.sum() >= 5
        for axis in range(3):
            moved = ndimage.map_coordinates(subject.flow[..., axis], subject.points.T, order=1)
            error = subject.points[:, axis] + moved - template.points[:, axis]
            assert np.abs(error[present]).max() < 0.1


def test_same_seeds_same_bytes_other_seeds_others(subjects):
    again = make_subject(TEMPLATE, SUBJECTS[0])
    for field in ("volume", "labels", "flow", "points"):
        assert getattr(again, field).tobytes() == getattr(subjects[0], field).tobytes()
        assert getattr(again, field).tobytes() != getattr(subjects[1], field).tobytes()
    assert not np.array_equal(make_subject(0, None, 32).labels, make_subject(1, None, 32).labels)


def test_any_size_shows_the_same_anatomy(subjects):
    small = make_subject(TEMPLATE, SUBJECTS[0], (32, 64, 48))
    assert small.volume.shape == (32, 64, 48)
    # Voxel centres of half the resolution lie between two: sampled there, the flow halves along x.
    between = (subjects[0].flow[0::2, :, :, 0] + subjects[0].flow[1::2, :, :, 0]) / 2
    plane = ndimage.zoom(between, (1, 1, 0.75), order=1, grid_mode=True, mode="nearest")
    assert np.abs(small.flow[..., 0] - plane / 2).max() < 0.02
    np.testing.assert_allclose(
        (small.points + 0.5) / (32, 64, 48), (subjects[0].points + 0.5) / 64, atol=1e-5
    )
