"""Sums, means and moments over the cubic window around each voxel."""

import functools

import numpy as np
import tensorflow as tf

from ldr_tf.conventions import AXES, check_volume
from ldr_tf.ops.compiling import compiled_by_shape, traced_by_shape


def window_sum(volume, window):
    """Sums over the cube of `window` voxels a side around each voxel, zeros outside; compiled.

    The gradient is the same sum, since the window is symmetric.

    Args:
      volume: [batch, x, y, z, channels].
      window: odd number of voxels.

    Returns:
      The same shape.
    """

    @tf.custom_gradient
    def summed(tensor):
        return compiled(tensor), lambda upstream: compiled(upstream)

    compiled = _compiled_sum(window)
    return summed(check_volume(volume, "volume"))


def window_mean(volume, window, compiled=True):
    """As `window_sum`, but the mean of those of a window's voxels that lie within the volume.

    Args:
      volume, window: as of `window_sum`; sides known.
      compiled: whether to sum in one XLA function; results agree to rounding.
    """
    if not compiled:
        return _plain_mean(window)(check_volume(volume, "volume"))
    mean = window_sum(volume, window)
    for axis in AXES:
        mean /= tf.constant(_counts(mean.shape[axis], window, axis), mean.dtype)
    return mean


def window_moments(fixed, warped, mean):
    """Returns the moments of two images in the windows around each voxel.

    Args:
      fixed, warped: [batch, x, y, z, 1].
      mean: takes the mean over windows of [n * batch, x, y, z, 1]: `window_mean` of some size.

    Returns:
      The mean of fixed and of warped, their covariance, the variance of fixed and of warped, each
      [batch, x, y, z, 1]. Rounding can take a flat window's variance below zero.
    """
    # One after the other in the batch: as channels they would be read and written five apart.
    moments = tf.concat([fixed, warped, fixed * fixed, warped * warped, fixed * warped], axis=0)
    mean_f, mean_w, ff, ww, fw = tf.split(mean(moments), 5)
    return mean_f, mean_w, fw - mean_f * mean_w, ff - mean_f * mean_f, ww - mean_w * mean_w


def _counts(length, window, axis):
    """Returns how many of a window's voxels lie within the volume along one axis: [1, .. n .. 1].

    Computed in NumPy, since XLA would spend minutes of compiling on folding a sum of ones.
    """
    places = np.arange(length)
    first, last = places - window // 2, places + window // 2
    counts = np.minimum(last, length - 1) - np.maximum(first, 0) + 1
    shape = [1] * 5
    shape[axis] = length
    return counts.reshape(shape)


@functools.cache
def _compiled_sum(window):
    return compiled_by_shape(functools.partial(_sum_windows, window=window))


@functools.cache
def _plain_mean(window):
    return traced_by_shape(functools.partial(_pooled_mean, window=window))


def _sum_windows(volume, window):
    for axis in AXES:
        length = volume.shape[axis]
        padding = [[0, 0] for _ in range(5)]
        padding[axis] = [window // 2, window // 2]
        volume = _running_sum(tf.pad(volume, padding), window, length, axis)
    return volume


def _running_sum(volume, window, length, axis):
    """Sums the `window` voxels from each of the first `length` on, by doubling."""
    if window == 1:
        return _part(volume, 0, length, axis)
    half = window // 2
    partial = _running_sum(volume, half, length + half, axis)
    total = _part(partial, 0, length, axis) + _part(partial, half, length, axis)
    return total + _part(volume, window - 1, length, axis) if window % 2 else total


def _part(volume, start, length, axis):
    begin, size = [0] * 5, [-1] * 5
    begin[axis], size[axis] = start, length
    return tf.slice(volume, begin, size)


def _pooled_mean(volume, window):
    for axis in AXES:  # TensorFlow's mean leaves out what lies outside, too
        sides = [1] * 5
        sides[axis] = window
        volume = tf.nn.avg_pool3d(volume, sides, 1, "SAME")
    return volume
