"""Regularity of a deformation, from the Jacobian determinant |J| of the mapping p + flow(p)."""

import typing

import numpy as np
import tensorflow as tf

from ldr_tf.ops.flow import jacobian_determinant


class Folding(typing.NamedTuple):
    """Attributes:
    folds: number of voxels whose |J| is not above zero (NaN counts as a fold).
    percent: folds as a percentage, 0..100, of the voxels that have a |J|.
    std_jacobian: population standard deviation of |J|; the originals' `jacobian_det`.
    """

    folds: int
    percent: float
    std_jacobian: float


def folding(flow):
    """Returns the Folding of one flow.

    Args:
      flow: [x, y, z, 3], voxels, array or tensor; at least 2 voxels along each axis. |J| comes
        from forward differences, so the last layer of each axis has none.
    """
    determinant = jacobian_determinant(tf.cast(flow, tf.float32)[tf.newaxis]).numpy()
    folds = int(np.count_nonzero(~(determinant > 0)))
    return Folding(
        folds=folds,
        percent=100.0 * folds / determinant.size,
        std_jacobian=float(np.std(determinant, dtype=np.float64)),
    )
