"""How pairs are varied at random."""

import dataclasses
from typing import Optional

from ldr_tf.records import Record, setting


@dataclasses.dataclass(frozen=True)
class AugmentationConfig(Record):
    """How pairs are varied at random."""

    PREFIX = "augmentation."

    deformation: float = setting(
        0.4,
        "largest offset of the free-form deformation's control points as a fraction of their "
        "spacing; 0.4 in the original code, 0 for none",
        least=0.0,
        most=1.0,
    )
    flip_axis: Optional[int] = setting(
        None, "the left-right axis, along which half of the pairs are mirrored", choices=(0, 1, 2)
    )
    shift: int = setting(
        0,
        "largest random shift along each axis, in voxels, the same for both scans of a pair; "
        "without it a network comes to depend on where in the grid the organs lie",
        least=0,
    )
