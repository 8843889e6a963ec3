"""Distances between the surfaces of segmentations, in mm.

A voxel belongs to the surface of its label if one of its six neighbours has another label or lies
outside the volume. Each surface voxel of one side has a distance to the nearest one of the other
side, from voxel centre to voxel centre; both directions are measured.

Sources: Huttenlocher et al., IEEE TPAMI 1993 (Hausdorff); Heimann et al., IEEE TMI 2009 (average
symmetric surface distance). The percentile is taken in each direction and the larger one counts, as
in Learn2Reg and MONAI.
"""

import typing

import numpy as np
from scipy import ndimage, spatial

from ldr_tf.metrics.overlap import label_index

PERCENTILE = 95


class SurfaceDistance(typing.NamedTuple):
    """Numbers, or arrays with one entry per label; NaN where a label is not on both sides.

    Attributes:
      hd95: the larger of the two directed 95th percentiles, mm.
      average: mean over the surface voxels of both sides together, mm.
    """

    hd95: np.ndarray
    average: np.ndarray


def label_surface_distances(fixed, warped, label_values, spacing=(1.0, 1.0, 1.0)):
    """Returns the surface distances of every label of two label maps.

    Args:
      fixed: label map [x, y, z], integers.
      warped: the moving label map, warped by nearest neighbour, same shape.
      label_values: the labels to compare, n different integers.
      spacing: mm per voxel along x, y, z.

    Returns:
      SurfaceDistance of two float64 arrays [n].

    Raises:
      ValueError: the shapes differ.
    """
    if fixed.shape != warped.shape:
        raise ValueError(f"fixed and warped must have one shape: {fixed.shape}, {warped.shape}.")
    values = np.unique(np.asarray(label_values, np.int64))
    maps = [label_index(labels, values).reshape(fixed.shape) for labels in (fixed, warped)]
    boxes = [ndimage.find_objects(labels, max_label=len(values)) for labels in maps]
    found = {}
    for index, value in enumerate(values):
        distances = np.nan, np.nan
        if boxes[0][index] is not None and boxes[1][index] is not None:
            points = [
                _surface(labels, box[index], index + 1, spacing) for labels, box in zip(maps, boxes)
            ]
            distances = _summary(*_both_ways(*points))
        found[int(value)] = distances
    table = [found[int(value)] for value in label_values]
    return SurfaceDistance(*np.array(table, np.float64).reshape(-1, 2).T)


def _surface(labels, box, value, spacing):
    """Returns the surface voxels of one label inside its box, [n, 3] in mm."""
    inside = labels[box] == value
    corner = [part.start or 0 for part in box]
    surface = inside & ~ndimage.binary_erosion(inside)
    return (np.argwhere(surface) + corner) * np.asarray(spacing, np.float64)


def _both_ways(first, second):
    # Trees of the few surface voxels take half the time of distance maps of the label's box.
    return spatial.cKDTree(second).query(first)[0], spatial.cKDTree(first).query(second)[0]


def _summary(there, back):
    hd95 = max(np.percentile(there, PERCENTILE), np.percentile(back, PERCENTILE))
    return hd95, np.concatenate([there, back]).mean()
