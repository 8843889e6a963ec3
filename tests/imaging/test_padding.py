import numpy as np
import pytest
import SimpleITK as sitk
from scipy import ndimage

from ldr_tf import imaging
from ldr_tf.config import ImageConfig
from ldr_tf.imaging import Grid, to_array, to_image
from ldr_tf.notices import Notices

GRID = Grid((30, 32, 34), (2.0, 2.0, 2.0), (0.0, 0.0, 0.0), (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0))


def ct():
    """A soft-edged body of about 40 HU in air, with noise."""
    body = np.zeros(GRID.size)
    body[9:21, 6:26, 8:26] = 1
    array = 1040 * ndimage.gaussian_filter(body, 1.5) - 1000
    noise = np.random.default_rng(0).normal(0, 10, GRID.size)
    return np.rint((array + noise).clip(-1024)).astype(np.float32)


def padded(value):
    array = ct()
    array[:5] = array[-5:] = value
    return array


@pytest.mark.parametrize("value", [-32768, -2000, -3024, 32767])
def test_padding_is_found_and_leaves_foreground_and_intensities_alone(value):
    plain, array = ct(), padded(value)
    assert imaging.padding_value(plain) is None and imaging.is_padding(plain) is None
    assert imaging.padding_value(array) == value
    assert imaging.padding_value(to_image(array, GRID)) == value
    np.testing.assert_array_equal(imaging.is_padding(array), array == value)
    threshold = imaging.foreground_threshold(plain)
    assert imaging.foreground_threshold(array) == pytest.approx(threshold, abs=30)
    low, high = imaging.intensity_range(array, "percentile")
    assert low == pytest.approx(imaging.intensity_range(plain, "percentile")[0], abs=10)
    assert high == pytest.approx(imaging.intensity_range(plain, "percentile")[1], abs=10)
    assert imaging.intensity_range(array, "minmax") == (plain.min(), plain.max())
    boxes = [imaging.foreground_box(to_image(a, GRID)) for a in (plain, array)]
    np.testing.assert_array_equal(*boxes)
    assert imaging.background_value(array) == value


def test_what_is_no_padding():
    assert imaging.background_value(ct()) == ct().min()
    rng = np.random.default_rng(0)
    metal = ct()
    metal[10, 10, 10:13] = -3000  # an artefact
    phase = rng.integers(-4096, 4096, GRID.size).astype(np.float32)
    mr = np.zeros(GRID.size, np.float32)
    mr[6:24, 6:26, 4:30] = rng.uniform(100, 900, (18, 20, 26))
    inverted = 900 - mr
    for array in (metal, phase, mr, inverted):
        assert imaging.padding_value(array) is None
    assert imaging.background_value(mr) == 0


def test_padding_is_outside_the_scan():
    array = padded(-2000)
    image = to_image(array, GRID)
    np.testing.assert_array_equal(imaging.inside_scan(image, GRID), array != -2000)
    filled = to_array(imaging.without_padding(image))
    np.testing.assert_array_equal(filled[5:-5], array[5:-5])
    assert (filled[:5] == array[5:-5].min()).all()
    assert imaging.without_padding(mr := to_image(ct(), GRID)) is mr


def test_interpolated_padding_is_padding_too():
    image = to_image(padded(-32768), GRID)
    shift = sitk.TranslationTransform(3, (1.0, 0.0, 0.0))  # half a voxel
    moved = to_array(sitk.Resample(image, image, shift, sitk.sitkLinear, -32768.0))
    assert (moved < -10000).any() and imaging.padding_value(moved) == -32768
    np.testing.assert_array_equal(imaging.is_padding(moved), moved < -1500)


def test_a_network_sees_air_where_padding_was():
    config = ImageConfig(intensity="ct_abdomen")
    volume = imaging.prepare_image(to_image(padded(-32768), GRID), GRID, config)
    plain = imaging.prepare_image(to_image(ct(), GRID), GRID, config)
    np.testing.assert_array_equal(volume, plain)


def test_reading_says_it(tmp_path):
    notices = Notices()
    for name, array in (("plain", ct()), ("padded", padded(-32768))):
        image = to_image(array.astype(np.int16), GRID)
        sitk.WriteImage(image, str(tmp_path / f"{name}.nii.gz"))
        imaging.read_scan(tmp_path / f"{name}.nii.gz", notices=notices)
    assert [(n.level, n.code) for n in notices] == [("notice", "padding-found")]
    assert "padded.nii.gz: 33 percent of the voxels are padding (-32768)" in notices[0].text
