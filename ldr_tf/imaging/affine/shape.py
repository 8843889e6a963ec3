"""What an affine map does: how it scales, turns and shears."""

import dataclasses

import numpy as np
import SimpleITK as sitk
from scipy import linalg

from ldr_tf.imaging.affine.likeness import matrix_and_shift

LEAST_SCALE, MOST_SCALE = 0.7, 1.4
"""Heads and bodies of different people hardly differ by more."""


@dataclasses.dataclass(frozen=True)
class Shape:
    """The matrix of a map as a rotation R and a stretch S along three perpendicular axes, R S.

    Attributes:
      scales: of the stretch, the greatest first (singular values).
      rotation: degrees by which R turns, 0..180.
      shear: the largest cosine of the angle between what the map makes of two axes of space.
      mirrored: whether the map turns left hands into right ones.
    """

    scales: tuple[float, float, float]
    rotation: float
    shear: float
    mirrored: bool

    @property
    def plausible(self):
        """Whether all scales lie in 0.7 to 1.4, and nothing is mirrored."""
        within = self.scales[-1] >= LEAST_SCALE and self.scales[0] <= MOST_SCALE
        return within and not self.mirrored


def shape_of(transform):
    """Returns the Shape of a matrix transform."""
    matrix, _ = matrix_and_shift(transform)
    turn, _ = linalg.polar(matrix)
    mirrored = bool(np.linalg.det(matrix) < 0)
    turn = -turn if mirrored else turn
    columns = matrix / np.maximum(np.linalg.norm(matrix, axis=0), 1e-12)
    cosines = np.abs(columns.T @ columns)[np.triu_indices(3, 1)]
    return Shape(
        tuple(float(scale) for scale in np.linalg.svd(matrix)[1]),
        float(np.rad2deg(np.arccos(np.clip((np.trace(turn) - 1) / 2, -1, 1)))),
        float(cosines.max()),
        mirrored,
    )


def affine_of(*transforms):
    """Returns matrix transforms, the first applied first, as one AffineTransform.

    Its centre is the origin of space.
    """
    matrix, shift = np.eye(3), np.zeros(3)
    for transform in transforms:
        following, further = matrix_and_shift(transform)
        matrix, shift = following @ matrix, following @ shift + further
    found = sitk.AffineTransform(3)
    found.SetMatrix(matrix.ravel().tolist())
    found.SetTranslation(shift.tolist())
    return found
