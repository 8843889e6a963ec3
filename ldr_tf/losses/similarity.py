"""Dissimilarity of two images; every loss returns [batch]."""

import functools

import numpy as np
import tensorflow as tf

from ldr_tf.conventions import AXES, check_same_grid, check_volume
from ldr_tf.ops.compiling import compiled_by_shape
from ldr_tf.ops.gradients import neighbours, spatial_gradient
from ldr_tf.ops.windows import window_mean, window_moments, window_sum

_EPSILON = 1e-6
_SLABS = 8


def correlation_loss(fixed, warped):
    """One minus the correlation coefficient over the whole volume.

    `1 - cov / sqrt((var_fixed + 1e-6) (var_warped + 1e-6))`, as in the VTN and RCN code.

    Args:
      fixed, warped: [batch, x, y, z, 1].

    Returns:
      [batch], in 0..2.
    """
    _check(fixed, warped)
    axes = (*AXES, 4)
    a = fixed - tf.reduce_mean(fixed, axes, keepdims=True)
    b = warped - tf.reduce_mean(warped, axes, keepdims=True)
    covariance = tf.reduce_mean(a * b, axes)
    variances = (tf.reduce_mean(a * a, axes) + _EPSILON) * (tf.reduce_mean(b * b, axes) + _EPSILON)
    return 1.0 - covariance * tf.math.rsqrt(variances)


def local_correlation_loss(fixed, warped, window=9, epsilon=1e-5, known=None):
    """One minus the mean squared correlation coefficient of local windows.

    `1 - mean(cov^2 / (var_fixed var_warped))` over cubes of `window` voxels a side, fewer at the
    border. Source: Avants et al., "Symmetric diffeomorphic image registration with
    cross-correlation", 2008, as VoxelMorph uses it.

    Args:
      fixed, warped: [batch, x, y, z, 1], intensities 0..1.
      window: odd number of voxels a side.
      epsilon: added to the product of the variances; windows whose product is far below it hardly
        count.
      known: [1 or batch, x, y, z, 1], 1 where both images are known, else 0. Windows leave out
        unknown voxels, like those beyond the border; windows centred on one count as uncorrelated.
        None if all are known.

    Returns:
      [batch], in 0..1.
    """
    _check(fixed, warped)
    if known is None:
        mean = functools.partial(window_mean, window=window)
    else:

        def mean(moments):
            weights = known if known.shape[0] == 1 else tf.concat([known] * 5, axis=0)
            counted = tf.maximum(window_sum(weights, window), 1.0)
            return window_sum(moments * weights, window) / counted

    _, _, covariance, variance_f, variance_w = window_moments(fixed, warped, mean)
    squared = covariance * covariance / (tf.maximum(variance_f * variance_w, 0.0) + epsilon)
    if known is not None:
        squared *= known
    return 1.0 - tf.reduce_mean(squared, (*AXES, 4))


def gradient_fields_loss(fixed, warped, edge=0.02, known=None):
    """One minus how parallel the edges of two images are, whichever side of them is brighter.

    `1 - mean((f . w)^2 / ((|f|^2 + edge^2) (|w|^2 + edge^2)))`, f and w the gradients by central
    differences, the outermost voxels repeated beyond the border. Source: Haber and Modersitzki,
    "Intensity gradient based registration and fusion of multi-modal images", MICCAI 2006
    (normalised gradient fields).

    Args:
      fixed, warped: [batch, x, y, z, 1], intensities 0..1.
      edge: the gradient from which on a place counts as an edge, per voxel.
      known: [1 or batch, x, y, z, 1], 1 where both images are known, else 0; a voxel counts if it
        and its six neighbours are known, others as without common edges. None if all are known.

    Returns:
      [batch], in 0..1.
    """
    _check(fixed, warped)
    f, w = spatial_gradient(fixed), spatial_gradient(warped)
    product, of_fixed, of_warped = (
        tf.reduce_sum(a * b, -1, keepdims=True) for a, b in ((f, w), (f, f), (w, w))
    )
    parallel = tf.square(product) / ((of_fixed + edge**2) * (of_warped + edge**2))
    if known is not None:
        about = [neighbour for axis in AXES for neighbour in neighbours(known, axis)]
        parallel *= functools.reduce(tf.minimum, about, known)
    return 1.0 - tf.reduce_mean(parallel, (*AXES, 4))


def mse_loss(fixed, warped):
    """Mean squared difference over the volume, [batch]."""
    _check(fixed, warped)
    return tf.reduce_mean(tf.math.squared_difference(fixed, warped), (*AXES, 4))


def mutual_information_loss(fixed, warped, bins=32):
    """The share of the fixed image's entropy that is left when the warped image is known.

    `1 - I(fixed; warped) / H(fixed)`, with the joint histogram of both intensities smoothed by
    linear Parzen windows two bins wide, so that it has a gradient. Source of the measure: Mattes et
    al., "PET-CT image registration in the chest using free-form deformations", 2003; dividing by
    H(fixed) makes it comparable to the other losses.

    Args:
      fixed, warped: [batch, x, y, z, 1], intensities 0..1.
      bins: bins of the histogram for each image.

    Returns:
      [batch], in 0..1; 1 if the fixed image is constant.
    """
    _check(fixed, warped)
    joint = _joint_histogram(bins)(fixed, warped)
    of_fixed, of_warped = tf.reduce_sum(joint, 2), tf.reduce_sum(joint, 1)
    entropy, other, both = (
        -tf.reduce_sum(tf.math.xlogy(p, tf.maximum(p, 1e-12)), axes)
        for p, axes in ((of_fixed, 1), (of_warped, 1), (joint, (1, 2)))
    )
    return 1.0 - tf.math.divide_no_nan(entropy + other - both, entropy)


@functools.cache
def _joint_histogram(bins):
    """Returns the compiled function from two volumes to their joint histogram [batch, bins, bins].

    Computed slab by slab: the windows of all voxels together would fill the memory.
    """

    def weights(intensities):
        place = tf.clip_by_value(intensities, 0.0, 1.0) * (bins - 1)
        return tf.nn.relu(1.0 - tf.abs(place[..., None] - tf.range(bins, dtype=tf.float32)))

    def histogram(fixed, warped):
        voxels = int(np.prod(fixed.shape[1:]))
        fixed, warped = (tf.reshape(volume, [-1, voxels]) for volume in (fixed, warped))
        total = 0.0
        for slab in np.array_split(np.arange(voxels), _SLABS):
            part = slice(slab[0], slab[-1] + 1)
            total += tf.matmul(weights(fixed[:, part]), weights(warped[:, part]), transpose_a=True)
        return total / float(voxels)

    return compiled_by_shape(histogram)


def no_similarity(fixed, warped):
    """Returns 0 for each pair, [batch], where images are not to be compared."""
    _check(fixed, warped)
    return tf.zeros(tf.shape(fixed)[:1])


SIMILARITY_LOSSES = {
    "correlation": correlation_loss,
    "gradient_fields": gradient_fields_loss,
    "local_correlation": local_correlation_loss,
    "mse": mse_loss,
    "mutual_information": mutual_information_loss,
    "none": no_similarity,
}


def _check(fixed, warped):
    check_volume(fixed, "fixed")
    check_volume(warped, "warped")
    check_same_grid(fixed, warped, "fixed", "warped")
