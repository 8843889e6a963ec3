"""Surface distances: cubes by hand; SimpleITK's contours and distance maps."""

import numpy as np
import pytest
import SimpleITK as sitk
from scipy import ndimage

from ldr_tf.metrics.surface import label_surface_distances

SPACINGS = [(1.0, 1.0, 1.0), (0.5, 1.2, 3.0)]


def cube(start, value=1, side=4):
    labels = np.zeros((16, 16, 16), np.uint8)
    labels[start : start + side, 4:8, 4:8] = value
    return labels


def blobs(seed, shift):
    """A label map of two smooth random shapes."""
    rng = np.random.default_rng(seed)
    field = ndimage.gaussian_filter(rng.normal(size=(26, 24, 22)), 3)
    field = ndimage.shift(field, shift, order=1)
    return np.where(field > 0.02, 1, np.where(field < -0.02, 2, 0)).astype(np.uint8)


def image(array, spacing):
    found = sitk.GetImageFromArray(array.transpose(2, 1, 0))
    found.SetSpacing(spacing)
    return found


def by_simpleitk(fixed, warped, label, spacing):
    """Directed distances of the surfaces, by SimpleITK alone."""
    contours = []
    for labels in (fixed, warped):
        # A rim of background: the outermost voxels of the volume count as surface.
        padded = sitk.ConstantPad(
            image((labels == label).astype(np.uint8), spacing), [1] * 3, [1] * 3
        )
        contours.append(sitk.BinaryContour(padded, fullyConnected=False))
    found = []
    for here, there in (contours, contours[::-1]):
        distance = sitk.Abs(
            sitk.SignedMaurerDistanceMap(there, squaredDistance=False, useImageSpacing=True)
        )
        inside = sitk.GetArrayFromImage(here) > 0
        found.append(sitk.GetArrayFromImage(distance)[inside])
    return found


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("label", [1, 2])
def test_equals_simpleitk(spacing, label):
    fixed, warped = blobs(1, (0, 0, 0)), blobs(1, (2, -1, 1.5))
    there, back = by_simpleitk(fixed, warped, label, spacing)
    result = label_surface_distances(fixed, warped, [label], spacing)
    expected = max(np.percentile(there, 95), np.percentile(back, 95))
    assert expected > 1
    assert result.hd95[0] == pytest.approx(expected, rel=1e-5)
    assert result.average[0] == pytest.approx(np.concatenate([there, back]).mean(), rel=1e-5)


@pytest.mark.parametrize("spacing, step", [(SPACINGS[0], 3.0), (SPACINGS[1], 1.5)])
def test_shifted_cubes(spacing, step):
    # A cube of 4 voxels moved by 3 along x: its end faces lie 3 voxels (of 0.5 mm) apart.
    result = label_surface_distances(cube(4), cube(7), [1], spacing)
    assert result.hd95[0] == pytest.approx(step)
    # Of a side's 56 surface voxels the 12 or 16 of each layer along x are 0, 1, 2 and 3 voxels off,
    # but in the middle of the far face too: the one layer in common is a face of both cubes.
    expected = (0 * 16 + 1 * 12 + 2 * 12 + 3 * 16) / 56 * spacing[0]
    assert result.average[0] == pytest.approx(expected)


def test_planes_apart_by_a_known_distance():
    # Two plates of one voxel, 5 layers of 3 mm apart: every distance is 15 mm.
    first, second = np.zeros((8, 8, 12), np.uint8), np.zeros((8, 8, 12), np.uint8)
    first[..., 2], second[..., 7] = 1, 1
    result = label_surface_distances(first, second, [1], (1.0, 1.0, 3.0))
    np.testing.assert_allclose([result.hd95[0], result.average[0]], 15)


def test_the_percentile_leaves_a_few_outliers_out():
    first = np.zeros((20, 20, 20), np.uint8)
    first[5:15, 5:15, 5:15] = 1
    second = first.copy()
    second[0, 0, 0] = 1  # one voxel of 489, far away
    result = label_surface_distances(first, second, [1])
    assert result.hd95[0] == 0
    # The outlier lies sqrt(75) from the nearest of the 488 surface voxels of the cube.
    assert result.average[0] == pytest.approx(np.sqrt(75) / (488 + 489))


def test_equal_labels_touch_everywhere():
    labels = blobs(3, (0, 0, 0))
    result = label_surface_distances(labels, labels, [1, 2], SPACINGS[1])
    np.testing.assert_array_equal(result.hd95, [0, 0])
    np.testing.assert_array_equal(result.average, [0, 0])


def test_labels_on_one_side_or_none_have_no_distance():
    fixed, warped = cube(4, 1) + cube(9, 2), cube(4, 1) + cube(9, 3)
    result = label_surface_distances(fixed, warped, [1, 2, 3, 9])
    np.testing.assert_array_equal(result.hd95, [0, np.nan, np.nan, np.nan])
    np.testing.assert_array_equal(result.average, [0, np.nan, np.nan, np.nan])
    assert label_surface_distances(fixed, warped, []).hd95.shape == (0,)


def test_shapes_must_agree():
    with pytest.raises(ValueError, match="one shape"):
        label_surface_distances(cube(4), cube(4)[:8], [1])
