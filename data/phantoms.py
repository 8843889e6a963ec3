"""Labelled phantoms whose true deformation is known: each subject is one template, deformed.

A subject is a template, a trunk (data/anatomy.py) or a brain (data/brain_anatomy.py), seen through
a smooth random B-spline deformation, subject(p) = template(p + flow(p)); texture moves with the
anatomy, bias field and noise do not.
"""

import dataclasses

import numpy as np

from data import anatomy, brain_anatomy
from data.shapes import spline_at, spline_on_grid
from ldr_tf.metrics.jacobian import jacobian_determinant

ANATOMIES = {"trunk": anatomy, "brain": brain_anatomy}
"""Modules with an Anatomy, its LABELS and the spacing(size) that makes it life-size."""

# Knots per axis of a deformation's two layers, and the finer one's share of it.
_COARSE, _FINE, _FINE_SHARE = 6, 9, 0.45
_LARGEST = (0.17, 0.22)
"""Range of the largest displacement of a subject, as a fraction of half the grid's side."""
_LEAST_JACOBIAN = 0.25
_CHECKED = 48
"""Grid points per axis at which a deformation is checked for folds."""
_ITERATIONS = 60
_NOISE = 0.025
_BIAS = 0.12


@dataclasses.dataclass(frozen=True)
class Phantom:
    """One subject.

    Attributes:
      volume: uint8 [x, y, z], intensities 0..255.
      labels: uint8 [x, y, z], 0 and the values of the anatomy's LABELS.
      flow: float32 [x, y, z, 3] in voxels: subject(p) = template(p + flow(p)), smooth and
        invertible.
      points: float32 [6, 3], landmarks in voxels, -1 if outside the grid.
    """

    volume: np.ndarray
    labels: np.ndarray
    flow: np.ndarray
    points: np.ndarray


def make_subject(template_seed, subject_seed, size=64, kind="trunk"):
    """Makes one subject of a template; the same arguments give the same bytes.

    Args:
      template_seed: 0 or more; subjects of one template share their anatomy and texture.
      subject_seed: 0 or more; None gives the template itself: zero flow, no bias, no noise.
      size: voxels a side, or three numbers; the anatomy does not depend on it.
      kind: one of ANATOMIES.

    Returns:
      a Phantom.
    """
    size = (size,) * 3 if np.ndim(size) == 0 else tuple(size)
    template = ANATOMIES[kind].Anatomy(template_seed)
    half = np.array(size) / 2
    axes = [(np.arange(side) + 0.5) / (side / 2) - 1 for side in size]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    layers, shift = [], np.zeros_like(grid)
    if subject_seed is not None:
        layers = _deformation(np.random.default_rng([12, template_seed, subject_seed]))
        shift = _shift_on_grid(layers, axes)
    labels, image = template.at(grid + shift, blur=2 / min(size))
    if subject_seed is not None:
        image = _acquire(np.random.default_rng([13, template_seed, subject_seed]), image, axes)
    volume = np.rint(np.clip(image, 0, 1) * np.iinfo(np.uint8).max).astype(np.uint8)
    points = (_subject_points(template.landmarks(), layers) + 1) * half - 0.5
    points[np.any((points < 0) | (points > np.array(size) - 1), axis=1)] = -1
    return Phantom(volume, labels, (shift * half).astype(np.float32), points.astype(np.float32))


def _deformation(generator):
    """Draws the knots [3, n, n, n] of both layers, scaled down until no voxel is near a fold."""
    layers = [
        generator.normal(0, 1, (3, _COARSE, _COARSE, _COARSE)),
        generator.normal(0, _FINE_SHARE, (3, _FINE, _FINE, _FINE)),
    ]
    axes = [np.linspace(-1, 1, _CHECKED)] * 3
    shift = _shift_on_grid(layers, axes)
    scale = generator.uniform(*_LARGEST) / np.linalg.norm(shift, axis=-1).max()
    unit = (_CHECKED - 1) / 2
    while jacobian_determinant(scale * shift * unit).min() < _LEAST_JACOBIAN:
        scale *= 0.95
    return [scale * layer for layer in layers]


def _shift_on_grid(layers, axes):
    return sum(
        np.stack([spline_on_grid(knots, axes) for knots in layer], axis=-1) for layer in layers
    )


def _subject_points(points, layers):
    """Returns where the template's points lie in the subject: q + shift(q) = point."""
    moved = points.copy()
    for _ in range(_ITERATIONS if layers else 0):
        shift = sum(
            np.stack([spline_at(knots, moved) for knots in layer], axis=-1) for layer in layers
        )
        moved = moved + 0.5 * (points - shift - moved)
    return moved


def _acquire(generator, image, axes):
    """Adds what a scanner adds: a smooth bias field and Rician noise."""
    bias = np.exp(_BIAS * spline_on_grid(generator.normal(0, 1, (5, 5, 5)), axes))
    noise = generator.normal(0, _NOISE, (2,) + image.shape)
    return np.hypot(image * bias + noise[0], noise[1])
