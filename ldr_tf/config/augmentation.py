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
        "spacing; 0.4 is the originals' value, 0 switches it off",
        least=0.0,
        most=1.0,
    )
    flip_axis: Optional[int] = setting(
        None, "axis mirrored in half of the pairs, the left-right axis", choices=(0, 1, 2)
    )
    shift: int = setting(
        0,
        "voxels by which a pair is moved at random along each axis, both scans alike; without it a "
        "network learns where in the grid the organs lie, and depends on it",
        least=0,
    )
