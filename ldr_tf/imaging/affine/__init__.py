"""The affine step: two scans brought roughly onto each other."""

from ldr_tf.imaging.affine.alignment import METHODS, Alignment, align

__all__ = ["METHODS", "Alignment", "align"]
