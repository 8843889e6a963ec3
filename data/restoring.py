"""Back from a prepared scan to the grid, the intensities and the millimetres of its source."""

import numpy as np

from ldr_tf import imaging
from ldr_tf.conventions import INTENSITY_MAX


def restore_volume(volume, attributes):
    """Returns a prepared volume on its source's grid.

    Args:
      volume: uint8 [x, y, z], the scan's `volume`.
      attributes: of its group, as `data.preparation.prepare_scan` makes them.

    Returns:
      A SimpleITK image, float32, in the source's unit; outside the prepared grid the lowest value
      of the scaling. What the preparation clipped or smoothed away stays lost.
    """
    low, high = (float(value) for value in attributes["scaling"])
    values = volume.astype(np.float32) * ((high - low) / INTENSITY_MAX) + low
    image = imaging.to_image(values, prepared_grid(attributes))
    return imaging.resample(image, source_grid(attributes), default=low)


def restore_labels(labels, attributes):
    """Returns prepared labels on the source's grid, by nearest neighbour, 0 outside."""
    image = imaging.to_image(labels, prepared_grid(attributes))
    return imaging.resample(image, source_grid(attributes), "nearest")


def restore_points(points, attributes):
    """Returns landmarks in voxels, [n, 3], as LPS points in mm; NaN where absent (negative)."""
    points = np.asarray(points, float)
    restored = prepared_grid(attributes).points(points)
    return np.where((points < 0).any(axis=1, keepdims=True), np.nan, restored)


def prepared_grid(attributes):
    """Returns the Grid of a prepared scan."""
    return _grid(attributes, "")


def source_grid(attributes):
    """Returns the Grid of the scan from which it was prepared."""
    return _grid(attributes, "source_")


def _grid(attributes, prefix):
    kinds = {"size": int, "spacing": float, "origin": float, "direction": float}
    values = {
        field: tuple(kind(value) for value in np.ravel(attributes[prefix + field]))
        for field, kind in kinds.items()
    }
    return imaging.Grid(**values)


__all__ = ["prepared_grid", "restore_labels", "restore_points", "restore_volume", "source_grid"]
