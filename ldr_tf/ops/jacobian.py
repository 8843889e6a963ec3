"""Jacobian determinant of a mapping on a voxel grid, by finite differences, and its gradient.

The counterpart in NumPy, which covers the border too, is `ldr_tf.metrics.jacobian`.
"""

import numpy as np
import tensorflow as tf

from ldr_tf.conventions import check_flow

_OTHERS = ((1, 2), (2, 0), (0, 1))


def jacobian_determinant(flow, corner=(1, 1, 1)):
    """Returns det(d(p + flow(p)) / dp) at the inner voxels by differences towards one corner.

    Inner voxels have all neighbours, so the result has the same size for every corner, and the
    corner may be a tensor in a compiled step.

    Args:
      flow: [batch, x, y, z, 3], voxels.
      corner: [3], for each axis 1 (difference to the next voxel) or 0 (to the previous one);
        (1, 1, 1) gives forward differences.

    Returns:
      [batch, x - 2, y - 2, z - 2]; 1 where nothing moves, 0 or less at a fold.
    """
    check_flow(flow, "flow")
    # Component by component: XLA would not work on vectors of three numbers many at a time.
    parts = tf.unstack(flow, axis=-1)
    edges = [[_difference(part, axis, corner[axis]) for part in parts] for axis in range(3)]
    for axis in range(3):
        edges[axis][axis] += 1.0
    normal = [edges[1][i] * edges[2][j] - edges[1][j] * edges[2][i] for i, j in _OTHERS]
    return sum(edge * component for edge, component in zip(edges[0], normal))


def add_jacobian_gradient(gradient, flow, corner, upstream):
    """Adds the gradient of `sum(upstream * jacobian_determinant(flow, corner))` by the flow.

    For an `upstream` that is zero nearly everywhere, as that of a penalty on folds: only the other
    voxels cost time.

    Args:
      gradient: what is added to, of the flow's shape.
      flow: [batch, x, y, z, 3], voxels, sides known.
      corner: [3], see `jacobian_determinant`.
      upstream: [batch, x - 2, y - 2, z - 2].

    Returns:
      The sum, [batch, x, y, z, 3].
    """
    size = np.array(flow.shape[1:4])
    strides = [int(size[1] * size[2]), int(size[2]), 1]
    inner = tf.where(upstream != 0)
    row = (inner[:, 0] * int(size[0]) + inner[:, 1] + 1) * strides[0]
    row += (inner[:, 2] + 1) * strides[1] + inner[:, 3] + 1
    table, corner = tf.reshape(flow, [-1, 3]), tf.cast(tf.convert_to_tensor(corner), tf.int64)
    ahead = [row + corner[axis] * stride for axis, stride in enumerate(strides)]
    behind = [here - stride for here, stride in zip(ahead, strides)]
    edges = [
        tf.gather(table, there) - tf.gather(table, here) + unit
        for there, here, unit in zip(ahead, behind, np.eye(3, dtype=np.float32))
    ]
    # The determinant of three edges grows along each as the cross product of the other two.
    by_edge = [tf.linalg.cross(edges[i], edges[j]) for i, j in _OTHERS]
    by_edge = tf.concat(by_edge, axis=0) * tf.tile(tf.gather_nd(upstream, inner), [3])[:, None]
    rows = tf.concat([*ahead, *behind], axis=0)[:, None]
    added = tf.concat([by_edge, -by_edge], axis=0)
    total = tf.tensor_scatter_nd_add(tf.reshape(gradient, [-1, 3]), rows, added)
    return tf.reshape(total, tf.shape(flow))


def _difference(part, axis, ahead):
    """Returns a component's difference along an axis at the inner voxels, to the next voxel or,
    where `ahead` is 0, to the previous one."""
    inner = [slice(None), *[slice(1, -1)] * 3]
    here = part[tuple(inner)]
    inner[axis + 1] = slice(2, None)
    after = part[tuple(inner)]
    inner[axis + 1] = slice(None, -2)
    return tf.where(tf.cast(ahead, tf.float32) > 0.5, after - here, here - part[tuple(inner)])
