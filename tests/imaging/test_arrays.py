import numpy as np
import pytest
import SimpleITK as sitk

from ldr_tf.imaging import grid_of, to_array, to_image


def test_axes_are_itk_index_order():
    image = sitk.Image(4, 5, 6, sitk.sitkFloat32)
    image[1, 2, 3] = 7.0
    array = to_array(image)
    assert array.shape == (4, 5, 6)
    assert array[1, 2, 3] == 7.0


def test_there_and_back_keeps_values_and_grid():
    like = sitk.Image(3, 4, 5, sitk.sitkUInt8)
    like.SetSpacing((1.0, 2.0, 3.0))
    like.SetOrigin((-4.0, 5.0, 6.0))
    like.SetDirection((0, 1, 0, 0, 0, -1, -1, 0, 0))
    array = np.random.default_rng(0).normal(size=(3, 4, 5, 3))
    for target in (like, grid_of(like)):
        image = to_image(array, target)
        np.testing.assert_array_equal(to_array(image), array)
        assert grid_of(image) == grid_of(like)
        assert image[2, 1, 4] == pytest.approx(tuple(array[2, 1, 4]))


def test_booleans_become_bytes():
    image = to_image(np.ones((2, 3, 4), bool), sitk.Image(2, 3, 4, sitk.sitkUInt8))
    assert image.GetPixelID() == sitk.sitkUInt8


def test_an_array_of_another_size_is_refused():
    with pytest.raises(ValueError, match="does not fit"):
        to_image(np.zeros((2, 3, 4)), sitk.Image(4, 3, 2, sitk.sitkUInt8))
