"""Images painted from label maps, so that labels alone train a network for real scans.

After SynthMorph (Hoffmann et al., IEEE TMI 2022) and SynthSeg (Billot et al., Medical Image
Analysis 2023): an intensity for each label, texture, partial volume, a bias field, contrast, noise.
Both images of a pair share their labels' intensities, so that intensity similarities can teach.

Everything is drawn from the run's seed and a pair's number alone: a training that resumes, or is
spread over several workers, paints the same images.
"""

import numpy as np
import tensorflow as tf

from ldr_tf.conventions import INTENSITY_MAX

STYLES = ("synthetic", "synthetic_t1")

LARGEST_LABEL = 2**16 - 1
"""Labels lie in 0..LARGEST_LABEL."""

_TABLE = 2**12
"""Number of intensities drawn, the background's among them; labels equal modulo it share one."""

# Tissue -> its typical intensity in a T1 scan, and FreeSurfer's numbers of the labels made of it.
_T1 = {
    "white matter": (0.88, (2, 41, 77, 85, 251, 252, 253, 254, 255, 16, 28, 60, 13, 52)),
    "cerebellar white matter": (0.80, (7, 46)),
    "cortex": (0.57, (3, 42, 8, 47, 17, 18, 53, 54, 26, 58, 19, 20, 55, 56)),
    "deep gray matter": (0.69, (10, 49, 9, 48, 11, 50, 12, 51)),
    "fluid": (0.11, (4, 5, 14, 15, 43, 44, 72, 24, 30, 62)),
    "choroid plexus": (0.33, (31, 63, 25, 57)),
}
_T1_JITTER = 0.05

_SALT = 0x53594E54
_DRAWS = 11
_BLACK_BACKGROUND = 0.8
_DIFFERENCE = 0.02
_TEXTURE = (0.01, 0.08)
_BLUR = (0.3, 0.75)
_BIAS_KNOTS, _BIAS = 4, 0.12
_GAMMA = 0.15
_NOISE = (0.005, 0.03)


def paint_pair(fixed_labels, moving_labels, style, seed, number):
    """Paints the two images of a pair.

    Args:
      fixed_labels, moving_labels: integers [x, y, z], 0..LARGEST_LABEL, of known size.
      style: "synthetic": a random intensity for each label; "synthetic_t1": that of a T1 scan for
        FreeSurfer's labels, random for others.
      seed: the run's, 0 or more.
      number: the pair's in the run, a scalar integer tensor; with the seed it decides everything.

    Returns:
      Two tensors uint8 [x, y, z], 0..255.
    """
    number = tf.cast(number, tf.int32)
    seeds = tf.random.experimental.stateless_split(
        tf.stack([tf.constant(seed ^ _SALT, tf.int32), number]), _DRAWS, alg="philox"
    )
    means = _means(style, seeds[0], seeds[1])
    spread = _uniform([_TABLE], seeds[2], *_TEXTURE)
    spread *= tf.cast(means > 0, tf.float32)  # air has no texture
    images = []
    for side, labels in enumerate((fixed_labels, moving_labels)):
        own = means + _DIFFERENCE * _normal([_TABLE], seeds[3 + side]) * tf.sign(means)
        images.append(_paint(labels, own, spread, seeds[5 + 3 * side : 8 + 3 * side]))
    return tuple(images)


def t1_means():
    """Returns each label's intensity in a T1 scan, [_TABLE], 0..1; -1 where unknown."""
    table = np.full(_TABLE, -1.0, np.float32)
    for mean, labels in _T1.values():
        table[list(labels)] = mean
    return table


def _means(style, first, second):
    """Returns the intensities of the labels, 0..1; that of the background is mostly 0."""
    count = _TABLE
    means = _uniform([count], first, 0.05, 1.0)
    if style == "synthetic_t1":
        table = tf.constant(t1_means())
        means = tf.where(table < 0, means, table + _T1_JITTER * _normal([count], second))
    background, coin = tf.unstack(_uniform([2], second, 0.0, 1.0))
    if style == "synthetic_t1":
        coin = tf.zeros([])
    background = tf.where(coin < _BLACK_BACKGROUND, 0.0, 0.3 * background)
    return tf.concat([background[None], tf.clip_by_value(means[1:], 0.02, 1.0)], 0)


def _paint(labels, means, spread, seeds):
    size, (voxel_seed, field_seed, image_seed) = labels.shape, tf.unstack(seeds)
    labels = tf.cast(labels, tf.int32) & (_TABLE - 1)
    noise = _noise(size, voxel_seed)
    blur, gamma, level = tf.unstack(_uniform([3], image_seed, 0.0, 1.0))
    means **= tf.exp(_GAMMA * (2.0 * gamma - 1.0))
    image = tf.gather(means, labels) + tf.gather(spread, labels) * noise
    image = _blurred(image, _BLUR[0] + blur * (_BLUR[1] - _BLUR[0]))
    image *= 1.0 + _BIAS * _smooth_field(size, field_seed)
    # The same numbers, shifted by a few voxels, serve as scanner noise: neighbours are independent.
    level = _NOISE[0] + level * (_NOISE[1] - _NOISE[0])
    image += tf.minimum(level, image) * tf.roll(noise, [3, 5, 7], [0, 1, 2])
    return tf.cast(tf.clip_by_value(image * INTENSITY_MAX + 0.5, 0.0, INTENSITY_MAX), tf.uint8)


def _noise(size, seed):
    """Returns noise [x, y, z] of unit deviation: sums of two random bytes."""
    count = int(np.prod(size))
    words = tf.random.stateless_uniform([-(-count // 4)], seed, None, None, tf.int32, alg="philox")
    numbers = tf.cast(tf.reshape(tf.bitcast(words, tf.uint8), [-1])[:count], tf.float32)
    numbers += tf.roll(numbers, 1009, 0)
    return tf.reshape((numbers - 255.0) / 104.5, size)


def _blurred(image, sigma):
    """Blurs along each axis by a Gaussian of `sigma` voxels, cut to three weights."""
    side = tf.exp(-0.5 / sigma**2)
    middle = 1.0 / (1.0 + 2.0 * side)
    side *= middle
    for axis in range(3):
        # The volume wraps around at its border: there is air at the other end as well.
        image = middle * image + side * (tf.roll(image, 1, axis) + tf.roll(image, -1, axis))
    return image


def _smooth_field(size, seed):
    """Returns a smooth random field [x, y, z] of about unit deviation, linear between knots."""
    field = _normal([_BIAS_KNOTS] * 3, seed)
    for count in size:
        weights = tf.constant(_linear_weights(count, _BIAS_KNOTS))
        field = tf.tensordot(field, weights, [[0], [1]])  # the new axis comes last: axes rotate
    return field


def _linear_weights(count, knots):
    place = np.linspace(0, knots - 1, count)[:, None]
    return np.maximum(0, 1 - np.abs(place - np.arange(knots))).astype(np.float32)


def _uniform(shape, seed, low, high):
    return tf.random.stateless_uniform(shape, seed, low, high, alg="philox")


def _normal(shape, seed):
    return tf.random.stateless_normal(shape, seed, alg="philox")
