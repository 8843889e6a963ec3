import numpy as np
import pytest
import SimpleITK as sitk
from scipy import ndimage

from ldr_tf.imaging import Grid, slabs, to_array, to_image
from ldr_tf.metrics.jacobian import folded_voxels, jacobian_determinant
from ldr_tf.registration import unfolding
from ldr_tf.registration.unfolding import unfold

SIZE = (24, 20, 48)
SPACING = (1.0, 1.5, 0.8)
TURNED = sitk.Euler3DTransform((0, 0, 0), 0.3, -0.2, 0.5).GetMatrix()
GRID = Grid(SIZE, SPACING, (3.0, -5.0, 8.0), TURNED)
STEPS = np.reshape(TURNED, (3, 3)) * SPACING


def folding_field(seed=0, where=((6, 6, 10), (17, 12, 24), (23, 0, 40))):
    """A smooth field and an affine one, on which some places are knocked out of line, in mm."""
    random = np.random.default_rng(seed)
    field = ndimage.gaussian_filter(random.normal(size=(*SIZE, 3)), (4, 4, 4, 0)) * 20
    field += np.moveaxis(np.indices(SIZE), 0, -1) @ np.diag([0.1, -0.1, 0.05]) + 7.0
    for x, y, z in where:
        part = field[max(0, x - 2) : x + 2, max(0, y - 2) : y + 2, z - 2 : z + 2]
        part += random.normal(scale=1.5, size=part.shape)
    return np.float32(field)


def folded(field):
    return folded_voxels(field, STEPS)


def test_no_fold_is_left_and_nothing_else_is_touched():
    before = folding_field()
    image = to_image(before, GRID)
    found = unfold(image)
    after = to_array(image)
    count = np.count_nonzero(folded(before))
    assert count > 100 and not folded(after).any()
    moved = (after != before).any(axis=-1)
    # The folds are in three blocks of 5 voxels a side, 10 voxels wide with what the rounds reach.
    assert 0 < np.count_nonzero(moved) < 3 * 10**3
    distance = ndimage.distance_transform_edt(~folded(before))
    assert distance[moved].max() < 8
    assert found.folds_any_percent == pytest.approx(100 * count / np.prod(SIZE))
    determinant = jacobian_determinant(before, steps=STEPS)
    assert found.folds_percent == pytest.approx(100 * (determinant <= 0).mean())
    assert found.changed_percent == pytest.approx(100 * moved.mean())
    assert found.largest_mm == pytest.approx(np.linalg.norm(after - before, axis=-1).max())
    assert found.largest_mm < 6


def test_a_wide_fold_as_of_a_coarse_network_unfolds_too():
    places = np.moveaxis(np.indices(SIZE), 0, -1) - (12, 10, 24)
    # steepest by 0.6 / 3 of its height a voxel
    bump = np.exp(-(places**2).sum(axis=-1) / (2 * 3.0**2))
    image = to_image(np.float32(bump[..., None] * (-12.0, 2.0, 1.0)), GRID)
    assert np.count_nonzero(folded(to_array(image))) > 200
    assert unfold(image).folds_any_percent < unfolding.MOST_PERCENT
    assert not folded(to_array(image)).any()


def test_folds_at_the_seams_of_slabs_unfold_too(monkeypatch):
    monkeypatch.setitem(slabs.__globals__, "_VOXELS", 8 * SIZE[0] * SIZE[1])
    assert list(slabs(GRID))[:2] == [(0, 8), (8, 16)]
    image = to_image(folding_field(1, [(8, 9, z) for z in (7, 8, 9, 16, 31, 40)]), GRID)
    assert folded(to_array(image))[..., [7, 8, 15, 16]].any(axis=(0, 1)).all()
    assert unfold(image).folds_any_percent > 0.5
    assert not folded(to_array(image)).any()


def test_what_does_not_fold_stays_as_it_is():
    before = folding_field(where=())
    image = to_image(before, GRID)
    assert unfold(image) is None
    np.testing.assert_array_equal(to_array(image), before)


def test_a_field_that_folds_all_over_stays_as_it_is():
    before = np.float32(np.random.default_rng(2).normal(size=(*SIZE, 3)))
    assert 100 * folded(before).mean() > unfolding.MOST_PERCENT
    image = to_image(before, GRID)
    assert unfold(image) is None
    np.testing.assert_array_equal(to_array(image), before)


def test_a_fold_that_does_not_give_way_is_left_for_the_count(monkeypatch):
    monkeypatch.setattr(unfolding, "_ROUNDS", 1)
    image = to_image(folding_field(), GRID)
    before = np.count_nonzero(folded(to_array(image)))
    assert unfold(image).folds_any_percent == pytest.approx(100 * before / np.prod(SIZE))
    assert 0 < np.count_nonzero(folded(to_array(image))) < before
