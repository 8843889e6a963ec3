"""What a page shows of a registration, reduced to what a browser bears."""

import dataclasses
from typing import Optional

import numpy as np

from ldr_tf.evaluation.scans import folded_places
from ldr_tf.imaging import (
    displacement_on,
    grid_of,
    intensity_range,
    match_points,
    to_array,
)
from ldr_tf.imaging.resampling import resample, resample_scan
from ldr_tf.metrics.jacobian import jacobian_determinant
from ldr_tf.viewing.landing import landing_points
from ldr_tf.viewing.packing import pack, reduced_grid

LARGEST = 9_000_000
"""Characters of all volumes of a page together."""

_SIDES = (160, 128, 104, 80, 56)
"""Voxels of the longest side: the first that keeps the volumes below LARGEST is taken."""

_FIELD_SIDE = 72
_FIELD_STEP = 0.05
"""Mm by which the shifts that bend the grid are told apart."""

_DOUBLINGS = 2.0
"""How often the volume may double, or halve, before the page tells no more."""

_MOST_LANDMARKS = 2000
_LONGEST_NAME = 80


@dataclasses.dataclass(frozen=True)
class Content:
    """What a page shows, ready for JSON. All volumes lie in the fixed scan's space, axes R, A, S.

    Attributes:
      size, spacing: voxels of the volumes along R, A, S and the mm between them.
      fixed, moving, warped: gray values, numbers 0..255, packed NIfTI files in base64. `moving` is
        the moving scan as the affine step laid it, or as it lay where there was none.
      aligned: whether there was one.
      jacobian: the base-2 logarithm of the Jacobian determinant of the reduced field, clipped to
        -2 .. 2 (a quarter and four times the volume), as 1..255.
      folds: 1 where a voxel of the field folds towards any of its corners, else 0.
      shift: where the mapping takes a voxel, less where it is, mm along the axes: three frames on
        a coarser grid of `shift_size` voxels.
      fixed_labels, warped_labels: numbers of labels, 0 for none, or None; number n stands for the
        label `labels[n]`.
      landmarks: of each {"name", "fixed", "warped"}: places in voxels of the volumes, the latter
        where the landmark of the moving scan comes to lie, None where that cannot be told.
      landmarks_left_out: how many there are besides those.
    """

    size: tuple[int, int, int]
    spacing: tuple[float, float, float]
    fixed: str
    moving: str
    warped: str
    aligned: bool
    jacobian: str
    folds: str
    shift: str
    shift_size: tuple[int, int, int]
    fixed_labels: Optional[str] = None
    warped_labels: Optional[str] = None
    labels: tuple[int, ...] = ()
    landmarks: tuple[dict, ...] = ()
    landmarks_left_out: int = 0

    @property
    def characters(self):
        """How many characters the volumes have together."""
        return sum(len(text) for text in vars(self).values() if isinstance(text, str))


def collect(pair, displacement, warped, warped_labels=None, affine=None):
    """Returns the Content of a registration.

    Args:
      pair: the `ldr_tf.registration.pair.ScanPair`.
      displacement: the displacement field on the fixed scan's grid, mm, LPS, from points of the
        fixed to points of the moving scan, affine step included.
      warped, warped_labels: the moving scan and its labels on that grid; None without labels.
      affine: the affine step, a linear SimpleITK transform from points of the fixed to points of
        the moving scan; None for none.
    """
    aligned = affine is not None and not _is_identity(affine)
    folds = grid_of(displacement).points(folded_places(displacement))
    parts = (pair, displacement, folds, warped, warped_labels, affine if aligned else None)
    for longest in _SIDES:
        content = _collect(*parts, reduced_grid(grid_of(pair.fixed), longest))
        if content.characters <= LARGEST:
            break
    return content


def _collect(pair, displacement, folds, warped, warped_labels, affine, grid):
    field = to_array(displacement_on(displacement, grid)).astype(np.float32)
    coarse = reduced_grid(grid_of(pair.fixed), _FIELD_SIDE)
    (fixed,) = _gray([resample_scan(pair.fixed, grid)], grid)
    moving = resample_scan(pair.moving, grid, affine)
    moving, warped = _gray([moving, resample_scan(warped, grid)], grid)
    landmarks, left_out = (), 0
    if pair.fixed_points is not None and pair.moving_points is not None:
        landmarks, left_out = _landmarks(pair, displacement, affine, grid)
    return Content(
        size=grid.size,
        spacing=grid.spacing,
        fixed=fixed,
        moving=moving,
        warped=warped,
        aligned=affine is not None,
        jacobian=_jacobian(field, grid),
        folds=_folds(folds, grid),
        shift=_shift(displacement, coarse),
        shift_size=coarse.size,
        landmarks=landmarks,
        landmarks_left_out=left_out,
        **_labels(pair.fixed_labels, warped_labels, grid),
    )


def _is_identity(affine):
    corners = 100.0 * np.vstack([np.zeros(3), np.eye(3)])
    return np.allclose([affine.TransformPoint(tuple(p)) for p in corners], corners, atol=1e-3)


def _gray(arrays, grid):
    """Returns scans as packed bytes, with one scale for them all."""
    low, high = intensity_range(np.stack(arrays), "percentile")
    slope = (high - low) / 255 if high > low else 1.0
    levels = [np.rint(np.clip((array - low) / slope, 0, 255)) for array in arrays]
    return [pack(level.astype(np.uint8), grid, slope, low) for level in levels]


def _jacobian(field, grid):
    determinant = jacobian_determinant(field, steps=grid.steps)
    logarithm = np.log2(np.maximum(determinant, 1e-3))
    slope = _DOUBLINGS / 127
    levels = np.rint(128 + np.clip(logarithm / slope, -127, 127)).astype(np.uint8)
    return pack(np.pad(levels, [(0, 1)] * 3, mode="edge"), grid, slope, -128 * slope)


def _folds(places, grid):
    folded = np.zeros(grid.size, np.uint8)
    indices = np.rint(grid.indices(places)).astype(int)
    folded[tuple(np.clip(indices, 0, np.array(grid.size) - 1).T)] = 1
    return pack(folded, grid)


def _shift(displacement, grid):
    vectors = to_array(displacement_on(displacement, grid)) @ np.reshape(grid.direction, (3, 3))
    # The range of the type is 1.6 m each way.
    levels = np.rint(np.clip(vectors / _FIELD_STEP, -32767, 32767)).astype(np.int16)
    return pack(levels, grid, _FIELD_STEP)


def _labels(fixed, warped, grid):
    """Returns the fields of Content that are about labels."""
    if warped is None:
        return {}
    sides = [None if image is None else _nearest(image, grid) for image in (fixed, warped)]
    values = np.unique(np.concatenate([np.unique(side) for side in sides if side is not None]))
    values = np.concatenate([[0], values[values != 0]])
    kind = np.uint8 if len(values) <= 256 else np.uint16
    order = np.argsort(values)
    packed = []
    for side in sides:
        if side is not None:
            side = pack(order[np.searchsorted(values[order], side)].astype(kind), grid)
        packed.append(side)
    labels = tuple(int(value) for value in values)
    return {"fixed_labels": packed[0], "warped_labels": packed[1], "labels": labels}


def _nearest(image, grid):
    return to_array(resample(image, grid, "nearest")).astype(np.int64)


def _landmarks(pair, displacement, affine, grid):
    names, fixed, moving = match_points(pair.fixed_points, pair.moving_points)
    left_out = max(0, len(names) - _MOST_LANDMARKS)
    names, fixed, moving = (
        names[:_MOST_LANDMARKS],
        fixed[:_MOST_LANDMARKS],
        moving[:_MOST_LANDMARKS],
    )
    landed = landing_points(displacement, affine, fixed, moving)
    found = []
    for name, start, end in zip(names, grid.indices(fixed), grid.indices(landed)):
        known = bool(np.isfinite(end).all())
        found.append(
            {
                "name": name[:_LONGEST_NAME],
                "fixed": [round(float(n), 2) for n in start],
                "warped": [round(float(n), 2) for n in end] if known else None,
            }
        )
    return tuple(found), left_out
