"""Overlap: cubes counted by hand, and SimpleITK's LabelOverlapMeasures."""

import numpy as np
import pytest
import SimpleITK as sitk

from ldr_tf.metrics.overlap import label_overlap, mask_overlap, original_overlap


def cube(start, value=1, size=16, side=4):
    labels = np.zeros((size,) * 3, np.uint8)
    labels[start : start + side, 4:8, 4:8] = value
    return labels


def shift(x, size=16):
    flow = np.zeros((size,) * 3 + (3,), np.float32)
    flow[..., 0] = x
    return flow


def test_shifted_cubes():
    # 64 voxels each, 48 in common: Dice 96/128, Jaccard 48/80.
    overlap = label_overlap(cube(4), cube(5), [1])
    np.testing.assert_allclose(overlap.dice, [0.75])
    np.testing.assert_allclose(overlap.jaccard, [0.6])


def test_equal_and_apart():
    fixed, warped = cube(0) + cube(8, 2), cube(0) + cube(12, 2)
    overlap = label_overlap(fixed, warped, [1, 2])
    np.testing.assert_array_equal(overlap.dice, [1, 0])
    np.testing.assert_array_equal(overlap.jaccard, [1, 0])


def test_absent_labels():
    # On one side only: no overlap. On neither: no number.
    overlap = label_overlap(cube(4, 1), cube(4, 2), [1, 2, 3])
    np.testing.assert_array_equal(overlap.dice, [0, 0, np.nan])
    np.testing.assert_array_equal(overlap.jaccard, [0, 0, np.nan])


def test_no_labels():
    overlap = label_overlap(cube(4), cube(4), [])
    assert overlap.dice.shape == overlap.jaccard.shape == (0,)


def test_shapes_must_agree():
    with pytest.raises(ValueError, match="one shape"):
        label_overlap(cube(4), cube(4, size=12), [1])
    with pytest.raises(ValueError, match="one shape"):
        mask_overlap(cube(4), cube(4)[:1])


def test_equals_simpleitk():
    rng = np.random.default_rng(3)
    fixed, warped = rng.integers(0, 5, (2, 12, 11, 10)).astype(np.uint8)
    warped = np.where(rng.random(fixed.shape) < 0.6, fixed, warped)
    measures = sitk.LabelOverlapMeasuresImageFilter()
    measures.Execute(sitk.GetImageFromArray(fixed), sitk.GetImageFromArray(warped))
    overlap = label_overlap(fixed, warped, [1, 2, 3, 4])
    for index, label in enumerate([1, 2, 3, 4]):
        assert overlap.dice[index] == pytest.approx(measures.GetDiceCoefficient(label))
        assert overlap.jaccard[index] == pytest.approx(measures.GetJaccardCoefficient(label))


def test_masks_are_cut_above_128():
    fixed = cube(4, 255)
    assert mask_overlap(fixed, np.where(fixed > 0, 128.5, 128.0)).dice == 1
    assert mask_overlap(fixed, np.full(fixed.shape, 128.0)).dice == 0
    assert mask_overlap(np.full(fixed.shape, 128.0), fixed).dice == 0
    assert mask_overlap(fixed, fixed).jaccard == 1


@pytest.mark.parametrize("value", [255, 7])
def test_original_warps_masks_linearly(value):
    # A shift by 0.6 voxel makes the cube's faces 0.4 * 255 = 102 (outside) and 0.6 * 255 = 153
    # (inside): the mask moves by one voxel, 48 of 64 voxels stay in common.
    overlap = original_overlap(cube(4, value), cube(4, value), shift(0.6), [value])
    np.testing.assert_allclose(overlap.dice, [0.75])
    np.testing.assert_allclose(overlap.jaccard, [0.6])
    # By 0.4 the faces are 153 and 102: nothing changes.
    overlap = original_overlap(cube(4, value), cube(4, value), shift(0.4), [value])
    np.testing.assert_allclose(overlap.dice, [1.0])


def test_original_keeps_labels_apart():
    # Linear warping of the label map itself would make a ring of label 1 around label 2.
    labels = cube(4, 2)
    overlap = original_overlap(labels, labels, shift(0.5), [1, 2])
    assert np.isnan(overlap.dice[0])
    assert overlap.dice[1] > 0


@pytest.mark.parametrize("high", [70000, 600])
@pytest.mark.parametrize("low", [-3, 3])
def test_labels_in_any_order_and_of_any_size(high, low):
    fixed, warped = cube(4).astype(np.int32) * high, cube(5).astype(np.int32) * high
    overlap = label_overlap(fixed + cube(0, 1) * np.int32(low), warped, [high, 5, low, 90000])
    np.testing.assert_array_equal(overlap.dice, [0.75, np.nan, 0, np.nan])


def test_booleans_are_labels_too():
    np.testing.assert_array_equal(label_overlap(cube(4) > 0, cube(5) > 0, [1]).dice, [0.75])
