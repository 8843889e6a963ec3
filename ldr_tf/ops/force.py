"""The force of local correlation: where each voxel of a warped image would rather be taken from."""

import functools

import tensorflow as tf

from ldr_tf.conventions import check_same_grid, check_volume
from ldr_tf.ops.compiling import compiled_by_shape, traced_by_shape
from ldr_tf.ops.gradients import spatial_gradient
from ldr_tf.ops.windows import window_mean, window_moments

WINDOW = 7
_EPSILON = 1e-7
_LEAST_VARIANCE = 1e-4


def correlation_force(fixed, warped, compiled=True):
    """Returns the direction in which each voxel's local correlation grows.

    With means m, variances v and covariance c in the window of 7 voxels a side around a voxel,

      force = 2 c / (v_fixed v_warped) * ((fixed - m_fixed) - c / v_warped (warped - m_warped))
              * gradient of warped,

    the derivative of c^2 / (v_fixed v_warped), times the window's voxels, by where the voxel in the
    middle is taken from; that it lies in its neighbours' windows too is left out. Source: Avants et
    al., "Symmetric diffeomorphic image registration with cross-correlation", 2008, equation 6.

    Args:
      fixed, warped: [batch, x, y, z, 1], intensities 0..1, sides known.
      compiled: whether to run as one XLA function; results agree to rounding.

    Returns:
      [batch, x, y, z, 3]; on T1 brains of 2 mm its root mean square is about 0.2.

    Raises:
      ValueError: shapes do not fit.
    """
    for volume, name in ((fixed, "fixed"), (warped, "warped")):
        if check_volume(volume, name).shape[-1] != 1:
            raise ValueError(f"{name} must have one channel, not {volume.shape[-1]}.")
    check_same_grid(fixed, warped, "fixed", "warped")
    return (_force_compiled if compiled else _force_plain)(fixed, warped)


def _force(fixed, warped, compiled):
    mean = functools.partial(window_mean, window=WINDOW, compiled=compiled)
    mean_f, mean_w, covariance, *variances = window_moments(fixed, warped, mean)
    variance_f, variance_w = map(tf.nn.relu, variances)
    slope = covariance / (variance_w + _LEAST_VARIANCE)
    misfit = (fixed - mean_f) - slope * (warped - mean_w)
    share = 2.0 * covariance / (variance_f * variance_w + _EPSILON)
    return share * misfit * spatial_gradient(warped)


_force_compiled = compiled_by_shape(functools.partial(_force, compiled=True))
_force_plain = traced_by_shape(functools.partial(_force, compiled=False))
