"""Two volumes on one grid and what is known to correspond in them."""

from dataclasses import dataclass
from typing import Optional

import numpy as np

from ldr_tf.errors import InputError


@dataclass(frozen=True)
class VolumePair:
    """Two volumes on one grid, with what is known to correspond in them.

    Attributes:
      fixed_id, moving_id: names of the scans.
      fixed, moving: [x, y, z], of any real type and scale of intensities; of a data set's pair
        0..255, which a network expects.
      fixed_labels, moving_labels: label maps [x, y, z], integers, or None.
      fixed_points, moving_points: corresponding landmarks, float32 [n, 3], voxels, negative where
        absent; or None.
      points_present: booleans [n], which landmarks both scans have; None takes those without a
        negative coordinate.
      spacing: mm per voxel along x, y, z; ones where it is unknown.
      true_flow: float32 [x, y, z, 3], voxels: the flow that a perfect registration finds, NaN
        where it is unknown; or None.

    Raises:
      InputError: volumes or label maps differ in size, or points in number.
    """

    fixed_id: str
    moving_id: str
    fixed: np.ndarray
    moving: np.ndarray
    fixed_labels: Optional[np.ndarray] = None
    moving_labels: Optional[np.ndarray] = None
    fixed_points: Optional[np.ndarray] = None
    moving_points: Optional[np.ndarray] = None
    points_present: Optional[np.ndarray] = None
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)
    true_flow: Optional[np.ndarray] = None

    def __post_init__(self):
        for name in ("moving", "fixed_labels", "moving_labels"):
            array = getattr(self, name)
            if array is not None and array.shape != self.fixed.shape:
                raise InputError(
                    f"pair {self.fixed_id}, {self.moving_id}: {name} must have the size "
                    f"{self.fixed.shape} of the fixed volume, not {array.shape}."
                )
        if self.has_points and self.fixed_points.shape != self.moving_points.shape:
            raise InputError(
                f"pair {self.fixed_id}, {self.moving_id}: both scans must have the same number "
                f"of points, not {len(self.fixed_points)} and {len(self.moving_points)}."
            )

    @property
    def has_labels(self):
        """Whether both scans have label maps."""
        return self.fixed_labels is not None and self.moving_labels is not None

    @property
    def has_points(self):
        """Whether both scans have landmarks."""
        return self.fixed_points is not None and self.moving_points is not None
