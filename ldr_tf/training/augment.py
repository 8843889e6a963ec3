"""Random deformations, flips and shifts, which depend on seed and example number alone."""

from typing import NamedTuple, Optional

import tensorflow as tf

from ldr_tf.ops.bspline import free_form_flow
from ldr_tf.ops.warp import identity_grid, sample, warp, warp_nearest

_CONTROL_POINTS = 5
_INVERSION_STEPS = 12
_SHIFT_SALT = 0x5348


class TrainingPair(NamedTuple):
    """A batch of pairs with everything that belongs to them.

    Attributes:
      fixed, moving: [batch, x, y, z, 1], sizes known.
      flow: the pair's (teacher's) flow, [batch, x, y, z, 3] in voxels, or None.
      labels: (fixed, moving), each integers [batch, x, y, z, 1], or None.
    """

    fixed: tf.Tensor
    moving: tf.Tensor
    flow: Optional[tf.Tensor] = None
    labels: Optional[tuple[tf.Tensor, tf.Tensor]] = None


def random_control_grid(size, strength, seeds):
    """Returns offsets of 5x5x5 control grids, `strength * u^3 * (size // 4)`, u uniform in -1..1.

    Source: the augmentation of the VTN and RCN code, where the strength is 0.4.

    Args:
      size: voxels along x, y, z.
      strength: largest offset as a fraction of the control points' spacing.
      seeds: two integers an example, [batch, 2].

    Returns:
      [batch, 5, 5, 5, 3], voxels.
    """
    uniform = _uniform([*[_CONTROL_POINTS] * 3, 3], seeds)
    return strength * uniform**3 * tf.constant([float(n // 4) for n in size])


def augment(pair, config, seed, example):
    """Deforms the moving images, mirrors half of the pairs and shifts each pair as a whole.

    Args:
      pair: a `TrainingPair`.
      config: `ldr_tf.config.AugmentationConfig`. A shift fills the voxels it uncovers with 0.
      seed: the run's, an integer.
      example: each pair's number in the training, integers [batch].

    Returns:
      A `TrainingPair` whose flow is adapted: it warps the new moving image onto the new fixed one
      as the old flow did the old images.
    """
    fixed, moving, flow, labels = pair
    flip_axis, shift = config.flip_axis, config.shift
    example = tf.cast(example, tf.int32)
    size = moving.shape[1:4]
    fixed_labels, moving_labels = (None, None) if labels is None else labels
    if config.deformation:
        grid = random_control_grid(size, config.deformation, _seeds(seed, 2 * example))
        deformation = free_form_flow(grid, size)
        moving = warp(moving, deformation)
        if flow is not None:
            flow = undo_deformation(flow, deformation)
        if labels is not None:
            moving_labels = warp_nearest(moving_labels, deformation)
    if flip_axis is not None:
        mirrored = _uniform([1, 1, 1, 1], _seeds(seed, 2 * example + 1)) < 0.0
        axis = [flip_axis + 1]

        def mirror(volume):
            return None if volume is None else tf.where(mirrored, tf.reverse(volume, axis), volume)

        sides = (fixed, moving, fixed_labels, moving_labels)
        fixed, moving, fixed_labels, moving_labels = map(mirror, sides)
        if flow is not None:
            sign = 1.0 - 2.0 * tf.one_hot(flip_axis, 3)
            flow = tf.where(mirrored, tf.reverse(flow, axis) * sign, flow)
    if shift:
        offsets = _uniform([3], _seeds(seed ^ _SHIFT_SALT, example))
        offsets = tf.cast(tf.round(offsets * shift), tf.int32)
        sides = (fixed, moving, fixed_labels, moving_labels, flow)
        fixed, moving, fixed_labels, moving_labels, flow = (
            None if side is None else translate(side, offsets, shift) for side in sides
        )
    labels = None if labels is None else (fixed_labels, moving_labels)
    return TrainingPair(fixed, moving, flow, labels)


def translate(volume, offsets, most):
    """Moves each volume of a batch by whole voxels: `new(p) = volume(p - offset)`, 0 outside.

    Args:
      volume: [batch, x, y, z, channels], sizes known.
      offsets: integers [batch, 3], each within -most..most.
      most: an integer.
    """
    padded = tf.pad(volume, [[0, 0], *[[most, most]] * 3, [0, 0]])
    moved = [
        tf.slice(one, tf.concat([most - offset, [0]], 0), volume.shape[1:])
        for one, offset in zip(tf.unstack(padded), tf.unstack(offsets))
    ]
    return tf.stack(moved)


def undo_deformation(flow, deformation):
    """Adapts a flow to a moving image that has been deformed since.

    `new(p) = q - p`, where `q + deformation(q) = p + flow(p)`. The equation is solved by
    fixed-point iteration, which converges because a free-form deformation of the strengths allowed
    moves neighbours apart by less than their distance.

    Args:
      flow: for the moving image before it was deformed, [batch, x, y, z, 3], voxels.
      deformation: the flow that deformed the image, the same shape.

    Returns:
      The same shape.
    """
    grid = identity_grid(flow.shape[1:4])
    target = grid + flow
    place = target
    for _ in range(_INVERSION_STEPS):
        place = target - sample(deformation, place)
    return place - grid


def _seeds(seed, numbers):
    return tf.stack([tf.fill(tf.shape(numbers), seed), numbers], axis=-1)


def _uniform(shape, seeds):
    """Uniform numbers in -1..1, [batch, *shape], each example drawn from its own seed.

    So they do not depend on how a batch is split over devices. The algorithm is fixed so that every
    device draws the same.
    """
    draws = [
        tf.random.stateless_uniform(shape, pair, minval=-1.0, maxval=1.0, alg="philox")
        for pair in tf.unstack(seeds)
    ]
    return tf.stack(draws)
