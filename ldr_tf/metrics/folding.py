"""Regularity of a deformation, from the Jacobian determinant |J| of the mapping p + flow(p)."""

import typing

import numpy as np
import tensorflow as tf

from ldr_tf.ops.flow import jacobian_determinant

LOG_FLOOR = 1e-9
"""What stands for a |J| that is not above 0 in the logarithm."""

HISTOGRAM_EDGES = np.linspace(-1.0, 4.0, 101)
"""Edges of the bins of `jacobian_histogram`."""


class Folding(typing.NamedTuple):
    """Attributes:
    folds: number of voxels whose |J| is not above zero (NaN counts as a fold).
    percent: folds as a percentage, 0..100, of the voxels that have a |J|.
    std_jacobian: population standard deviation of |J|; the originals' `jacobian_det`.
    sd_log_jacobian: population standard deviation of log |J|, LOG_FLOOR in place of a |J| that is
      not above 0. Learn2Reg's measure (Hering et al., IEEE TMI 2022) as it is meant; its evaluator
      adds 3 to |J| first and so never sees a fold.
    min_jacobian: the least |J|; NaN where there is a NaN.
    """

    folds: int
    percent: float
    std_jacobian: float
    sd_log_jacobian: float
    min_jacobian: float


def determinants(flow):
    """Returns |J| of one flow, float32 [x - 1, y - 1, z - 1].

    Args:
      flow: [x, y, z, 3], voxels, array or tensor; at least 2 voxels along each axis. |J| comes
        from forward differences, so the last layer of each axis has none. It is the same in mm:
        the size of the voxels cancels out.
    """
    return jacobian_determinant(tf.cast(flow, tf.float32)[tf.newaxis]).numpy()[0]


def folding(flow):
    """Returns the Folding of one flow; see `determinants`."""
    return describe(determinants(flow))


def describe(determinant):
    """Returns the Folding of an array of |J|, any shape."""
    above = determinant > 0
    folds = int(np.count_nonzero(~above))
    logarithm = np.log(np.where(above, determinant, LOG_FLOOR), dtype=np.float64)
    return Folding(
        folds=folds,
        percent=100.0 * folds / determinant.size,
        std_jacobian=float(np.std(determinant, dtype=np.float64)),
        sd_log_jacobian=float(np.std(logarithm)),
        min_jacobian=float(np.min(determinant)),
    )


def jacobian_histogram(determinant):
    """Returns how many |J| lie between HISTOGRAM_EDGES, int64 [100].

    What lies outside is counted in the outermost bins, NaN in none.
    """
    inside = np.clip(determinant[~np.isnan(determinant)], HISTOGRAM_EDGES[0], HISTOGRAM_EDGES[-1])
    return np.histogram(inside, HISTOGRAM_EDGES)[0]
