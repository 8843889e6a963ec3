"""Random free-form deformations and flips, a function of seed and step alone."""

import tensorflow as tf

from ldr_tf.ops.bspline import free_form_flow
from ldr_tf.ops.warp import warp

_CONTROL_POINTS = 5


def random_control_grid(batch, size, strength, seed):
    """Returns offsets of a 5x5x5 control grid, `strength * u^3 * (size // 4)`, u uniform in -1..1.

    Source: the augmentation of the VTN and RCN code, where the strength is 0.4.

    Args:
      batch: number of examples.
      size: voxels along x, y, z.
      strength: largest offset as a fraction of the control points' spacing.
      seed: two integers, [2].

    Returns:
      [batch, 5, 5, 5, 3], voxels.
    """
    shape = [batch, *[_CONTROL_POINTS] * 3, 3]
    uniform = _uniform(shape, seed)
    return strength * uniform**3 * tf.constant([float(n // 4) for n in size])


def augment(fixed, moving, strength, flip_axis, seed, step):
    """Deforms the moving image and mirrors half of the pairs.

    Args:
      fixed, moving: [batch, x, y, z, 1] with known x, y, z.
      strength: see `random_control_grid`; 0 deforms nothing.
      flip_axis: 0, 1 or 2, the axis to mirror in both images; None mirrors nothing.
      seed: of the run, an integer.
      step: scalar integer tensor.

    Returns:
      The pair.
    """
    step = tf.cast(step, tf.int32)
    batch = tf.shape(moving)[0]
    size = moving.shape[1:4]
    if strength:
        grid = random_control_grid(batch, size, strength, tf.stack([seed, 2 * step]))
        moving = warp(moving, free_form_flow(grid, size))
    if flip_axis is not None:
        seeds = tf.stack([seed, 2 * step + 1])
        coin = _uniform([batch, 1, 1, 1, 1], seeds) < 0.0
        fixed = tf.where(coin, tf.reverse(fixed, [flip_axis + 1]), fixed)
        moving = tf.where(coin, tf.reverse(moving, [flip_axis + 1]), moving)
    return fixed, moving


def _uniform(shape, seed):
    """Uniform numbers in -1..1; the algorithm is named so that every device draws the same."""
    return tf.random.stateless_uniform(shape, seed, minval=-1.0, maxval=1.0, alg="philox")
