import dataclasses

import numpy as np
import pytest
import SimpleITK as sitk

from ldr_tf.imaging import to_array, to_image
from ldr_tf.viewing import collect, content
from tests.viewing.scenes import SHIFT, ball, field, grid_of_sides, parts, stretch
from tests.viewing.test_packing import unpacked


def numbers(text):
    """What a volume holds, before slope and intercept."""
    return np.asarray(unpacked(text).dataobj.get_unscaled())


def test_volumes_lie_on_one_grid_and_keep_their_values():
    found = collect(**parts())
    assert found.size == (24, 36, 30) and found.spacing == (2.0, 1.5, 1.0)
    fixed, warped, moving = (unpacked(getattr(found, n)) for n in ("fixed", "warped", "moving"))
    assert fixed.shape == moving.shape == found.size
    np.testing.assert_allclose(fixed.get_fdata(), warped.get_fdata(), atol=2)
    assert fixed.get_fdata().max() == pytest.approx(190, abs=8)
    # The ball lies 4 mm further left in the moving scan: 2 voxels of 2 mm, against R.
    places = [np.argwhere(image.get_fdata() > 150).mean(axis=0) for image in (fixed, moving)]
    np.testing.assert_allclose(places[1] - places[0], (-2, 0, 0), atol=0.1)
    assert not found.aligned


def test_the_moving_scan_lies_as_the_affine_step_laid_it():
    affine = sitk.AffineTransform(3)
    affine.SetTranslation(tuple(SHIFT))
    found = collect(**{**parts(), "affine": affine})
    moving, fixed = (unpacked(text).get_fdata() for text in (found.moving, found.fixed))
    assert found.aligned
    # But for what comes from outside the moving scan, 2 voxels, and is clipped by either scale.
    moving, fixed = (np.minimum(array[2:-2], 180) for array in (moving, fixed))
    np.testing.assert_allclose(moving, fixed, atol=2)


def test_the_jacobian_of_a_linear_field():
    found = collect(**{**parts(), "displacement": stretch(grid_of_sides())})
    # Half as large again: 0.585 doublings in steps of 2 / 127.
    assert (numbers(found.jacobian) == 128 + 37).all()
    assert not numbers(found.folds).any()
    assert (numbers(collect(**parts()).jacobian) == 128).all()


def test_a_fold_is_marked_where_it_is_even_on_a_coarser_grid(monkeypatch):
    given = parts()
    vectors = to_array(field((0, 0, 0), grid_of_sides())).copy()
    vectors[12, 15, 18] = (9.0, 0, 0)  # beyond its neighbours, 2 mm away
    given["displacement"] = to_image(vectors, grid_of_sides())
    marked = np.argwhere(numbers(collect(**given).folds))
    # The voxel (12, 15, 18) of L, I, A is (11, 18, 14) of R, A, S; it and its neighbours fold.
    assert 0 < len(marked) <= 27
    assert np.abs(marked - (11, 18, 14)).max() <= 1
    monkeypatch.setattr(content, "_SIDES", (12,))
    coarse = collect(**given)
    assert max(coarse.size) == 12 and numbers(coarse.folds).any()


def test_the_shift_is_in_mm_along_the_axes():
    found = collect(**parts())
    shift = unpacked(found.shift)
    assert shift.shape == (*found.shift_size, 3)
    # To the left is against R.
    np.testing.assert_allclose(shift.get_fdata()[..., 0], -4.0, atol=0.03)
    np.testing.assert_allclose(shift.get_fdata()[..., 1:], 0.0, atol=0.03)


def test_labels_are_numbered_together():
    given = parts()
    given["warped_labels"] = sitk.Cast(given["warped"] > 150, sitk.sitkInt32) * 7
    found = collect(**given)
    assert found.labels == (0, 7, 300)
    fixed, warped = numbers(found.fixed_labels), numbers(found.warped_labels)
    assert fixed.dtype == np.uint8 and set(np.unique(fixed)) == {0, 2}
    assert set(np.unique(warped)) == {0, 1} and (warped > 0).sum() < (fixed > 0).sum()
    bare = collect(**parts(labels=False))
    assert bare.labels == () and bare.fixed_labels is bare.warped_labels is None


def test_landmarks_lie_in_voxels_of_the_page():
    first, second = collect(**parts()).landmarks
    # The centre of 24, 36 and 30 voxels of 2, 1.5 and 1 mm.
    assert first["fixed"] == first["warped"] == [11.5, 17.5, 14.5]
    assert second["fixed"] == [9.0, 21.5, 21.5]
    assert second["warped"] == [9.0, 21.5, 23.5]  # 2 mm further up


def test_many_landmarks_are_counted(monkeypatch):
    monkeypatch.setattr(content, "_MOST_LANDMARKS", 1)
    found = collect(**parts())
    assert len(found.landmarks) == found.landmarks_left_out == 1


def test_volumes_are_reduced_until_they_fit(monkeypatch):
    given = parts()
    noise = np.random.default_rng(0).normal(100, 40, grid_of_sides().size).astype(np.float32)
    scan = to_image(np.maximum(noise, 0), grid_of_sides())
    given["pair"] = dataclasses.replace(given["pair"], fixed=scan)
    whole = collect(**given)
    monkeypatch.setattr(content, "_SIDES", (160, 24, 12))
    monkeypatch.setattr(content, "LARGEST", whole.characters - 1)
    found = collect(**given)
    assert found.characters < whole.characters and max(found.size) == 24


def test_a_ball_on_another_grid_is_the_same_ball():
    # Scans whose axes differ come out alike: the page has one space.
    given = parts(labels=False)
    turned = sitk.DICOMOrient(ball(SHIFT, grid_of_sides()), "PSR")
    given["pair"] = dataclasses.replace(given["pair"], moving=turned)
    assert numbers(collect(**given).moving).max() == pytest.approx(
        numbers(collect(**parts()).moving).max(), abs=2
    )
