"""Smooth functions of continuous coordinates that the anatomies are made of.

Coordinates u run over -1..1 along x, y and z, whatever the number of voxels. A shape is a level
function, positive inside and roughly the distance to its surface.
"""

import numpy as np
from scipy import ndimage

SPAN = 1.5
"""Knots of random fields cover -SPAN..SPAN along each axis."""


def spline_at(knots, points):
    """Returns the cubic B-spline of `knots` [a, b, c] at points u [..., 3]."""
    scale = (np.array(knots.shape) - 1) / (2 * SPAN)
    index = [(points[..., axis] + SPAN) * scale[axis] for axis in range(3)]
    return ndimage.map_coordinates(knots, index, order=3, mode="nearest", prefilter=False)


def spline_on_grid(knots, axes):
    """Returns the same B-spline on the grid of the three coordinate lists `axes`, [x, y, z]."""
    from ldr_tf.ops.bspline import cubic_bspline  # late: TensorFlow comes with it

    bases = []
    for count, axis in zip(knots.shape, axes):
        index = (axis + SPAN) * (count - 1) / (2 * SPAN)
        bases.append(cubic_bspline(index[:, None] - np.arange(count)))
    return np.einsum("ia,jb,kc,abc->ijk", *bases, knots, optimize=True)


def superellipsoid(u, centre, radii, exponent):
    """Positive inside |x/rx|^e + |y/ry|^e + |z/rz|^e = 1; near the surface about the distance."""
    ratio = np.abs((u - np.array(centre)) / np.array(radii)) ** exponent
    return (1 - ratio.sum(axis=-1) ** (1 / exponent)) * min(radii)


def smooth_union(first, second, width):
    return width * np.logaddexp(first / width, second / width)


def bend(u, along, towards, amount, centre=0.0):
    """Shifts points along the axis `towards` by the square of their place along another."""
    bent = u.copy()
    bent[..., towards] += amount * (u[..., along] - centre) ** 2
    return bent


def twist(u, centre, rate):
    """Turns points about a line along z by `rate` radians per unit of z."""
    angle = rate * u[..., 2]
    x, y = u[..., 0] - centre[0], u[..., 1] - centre[1]
    turned = u.copy()
    turned[..., 0] = centre[0] + np.cos(angle) * x - np.sin(angle) * y
    turned[..., 1] = centre[1] + np.sin(angle) * x + np.cos(angle) * y
    return turned
