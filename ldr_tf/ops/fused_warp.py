"""Trilinear sampling as fused XLA functions, on the CPU too, with hand-written gradients.

What makes it fast on a CPU: the voxels' own coordinates come from counters instead of memory;
corners are read by one flat index from a flat table, which XLA turns into one loop of vector
gathers; and with several channels, the corners' rows are computed once, in a function of their
own, and the channels lie next to each other. See docs/performance.md for what was tried.
"""

import functools
import itertools

import tensorflow as tf

from ldr_tf.ops.cells import corner_rows, strides
from ldr_tf.ops.compiling import compiled_by_shape


def warp(image, flow):
    """As `ldr_tf.ops.warp.warp`."""
    return _sampled(image, flow, True)


def flow_gradient(image, flow, upstream):
    """As `ldr_tf.ops.warp.warp_gradient`."""
    return _POSITION_GRADIENT[True](image, flow, upstream)


def sample(image, positions):
    """As `ldr_tf.ops.warp.sample`."""
    return _sampled(image, positions, False)


def _sampled(image, where, moves):
    """Samples at the positions `where` or, if it `moves`, at each voxel displaced by it."""

    @tf.custom_gradient
    def sampled(image, where):
        def gradient(upstream):
            # Functions of their own, so that a graph drops the gradient that is not asked for.
            return (
                _IMAGE_GRADIENT[moves](image, where, upstream),
                _POSITION_GRADIENT[moves](image, where, upstream),
            )

        return _forward(image, where, moves), gradient

    return sampled(image, where)


def _forward(image, where, moves):
    if image.shape[-1] == 1:
        return _SAMPLE[moves](image, where)
    # Two functions: in one, XLA would recompute the cells for each channel. The table is reshaped
    # out here: reshaped inside, its rows would be found by five indices instead of two.
    table = tf.reshape(image, [-1, image.shape[-1]])
    return _interpolate_compiled(table, *strides(_size(image)), *_CELLS[moves](image, where))


def _cells(image, where, moves):
    """Returns each position's cell: its lower corner's row in the table of all voxels, and the
    fractions along x, y, z between that corner and the next, each [batch, ...]."""
    size = _size(image)
    shape = tf.shape(where)
    row = tf.reshape(tf.range(shape[0]), [-1] + [1] * (where.shape.rank - 2))
    fractions = []
    for axis, extent in enumerate(size):
        clamped = _clamped(where, axis, extent, moves)
        last = tf.cast(tf.maximum(extent - 2, 0), where.dtype)
        lower = tf.minimum(tf.floor(clamped), last)
        fractions.append(clamped - lower)
        row = row * extent + tf.cast(lower, tf.int32)
    return row, *fractions


def _coordinate(where, axis, moves):
    coordinate = where[..., axis]
    if moves:
        own = tf.range(where.shape[axis + 1] or tf.shape(where)[axis + 1])
        coordinate += tf.cast(tf.reshape(own, [-1] + [1] * (2 - axis)), where.dtype)
    return coordinate


def _clamped(where, axis, extent, moves):
    last = tf.cast(extent - 1, where.dtype)
    return tf.clip_by_value(_coordinate(where, axis, moves), 0.0, last)


def _size(image):
    """Returns the sizes along x, y, z, numbers where they are known."""
    return [n or tf.shape(image)[axis + 1] for axis, n in enumerate(image.shape[1:4])]


def _corners(table, steps, row):
    """Returns a table's values at a cell's eight corners, by their offsets along x, y, z."""
    return {at: tf.gather(table, here) for at, here in corner_rows(row, steps).items()}


def _interpolate(table, along_x, along_y, along_z, row, fx, fy, fz):
    """Returns the trilinear interpolation between rows of a table of voxels."""
    corners = _corners(table, (along_x, along_y, along_z), row)
    if table.shape.rank > 1:
        fx, fy, fz = (fraction[..., tf.newaxis] for fraction in (fx, fy, fz))
    planes = [_bilinear({(j, k): corners[i, j, k] for j, k in _PAIRS}, fy, fz) for i in (0, 1)]
    return planes[0] + fx * (planes[1] - planes[0])


_PAIRS = list(itertools.product((0, 1), repeat=2))


def _bilinear(values, first, second):
    """Interpolates between values[0 or 1, 0 or 1] at the fractions along the two axes."""
    low = values[0, 0] + second * (values[0, 1] - values[0, 0])
    high = values[1, 0] + second * (values[1, 1] - values[1, 0])
    return low + first * (high - low)


def _sample(image, where, moves):
    """Samples an image of one channel."""
    cells = _cells(image, where, moves)
    sampled = _interpolate(tf.reshape(image, [-1]), *strides(_size(image)), *cells)
    return sampled[..., tf.newaxis]


def _position_gradient(image, where, upstream, moves):
    """Gradient with respect to the positions; zero along an axis where they were clamped."""
    row, fx, fy, fz = _cells(image, where, moves)
    # The derivative along an axis is the difference of the two faces of the cell across it, so
    # every corner is reduced over channels once and serves all three axes.
    channels = image.shape[-1]
    table = tf.reshape(image, [-1] if channels == 1 else [-1, channels])
    c = _corners(table, strides(_size(image)), row)
    if channels == 1:
        c = {offsets: value * upstream[..., 0] for offsets, value in c.items()}
    else:
        c = {offsets: tf.reduce_sum(value * upstream, axis=-1) for offsets, value in c.items()}
    edges_x = {(j, k): c[1, j, k] - c[0, j, k] for j, k in _PAIRS}
    edges_y = {(i, k): c[i, 1, k] - c[i, 0, k] for i, k in _PAIRS}
    edges_z = {(i, j): c[i, j, 1] - c[i, j, 0] for i, j in _PAIRS}
    gradients = [_bilinear(edges_x, fy, fz), _bilinear(edges_y, fx, fz), _bilinear(edges_z, fx, fy)]
    for axis, extent in enumerate(_size(image)):
        coordinate = _coordinate(where, axis, moves)
        last = tf.cast(extent - 1, where.dtype)
        inside = tf.logical_and(coordinate >= 0.0, coordinate <= last)
        gradients[axis] = tf.where(inside, gradients[axis], tf.zeros_like(coordinate))
    return tf.stack(gradients, axis=-1)


def _image_gradient(image, where, upstream, moves):
    """Gradient with respect to the image: the upstream values scattered to the cells' corners.

    Two corners side by side along z are scattered as one row: XLA's scatter on a CPU is a single
    loop, whose iterations cost more than the additions.
    """
    row, *fractions = _cells(image, where, moves)
    fx, fy, fz = (fraction[..., tf.newaxis] for fraction in fractions)
    both = tf.concat([(1.0 - fz) * upstream, fz * upstream], axis=-1)
    channels = image.shape[-1]
    rows = tf.reduce_prod(tf.shape(image)[:-1])
    table = tf.zeros([rows, 2 * channels], image.dtype)
    for (i, j), corner in corner_rows(row, strides(_size(image))[:2]).items():
        weight = (fx if i else 1.0 - fx) * (fy if j else 1.0 - fy)
        corner = tf.reshape(corner, [-1, 1])
        values = tf.reshape(weight * both, [-1, 2 * channels])
        table = tf.tensor_scatter_nd_add(table, corner, values)
    near, far = tf.split(table, 2, axis=1)
    return tf.reshape(near + tf.pad(far[:-1], [[1, 0], [0, 0]]), tf.shape(image))


def _both(function):
    """Returns the function compiled for positions (False) and for flows (True)."""
    return [compiled_by_shape(functools.partial(function, moves=moves)) for moves in (False, True)]


_SAMPLE, _CELLS, _POSITION_GRADIENT, _IMAGE_GRADIENT = map(
    _both, (_sample, _cells, _position_gradient, _image_gradient)
)
_interpolate_compiled = compiled_by_shape(_interpolate)
