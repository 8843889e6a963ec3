"""One registered pair, from which the figures of the table are taken."""

import functools
import typing
from collections.abc import Mapping
from typing import Optional

import numpy as np
import tensorflow as tf

from ldr_tf.metrics import folding
from ldr_tf.metrics.jacobian import jacobian_determinant
from ldr_tf.metrics.landmarks import landmark_distance
from ldr_tf.metrics.overlap import label_overlap, original_overlap
from ldr_tf.metrics.surface import SurfaceDistance, label_surface_distances
from ldr_tf.ops.warp import warp_nearest


class Measures(typing.NamedTuple):
    """What to measure beside what is always measured.

    Attributes:
      originals: the figures of `figures.ORIGINAL_FIGURES`.
      surfaces: distances between surfaces, which take longest.
      histogram: how the Jacobian is distributed, see `ldr_tf.metrics.folding`.
    """

    originals: bool = False
    surfaces: bool = False
    histogram: bool = False


NOTHING_MORE = Measures()


class Measured:
    """A registration and what several figures have in common, computed once.

    Attributes:
      pair: the VolumePair.
      flow: float32 [x, y, z, 3], voxels.
      warped: the moving volume on the fixed one's grid, [x, y, z].
      label_values: {name of a label: its value}; empty where a side has no labels.
      measures: the Measures asked for.
    """

    def __init__(self, pair, flow, warped, label_values, measures, warped_labels):
        """Takes what `ldr_tf.evaluation.measure` takes."""
        self.pair, self.flow, self.warped = pair, flow, warped
        self.measures = measures
        self.label_values = _label_values(pair, label_values)
        self._warped_labels = warped_labels

    @functools.cached_property
    def determinant(self):
        """|J| by forward differences, [x - 1, y - 1, z - 1]."""
        return jacobian_determinant(np.asarray(self.flow, np.float32))

    @functools.cached_property
    def folding(self):
        """The `ldr_tf.metrics.folding.Folding`."""
        return folding.describe(self.determinant)

    @functools.cached_property
    def overlap(self):
        """The `ldr_tf.metrics.overlap.Overlap` of each label."""
        return label_overlap(*self._label_maps, self._values)

    @functools.cached_property
    def surface(self):
        """The `ldr_tf.metrics.surface.SurfaceDistance` of each label, NaN unless asked for."""
        if not (self.measures.surfaces and self.label_values):
            return SurfaceDistance(*np.full((2, len(self._values)), np.nan))
        return label_surface_distances(*self._label_maps, self._values, self.pair.spacing)

    @functools.cached_property
    def original_overlap(self):
        """The overlap of each label as the originals measure it."""
        pair = self.pair
        if not pair.has_labels:
            return self.overlap
        return original_overlap(pair.fixed_labels, pair.moving_labels, self.flow, self._values)

    @property
    def labels_missing(self):
        """How many labels are on one side only."""
        sides = [np.isin(self._values, labels) for labels in self._label_maps]
        return int(np.count_nonzero(sides[0] != sides[1]))

    def landmark(self, unit):
        """Returns the landmarks' mean error, a voxel being `unit` long; NaN without landmarks."""
        pair = self.pair
        if not pair.has_points:
            return np.nan
        points = pair.fixed_points, pair.moving_points
        return landmark_distance(self.flow, *points, unit, pair.points_present)

    @property
    def _values(self):
        return list(self.label_values.values())

    @functools.cached_property
    def _label_maps(self):
        """The fixed and the warped label map; empty ones where a side has no labels."""
        pair = self.pair
        if not pair.has_labels:
            return np.empty((0, 0, 0), np.uint8), np.empty((0, 0, 0), np.uint8)
        warped = self._warped_labels
        if warped is None:
            moving = tf.constant(pair.moving_labels[None, ..., None])
            warped = warp_nearest(moving, tf.constant(self.flow[None])).numpy()[0, ..., 0]
        return pair.fixed_labels, warped


def _label_values(pair, label_values: Optional[Mapping[str, int]]):
    if not pair.has_labels:
        return {}
    if label_values is not None:
        return dict(label_values)
    found = np.union1d(pair.fixed_labels, pair.moving_labels)
    return {str(int(value)): int(value) for value in found if value != 0}
