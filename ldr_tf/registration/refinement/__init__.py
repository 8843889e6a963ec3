"""Refinement of a registration on the pair itself: of arrays, and of two scans."""

from ldr_tf.registration.refinement.descent import RefinementConfig, refine
from ldr_tf.registration.refinement.scans import refine_scans

__all__ = ["RefinementConfig", "refine", "refine_scans"]
