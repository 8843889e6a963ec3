"""Cubic B-spline free-form deformations (Rueckert et al., IEEE TMI 1999) from a control grid."""

import numpy as np
import tensorflow as tf

from ldr_tf.conventions import AXES


def free_form_flow(control_grid, size):
    """Returns the dense flow of a control grid that spans the volume.

    Control points 0..n-1 span the volume at a spacing of s = size / (n - 1) voxels; voxel i lies at
    (i + 0.5) / s. Beyond the outer points the offsets are zero.

    Args:
      control_grid: offsets of the control points, [batch, nx, ny, nz, 3], voxels.
      size: voxels along x, y, z.

    Returns:
      [batch, *size, 3], voxels.
    """
    weights = [
        tf.constant(_spline_matrix(points, voxels))
        for points, voxels in zip(control_grid.shape[1:4], size)
    ]
    return tf.einsum("bijkc,xi,yj,zk->bxyzc", control_grid, *weights, optimize="optimal")


def spline_at_voxels(coefficients, size, spacing):
    """Returns a spline's values at voxels, of which a whole number lies between control points.

    Voxel i lies at i / spacing + 1: control points 0 and 1 before the first voxel and on it. Each
    value is a sum of three or four neighbours along each axis, by slices; so is the gradient.
    Compiled by XLA this takes a sixth of the time of products with matrices [voxels, points].

    Args:
      coefficients: [batch, nx, ny, nz, channels], (n - 1) // spacing + 4 for n voxels, or more.
      size: voxels along x, y, z.
      spacing: a whole number of voxels.

    Returns:
      [batch, *size, channels].
    """

    @tf.custom_gradient
    def values(coefficients):
        result = coefficients
        for axis, voxels in zip(AXES, size):
            result = _spread(result, axis, voxels, spacing)

        def gradient(upstream):
            for axis, points in zip(AXES, coefficients.shape[1:4]):
                upstream = _gather(upstream, axis, points, spacing)
            return upstream

        return result, gradient

    return values(coefficients)


def _spread(points, axis, voxels, spacing):
    """Returns the values along an axis: control points become voxels."""
    blocks = -(-voxels // spacing)
    phases = [
        sum(weight * _part(points, axis, first, blocks) for first, weight in weights)
        for weights in _weights(spacing)
    ]
    return _part(_merged(phases, axis), axis, 0, voxels)


def _gather(values, axis, points, spacing):
    """Returns what `_spread` of control points makes of a gradient by its values."""
    blocks = -(-values.shape[axis] // spacing)
    values = _padded(values, axis, 0, blocks * spacing - values.shape[axis])
    result = 0.0
    for phase, weights in zip(_split(values, axis, spacing), _weights(spacing)):
        phase = _padded(phase, axis, 3, points - blocks)
        result += sum(weight * _part(phase, axis, 3 - first, points) for first, weight in weights)
    return result


def _weights(spacing):
    """Lists, for each voxel between two control points, (control point, weight) of those near it.

    The first of these lies one before the pair.
    """
    places = 1 + np.arange(spacing) / spacing
    weights = cubic_bspline(places[:, None] - np.arange(4))
    return [[(k, float(w)) for k, w in enumerate(row) if w] for row in weights]


def _part(volume, axis, first, count):
    """Returns `count` entries along an axis, from the one numbered `first` on."""
    begin, size = [0] * 5, volume.shape.as_list()
    begin[axis], size[axis] = first, count
    return tf.slice(volume, begin, size)


def _padded(volume, axis, before, after):
    """Returns a volume with as many zeros before and after its entries along an axis."""
    return tf.pad(volume, [(before, after) if a == axis else (0, 0) for a in range(5)])


def _merged(phases, axis):
    """Returns volumes whose entries along an axis follow each other in turns."""
    shape = phases[0].shape.as_list()
    shape[axis] *= len(phases)
    return tf.reshape(tf.stack(phases, axis + 1), shape)


def _split(volume, axis, count):
    """The inverse of `_merged`."""
    shape = volume.shape.as_list()
    shape[axis : axis + 1] = [shape[axis] // count, count]
    return tf.unstack(tf.reshape(volume, shape), axis=axis + 1)


def cubic_bspline(distance):
    """Returns the uniform cubic B-spline at distances from its centre, in knots; an array."""
    t = np.abs(distance)
    near, far = 2 / 3 - t**2 + t**3 / 2, (2 - t) ** 3 / 6
    return np.where(t < 1, near, np.where(t < 2, far, 0.0))


def _spline_matrix(points, voxels):
    """Returns the [voxels, points] matrix of cubic B-spline weights along one axis."""
    position = (np.arange(voxels) + 0.5) * (points - 1) / voxels
    return cubic_bspline(position[:, None] - np.arange(points)).astype(np.float32)
