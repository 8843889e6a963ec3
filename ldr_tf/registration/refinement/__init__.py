"""Refinement of a registration on the pair itself: two scans, or two volumes of a data set."""

from ldr_tf.registration.refinement.descent import SIMILARITIES, RefinementConfig, refine
from ldr_tf.registration.refinement.scans import (
    prepare_refinement,
    refine_scans,
    refine_volumes,
)

__all__ = [
    "SIMILARITIES",
    "RefinementConfig",
    "prepare_refinement",
    "refine",
    "refine_scans",
    "refine_volumes",
]
