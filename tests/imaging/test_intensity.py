import numpy as np
import pytest

from ldr_tf.imaging import foreground_threshold, intensity_range, is_ct, scale_intensity


def head(seed=0):
    """Background 0, a ball of values around 500 and darker matter around 200 inside it."""
    rng = np.random.default_rng(seed)
    x = np.stack(np.meshgrid(*[np.arange(32)] * 3, indexing="ij"), -1) - 15.5
    radius = np.linalg.norm(x, axis=-1)
    array = np.where(radius < 12, rng.normal(500, 30, radius.shape), 0.0)
    return np.where(radius < 5, rng.normal(250, 20, radius.shape), array)


def test_threshold_lies_between_background_and_dark_tissue():
    assert 10 < foreground_threshold(head()) < 180
    assert -990 < foreground_threshold(head() - 1000) < -820


def test_threshold_of_two_values_lies_a_quarter_between_or_below():
    # Otsu's lies anywhere between two values, here at the end of the lower one's histogram bin, or
    # beyond; ours is half as far from the lower one.
    array = np.repeat([100.0, 356.0], 4000).reshape(20, 20, 20)
    assert 100 < foreground_threshold(array) <= 228
    np.testing.assert_array_equal(array > foreground_threshold(array), array == 356)
    assert foreground_threshold(array.astype(np.int16)) == foreground_threshold(array)
    assert foreground_threshold(np.full((3, 3, 3), 7)) == 7


def test_large_volumes_are_looked_at_in_part():
    small = head()
    large = small.repeat(8, 0).repeat(8, 1).repeat(8, 2)
    assert foreground_threshold(large) == pytest.approx(foreground_threshold(small), abs=5)


def test_percentile_keeps_zero_and_brings_the_foregrounds_995th_to_255():
    array = head()
    scaled = scale_intensity(array, "percentile")
    top = np.percentile(array[array > 0], 99.5)
    assert scaled.dtype == np.float32
    assert (scaled[array == 0] == 0).all()
    assert (scaled[array >= top] == 255).all()
    middle = (array > 400) & (array < 450)
    np.testing.assert_allclose(scaled[middle], array[middle] * 255 / top, atol=0.51)


def test_percentile_shifts_a_ct_and_clips_ringing():
    ct = scale_intensity(head() - 1000, "percentile")
    assert ct.min() == 0 and ct.max() == 255
    np.testing.assert_allclose(ct, scale_intensity(head(), "percentile"), atol=1)
    ringing = head()
    ringing[0, 0, :20] = -3.0
    np.testing.assert_array_equal(
        scale_intensity(ringing, "percentile"),
        scale_intensity(np.maximum(ringing, 0), "percentile"),
    )


def test_minmax_and_none_by_hand():
    array = np.array([-10.0, 0.0, 10.0, 30.0]).reshape(1, 1, 4)
    np.testing.assert_array_equal(scale_intensity(array, "minmax").ravel(), [0, 64, 128, 255])
    array = np.array([-10.0, 3.4, 254.6, 300.0]).reshape(1, 1, 4)
    np.testing.assert_array_equal(scale_intensity(array, "none").ravel(), [0, 3, 255, 255])


@pytest.mark.parametrize("method", ["percentile", "minmax", "none"])
def test_values_are_whole_so_that_bytes_hold_them(method):
    scaled = scale_intensity(head() / 3, method)
    np.testing.assert_array_equal(scaled, scaled.astype(np.uint8))
    np.testing.assert_array_equal(scale_intensity(scaled, "none"), scaled)


def test_a_constant_volume_becomes_zero():
    for method in ("percentile", "minmax"):
        assert not scale_intensity(np.full((4, 4, 4), 9.0), method).any()


def test_an_unknown_method_is_refused():
    with pytest.raises(ValueError, match="zscore"):
        scale_intensity(head(), "zscore")


def test_a_ct_window():
    array = np.array([-1000.0, -160.0, 40.0, 240.0, 3000.0])
    np.testing.assert_array_equal(scale_intensity(array, "ct_abdomen"), [0, 0, 128, 255, 255])
    assert intensity_range(array, "ct_abdomen") == (-160.0, 240.0)


def test_ct_is_known_by_its_air():
    assert is_ct(np.array([-1000.0, 40.0, 300.0]))
    assert not is_ct(np.array([-0.65, 0.0, 3.9]))  # a normalised MR scan
    assert not is_ct(np.array([0.0, 4000.0]))
