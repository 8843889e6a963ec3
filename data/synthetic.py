"""Images painted from label maps, so that labels alone train a network for real scans.

After SynthMorph (Hoffmann et al., IEEE TMI 2022) and SynthSeg (Billot et al., Medical Image
Analysis 2023): an intensity for each label, texture, partial volume, a bias field, contrast, noise.
Both images of a pair share their labels' intensities, so that intensity similarities can teach;
or, where labels alone teach, each has its own, and looks like a scan of some other contrast.

Everything is drawn from the run's seed and a pair's number alone: a training that resumes, or is
spread over several workers, paints the same images.
"""

import numpy as np
import tensorflow as tf

from data.brain_labels import OUTSIDE_BRAIN
from ldr_tf.conventions import INTENSITY_MAX

STYLES = ("synthetic", "synthetic_t1", "synthetic_any")

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

# Of "synthetic_any", by chance for each image:
_BY_TISSUE = 0.6  # labels of one tissue look alike
_STRIPPED = 0.15  # nothing outside the brain
_THICK, _THICKEST = 0.3, 2.0  # blurred along one axis, by at most so many voxels
_CUT, _MOST_CUT = 0.3, 0.2  # not seen at one end of an axis, at most for this share
_UNCHANGED = 0.3  # a scan keeps its contrast
_RISING = 0.4  # a scan's grey values keep their order
_CURVE_KNOTS = 7


def paint_pair(fixed_labels, moving_labels, style, seed, number):
    """Paints the two images of a pair.

    Args:
      fixed_labels, moving_labels: integers [x, y, z], 0..LARGEST_LABEL, of known size.
      style: "synthetic": a random intensity for each label; "synthetic_t1": that of a T1 scan for
        FreeSurfer's labels, random for others; "synthetic_any": random ones, other for each image,
        of which some lack the skull, are thick slices, or end within the head.
      seed: the run's, 0 or more.
      number: the pair's in the run, a scalar integer tensor; with the seed it decides everything.

    Returns:
      Two tensors uint8 [x, y, z], 0..255.
    """
    seeds = _seeds(seed, number)
    images = []
    if style == "synthetic_any":
        for labels, own in zip((fixed_labels, moving_labels), tf.unstack(seeds[:2])):
            own = _split(own, 6)
            means = _any_means(own[0])
            spread = _textures(means, own[1])
            images.append(_degraded(_paint(labels, means, spread, own[2:5]), own[5]))
    else:
        means = _means(style, seeds[0], seeds[1])
        spread = _textures(means, seeds[2])
        for side, labels in enumerate((fixed_labels, moving_labels)):
            own = means + _DIFFERENCE * _normal([_TABLE], seeds[3 + side]) * tf.sign(means)
            images.append(_paint(labels, own, spread, seeds[5 + 3 * side : 8 + 3 * side]))
    return tuple(_as_bytes(image) for image in images)


def recolour_pair(fixed, moving, seed, number):
    """Gives the two scans of a pair other contrasts, and what scans may lack.

    Most of them get a random curve from grey values to grey values; 0 stays 0.

    Args:
      fixed, moving: numbers [x, y, z] in 0..255, of known size.
      seed, number: see `paint_pair`.

    Returns:
      Two tensors uint8 [x, y, z], 0..255.
    """
    images = []
    for scan, own in zip((fixed, moving), tf.unstack(_seeds(seed, number)[2:4])):
        colours, lacks = tf.unstack(_split(own, 2))
        images.append(_as_bytes(_degraded(_recoloured(scan, colours), lacks)))
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


def _any_means(seed):
    """Returns intensities of the labels of a scan of any contrast, 0..1; the background's is 0.

    Where they go by tissue, a label's is that of its tissue, and a little its own.
    """
    coins, own, tissue, jitter = tf.unstack(_split(seed, 4))
    tissues = _tissues()
    by_tissue, stripped = tf.unstack(_uniform([2], coins, 0.0, 1.0))
    means = _uniform([_TABLE], own, 0.02, 1.0)
    shared = tf.gather(_uniform([len(_T1) + 1], tissue, 0.02, 1.0), tissues)
    shared += _T1_JITTER * _normal([_TABLE], jitter)
    known = tf.logical_and(by_tissue < _BY_TISSUE, tf.constant(tissues < len(_T1)))
    means = tf.clip_by_value(tf.where(known, shared, means), 0.02, 1.0)
    seen = tf.logical_or(tf.range(_TABLE) < OUTSIDE_BRAIN, stripped >= _STRIPPED)
    means *= tf.cast(seen, tf.float32)
    return tf.concat([[0.0], means[1:]], 0)


def _tissues():
    """Returns each label's tissue, [_TABLE], its place in _T1; len(_T1) where unknown."""
    table = np.full(_TABLE, len(_T1))
    for number, (_, labels) in enumerate(_T1.values()):
        table[list(labels)] = number
    return table


def _textures(means, seed):
    """Returns the deviations of the labels' intensities from voxel to voxel; air has none."""
    return _uniform([_TABLE], seed, *_TEXTURE) * tf.cast(means > 0, tf.float32)


def _recoloured(scan, seed):
    """Returns a scan, 0..255, in 0..1 by a random curve that begins at 0."""
    coins, knots = tf.unstack(_split(seed, 2))
    unchanged, rising = tf.unstack(_uniform([2], coins, 0.0, 1.0))
    values = _uniform([_CURVE_KNOTS], knots, 0.02, 1.0)
    values = tf.where(rising < _RISING, tf.sort(values), values)
    values = tf.concat([[0.0], values], 0)
    count = int(INTENSITY_MAX) + 1
    table = tf.linalg.matvec(tf.constant(_linear_weights(count, _CURVE_KNOTS + 1)), values)
    table = tf.where(unchanged < _UNCHANGED, tf.range(count, dtype=tf.float32) / (count - 1), table)
    return tf.gather(table, tf.minimum(tf.cast(scan, tf.int32), count - 1))


def _degraded(image, seed):
    """Makes, by chance, thick slices of an image [x, y, z], and cuts off an end of it."""
    thick, cut, strength, share, which, where, end = tf.unstack(_uniform([7], seed, 0.0, 1.0))
    thick_axis, cut_axis = tf.floor(3.0 * which), tf.floor(3.0 * where)
    for axis, count in enumerate(image.shape):
        chosen = tf.logical_and(thick < _THICK, thick_axis == axis)
        blurred = _blurred(image, 0.5 + strength * (_THICKEST - 0.5), [axis])
        image = tf.where(chosen, blurred, image)
        place = tf.range(count, dtype=tf.float32) / (count - 1)
        place = tf.where(end < 0.5, place, 1.0 - place)
        seen = place >= tf.where(
            tf.logical_and(cut < _CUT, cut_axis == axis), share * _MOST_CUT, 0.0
        )
        shape = [count if one == axis else 1 for one in range(3)]
        image *= tf.reshape(tf.cast(seen, tf.float32), shape)
    return image


def _paint(labels, means, spread, seeds):
    """Returns an image, float32 [x, y, z], about 0..1, from intensities of labels."""
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
    return image + tf.minimum(level, image) * tf.roll(noise, [3, 5, 7], [0, 1, 2])


def _as_bytes(image):
    return tf.cast(tf.clip_by_value(image * INTENSITY_MAX + 0.5, 0.0, INTENSITY_MAX), tf.uint8)


def _seeds(seed, number):
    """Returns the seeds of a pair's draws, [_DRAWS, 2]."""
    number = tf.cast(number, tf.int32)
    return _split(tf.stack([tf.constant(seed ^ _SALT, tf.int32), number]), _DRAWS)


def _split(seed, count):
    return tf.random.experimental.stateless_split(seed, count, alg="philox")


def _noise(size, seed):
    """Returns noise [x, y, z] of unit deviation: sums of two random bytes."""
    count = int(np.prod(size))
    words = tf.random.stateless_uniform([-(-count // 4)], seed, None, None, tf.int32, alg="philox")
    numbers = tf.cast(tf.reshape(tf.bitcast(words, tf.uint8), [-1])[:count], tf.float32)
    numbers += tf.roll(numbers, 1009, 0)
    return tf.reshape((numbers - 255.0) / 104.5, size)


def _blurred(image, sigma, axes=(0, 1, 2)):
    """Blurs along each of the axes by a Gaussian of `sigma` voxels, cut to three weights."""
    side = tf.exp(-0.5 / sigma**2)
    middle = 1.0 / (1.0 + 2.0 * side)
    side *= middle
    for axis in axes:
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
