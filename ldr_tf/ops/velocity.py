"""Stationary velocity fields, whose exponentials are smooth, invertible flows.

Sources: Arsigny et al., "A log-Euclidean framework for statistics on diffeomorphisms", MICCAI 2006;
Ashburner, "A fast diffeomorphic image registration algorithm" (DARTEL), NeuroImage 2007.
"""

import tensorflow as tf

from ldr_tf.conventions import check_flow
from ldr_tf.ops.flow import compose

_SQUARINGS = 5


def integrate(velocity, squarings=_SQUARINGS, compiled=True):
    """Integrates a velocity field over unit time by scaling and squaring.

    `exp(v) = exp(v / 2) o exp(v / 2)`: start from v / 2^n, where p + flow(p) is the exponential to
    first order, and compose the flow with itself n times. Minus v gives the inverse flow.

    Args:
      velocity: [batch, x, y, z, 3], voxels per unit time.
      squarings: n; v / 2^n should move no voxel by more than half a voxel.
      compiled: see `ldr_tf.ops.warp.warp`.

    Returns:
      The flow, [batch, x, y, z, 3], voxels.
    """
    flow = check_flow(velocity, "velocity") / 2.0**squarings
    for _ in range(squarings):
        flow = compose(flow, flow, compiled)
    return flow


def logarithm(flow, iterations=1, squarings=_SQUARINGS, compiled=True):
    """Finds a velocity field whose exponential is close to a flow.

    The fixed-point iteration `v <- v + (flow - exp(v))`, from v = flow. A flow with folds has no
    logarithm: more iterations would make the velocity ever larger there, so the default is one.

    Args:
      flow: [batch, x, y, z, 3], voxels.
      iterations: each costs one integration.
      squarings, compiled: see `integrate`.

    Returns:
      The velocity field, [batch, x, y, z, 3], voxels per unit time.
    """
    velocity = flow = tf.convert_to_tensor(check_flow(flow, "flow"))
    for _ in range(iterations):
        velocity += flow - integrate(velocity, squarings, compiled)
    return velocity
