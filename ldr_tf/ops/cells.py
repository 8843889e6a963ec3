"""The corners of the cells between voxels, as rows of the table of all voxels."""

import tensorflow as tf


def strides(size):
    """Returns the rows from a voxel to the next along x, y, z; 0 on an axis of one voxel.

    Args:
      size: voxels along x, y, z, numbers where they are known, which saves a graph operations.
    """
    x, y, z = [min(n - 1, 1) if isinstance(n, int) else tf.minimum(n - 1, 1) for n in size]
    return [x * size[1] * size[2], y * size[2], z]


def corner_rows(row, steps):
    """Returns the rows of a cell's corners by their offsets, 0 or 1, the last axis fastest.

    Args:
      row: of the cell's lower corner.
      steps: the `strides` along all axes or the first ones.
    """
    rows = {(): row}
    for step in steps:
        rows = {(*at, i): here + step if i else here for at, here in rows.items() for i in (0, 1)}
    return rows
