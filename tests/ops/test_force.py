"""The force of local correlation, against its formula in numpy and the correlation itself."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import ndimage

from ldr_tf.ops.force import correlation_force

RNG = np.random.default_rng(3)
FIXED, OTHER = ndimage.gaussian_filter(RNG.uniform(size=(2, 12, 13, 14)), (0, 1, 1, 1)) * 3
WARPED = 0.3 * FIXED + 0.7 * OTHER


def batch(volume):
    return tf.constant(volume[None, ..., None], tf.float32)


def squared_correlation(fixed, warped):
    """Of a window, in which the voxel in the middle may move along each axis."""
    covariance = np.cov(fixed.ravel(), warped.ravel(), bias=True)
    return covariance[0, 1] ** 2 / (covariance[0, 0] * covariance[1, 1])


@pytest.mark.parametrize("compiled", [True, False])
def test_is_the_derivative_of_the_voxels_own_window(compiled):
    force = correlation_force(batch(FIXED), batch(WARPED), compiled).numpy()[0]
    for place in ((5, 6, 7), (0, 4, 11), (3, 12, 2)):
        part = tuple(slice(max(i - 3, 0), i + 4) for i in place)
        middle = tuple(i - p.start for i, p in zip(place, part))
        fixed, warped = FIXED[part], WARPED[part]
        step = np.zeros(fixed.shape)
        step[middle] = 1e-5
        ahead, behind = (squared_correlation(fixed, warped + sign * step) for sign in (1, -1))
        by_intensity = (ahead - behind) / 2e-5 * fixed.size
        slope = []
        for axis in range(3):
            edges = np.pad(WARPED, 1, mode="edge")
            at = [i + 1 for i in place]
            at[axis] += 1
            further = edges[tuple(at)]
            at[axis] -= 2
            slope.append((further - edges[tuple(at)]) / 2)
        # What keeps the denominators from zero takes some percent.
        np.testing.assert_allclose(force[place], by_intensity * np.array(slope), rtol=0.06)


def test_vanishes_where_images_are_alike_but_for_contrast():
    force = correlation_force(batch(FIXED), batch(0.5 * FIXED + 0.2)).numpy()
    other = correlation_force(batch(FIXED), batch(WARPED)).numpy()
    assert np.abs(force).max() < 0.1 * np.abs(other).max()
    flat = tf.zeros([1, 8, 8, 8, 1])
    np.testing.assert_array_equal(correlation_force(flat, flat), tf.zeros([1, 8, 8, 8, 3]))


def test_points_the_way_to_go():
    """The warped image lies one voxel too far along x: it must be taken from further along x."""
    fixed, warped = batch(FIXED[:-1]), batch(np.roll(FIXED, 1, axis=0)[:-1])
    force = correlation_force(fixed, warped).numpy()[0, 3:-3, 3:-3, 3:-3].mean((0, 1, 2))
    assert force[0] > 4 * np.abs(force[1:]).max()


def test_refuses_more_than_one_channel():
    with pytest.raises(ValueError, match="fixed must have one channel, not 2"):
        correlation_force(tf.zeros([1, 8, 8, 8, 2]), tf.zeros([1, 8, 8, 8, 1]))
    with pytest.raises(ValueError, match="one grid"):
        correlation_force(tf.zeros([1, 8, 8, 8, 1]), tf.zeros([1, 8, 8, 9, 1]))
