"""Sums and means over windows, against scipy and by counting."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import ndimage

from ldr_tf.ops.windows import window_mean, window_sum

RNG = np.random.default_rng(5)
VOLUME, OTHER = RNG.uniform(size=(2, 2, 9, 10, 11, 1)).astype("float32")


@pytest.mark.parametrize("window", [1, 3, 5, 9])
def test_sum_equals_scipy_and_is_its_own_gradient(window):
    kernel = np.ones((window,) * 3)
    wanted = ndimage.convolve(VOLUME[0, ..., 0].astype(float), kernel, mode="constant")
    with tf.GradientTape() as tape:
        volume = tf.constant(VOLUME)
        tape.watch(volume)
        total = window_sum(volume, window)
        loss = tf.reduce_sum(total * OTHER)
    np.testing.assert_allclose(total[0, ..., 0], wanted, rtol=1e-5)
    gradient = tape.gradient(loss, volume)
    np.testing.assert_allclose(gradient, window_sum(tf.constant(OTHER), window), rtol=1e-5)


@pytest.mark.parametrize("compiled", [True, False])
def test_mean_leaves_out_what_lies_outside(compiled):
    mean = window_mean(tf.constant(VOLUME), 5, compiled)
    for place in ((0, 0, 0), (8, 5, 1), (4, 9, 10)):
        part = tuple(slice(max(i - 2, 0), i + 3) for i in place)
        np.testing.assert_allclose(mean[1, ..., 0][place], VOLUME[1, ..., 0][part].mean(), 1e-5)
    np.testing.assert_allclose(window_mean(tf.ones([1, 4, 5, 6, 2]), 3, compiled), 1.0, rtol=1e-6)
