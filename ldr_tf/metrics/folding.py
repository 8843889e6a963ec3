"""Regularity of a deformation, from the Jacobian determinant |J| of the mapping p + flow(p).

|J| is the same in mm as in voxels: the size of the voxels cancels out.
"""

import typing

import numpy as np

from ldr_tf.metrics.jacobian import folded_voxels

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


def describe(determinant):
    """Returns the Folding of an array of |J|, any shape."""
    above = determinant > 0
    logarithm = np.log(np.where(above, determinant, LOG_FLOOR), dtype=np.float64)
    return Folding(
        folds=int(np.count_nonzero(~above)),
        percent=folds_percent(determinant),
        std_jacobian=std_jacobian(determinant),
        sd_log_jacobian=float(np.std(logarithm)),
        min_jacobian=float(np.min(determinant)),
    )


def std_jacobian(determinant):
    """Returns the population standard deviation of an array of |J|."""
    return float(np.std(determinant, dtype=np.float64))


def folds_percent(determinant):
    """Returns the percentage, 0..100, of an array of |J| that is not above 0."""
    return 100.0 * np.count_nonzero(~(determinant > 0)) / determinant.size


def folds_any_percent(displacement, steps=None):
    """Returns the percentage, 0..100, of all voxels that fold towards any of their eight corners.

    Forward differences alone, as in `Folding.percent`, overlook most folds of a rough flow.

    Args:
      displacement, steps: see `ldr_tf.metrics.jacobian.folded_voxels`.
    """
    return 100.0 * float(np.mean(folded_voxels(displacement, steps)))


def jacobian_histogram(determinant):
    """Returns how many |J| lie between HISTOGRAM_EDGES, int64 [100].

    What lies outside is counted in the outermost bins, NaN in none.
    """
    inside = np.clip(determinant[~np.isnan(determinant)], HISTOGRAM_EDGES[0], HISTOGRAM_EDGES[-1])
    return np.histogram(inside, HISTOGRAM_EDGES)[0]
