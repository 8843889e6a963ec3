"""Takes the few folds out of a displacement field by smoothing it where it folds.

Where a mapping folds it has no inverse. A flow that follows fine structures folds at one voxel in a
thousand or so; the vectors around such a voxel are drawn towards the mean of their neighbours, and
so are ever more around it, until it folds towards none of its corners. All others stay.

Source of the idea, to correct a field only where its Jacobian determinants ask for it: Karacali and
Davatzikos, "Estimating topology preserving and smooth displacement fields", IEEE TMI 2004.
"""

import math
from typing import NamedTuple

import numpy as np

from ldr_tf.evaluation.scans import folded_places
from ldr_tf.imaging import array_view, grid_of, slab_of, slabs, to_array, to_image
from ldr_tf.imaging.fields import rounded
from ldr_tf.metrics.jacobian import FORWARD, folded_among

MOST_PERCENT = 5.0
"""Where more voxels fold than that, the registration failed, and its field stays as it is."""

_ROUNDS = 60
_ROUNDS_PER_RADIUS = 4
_MARGIN = _ROUNDS // _ROUNDS_PER_RADIUS + 2
"""Slices beside a slab: as far as the last rounds reach from its folds, and their differences."""

_AT_A_TIME = 1 << 20
"""Voxels whose differences lie in memory together, as many as a slab has."""

_SHARE = 1 / 8
"""Of the second differences along the three axes; with 1/6 a chequered field would stay one."""


_STEPS = np.concatenate([np.zeros((1, 3), int), np.eye(3, dtype=int), -np.eye(3, dtype=int)])
"""To a voxel itself and its six neighbours."""


class Unfolding(NamedTuple):
    """What was done to a field.

    Attributes:
      folds_percent, folds_any_percent: before; as of `ldr_tf.evaluation.scans.folding`.
      changed_percent: voxels whose vectors were changed.
      largest_mm: the longest way by which one was, within a slab.
    """

    folds_percent: float
    folds_any_percent: float
    changed_percent: float
    largest_mm: float


def unfold(displacement):
    """Smooths a displacement field, in place, where it folds towards any corner of a voxel.

    Args:
      displacement: a SimpleITK vector image of float32, mm, LPS. An affine map may be part of it:
        smoothing leaves alone what is linear.

    Returns:
      An Unfolding; None, and nothing is done, where nothing folds or more than MOST_PERCENT of the
      voxels do. What has not unfolded after 60 rounds stays, smoothed.
    """
    grid = grid_of(displacement)
    steps = grid.steps.astype(np.float32)
    places = folded_places(displacement)
    percent = 100.0 * len(places) / math.prod(grid.size)
    if not 0 < percent <= MOST_PERCENT:
        return None
    field, parts = array_view(displacement), np.array_split(places, 1 + len(places) // _AT_A_TIME)
    forward = sum(np.count_nonzero(folded_among(field, steps, p, [FORWARD])) for p in parts)
    changed, largest = [np.zeros(0, int)], 0.0
    for start, stop in slabs(grid):
        here = places[:, 2] < stop
        seeds, places = places[here], places[~here]
        if not len(seeds):
            continue
        first, last = max(0, start - _MARGIN), min(grid.size[2], stop + _MARGIN)
        before = array_view(displacement, first, last)
        vectors = to_array(displacement[:, :, first:last])
        smoothed, beyond = _unfold(vectors, steps, seeds - (0, 0, first), stop - first)
        places = np.concatenate([places, beyond + (0, 0, first)])
        index = tuple(smoothed.T)
        ways = np.linalg.norm(vectors[index] - before[index], axis=-1)
        largest = max(largest, float(ways.max(initial=0.0)))
        changed.append(_flat(smoothed[ways > 0] + (0, 0, first), grid.size))
        displacement[:, :, first:last] = to_image(vectors, slab_of(grid, first, last))
    return Unfolding(
        folds_percent=100.0 * forward / math.prod(n - 1 for n in grid.size),
        folds_any_percent=percent,
        changed_percent=100.0 * len(np.unique(np.concatenate(changed))) / math.prod(grid.size),
        largest_mm=largest,
    )


def _unfold(vectors, steps, places, stop):
    """Smooths vectors [x, y, z, 3], in place, around places [n, 3] that may fold.

    Args:
      steps: see `folded_among`.
      stop: slice from which on folds are left to the next slab.

    Returns:
      Places that were smoothed, and those from `stop` on that fold or did for a while.
    """
    size, smoothed, left = vectors.shape[:3], [places[:0]], [places[:0]]
    folded = places[folded_among(vectors, steps, places)]
    for turn in range(_ROUNDS):
        if not len(folded):
            break
        near = _around(folded, 1 + turn // _ROUNDS_PER_RADIUS, size)
        smoothed.append(near)
        vectors[tuple(near.T)] = rounded(_smoothed(vectors, near))
        affected = _around(near, 1, size)
        folded = affected[folded_among(vectors, steps, affected)]
        here = folded[:, 2] < stop
        left.append(folded[~here])
        folded = folded[here]
    return np.concatenate(smoothed), np.concatenate(left)


def _smoothed(vectors, places):
    """Returns the vectors of places [n, 3], drawn towards their neighbours' mean.

    Along an axis at whose end a place lies it has a neighbour on one side alone: none counts.
    """
    result = vectors[tuple(places.T)]
    for axis in range(3):
        inside = (places[:, axis] > 0) & (places[:, axis] < vectors.shape[axis] - 1)
        here, way = places[inside], np.eye(3, dtype=int)[axis]
        curved = vectors[tuple((here + way).T)] + vectors[tuple((here - way).T)]
        result[inside] += _SHARE * (curved - 2.0 * vectors[tuple(here.T)])
    return result


def _around(places, radius, size):
    """Returns the indices of a grid's voxels at most `radius` steps from any of the places."""
    for _ in range(radius):
        found = (places[:, None] + _STEPS).reshape(-1, 3)
        found = found[((found >= 0) & (found < size)).all(axis=1)]
        places = np.stack(np.unravel_index(np.unique(_flat(found, size)), size), axis=1)
    return places


def _flat(places, size):
    return np.ravel_multi_index(tuple(places.T), size)
