"""A small registration whose answer is known by hand, for what makes a page of it."""

import numpy as np
import SimpleITK as sitk

from ldr_tf.imaging import Grid, Points, to_image
from ldr_tf.registration.pair import ScanPair

LIA = (1.0, 0, 0, 0, 0, -1.0, 0, -1.0, 0)
"""Columns: the axes point to L, I and A."""

SHIFT = np.array([4.0, 0.0, 0.0])
"""Mm, LPS: the mapping takes every point that far to the patient's left."""

MISSED = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 2.0]])
"""Mm, LPS: how far beside their places two landmarks of the moving scan are."""

HOSTILE = "</script><img src=x onerror=\"document.title='broken in'\">&.nii.gz"


def grid_of_sides(size=(24, 30, 36), spacing=(2.0, 1.0, 1.5)):
    """A grid in the orientation LIA about the origin."""
    axes = np.reshape(LIA, (3, 3))
    origin = -axes @ ((np.array(size) - 1) / 2 * spacing)
    return Grid(size, spacing, tuple(origin), LIA)


def ball(centre, grid, radius=12.0):
    """A bright ball, float32, in mm about a point in LPS."""
    places = grid.points(np.indices(grid.size).reshape(3, -1).T)
    distance = np.linalg.norm(places - centre, axis=1).reshape(grid.size)
    return to_image((200 * np.exp(-((distance / radius) ** 2))).astype(np.float32), grid)


def field(vector, grid):
    """A displacement field that is the same everywhere."""
    return to_image(np.broadcast_to(vector, (*grid.size, 3)).astype(np.float32), grid)


def stretch(grid):
    """A displacement field that takes x to 1.5 x."""
    places = grid.points(np.indices(grid.size).reshape(3, -1).T)
    return to_image((places * (0.5, 0, 0)).reshape(*grid.size, 3), grid)


def parts(landmarks=True, labels=True, grid=None):
    """Arguments of `collect`: a ball that lies 4 mm further left in the moving scan."""
    grid = grid or grid_of_sides()
    fixed, moving = ball(np.zeros(3), grid), ball(SHIFT, grid)
    known = {"fixed": fixed, "moving": moving}
    if labels:
        known["fixed_labels"] = sitk.Cast(fixed > 100, sitk.sitkUInt16) * 300
    if landmarks:
        places = np.array([[0.0, 0.0, 0.0], [5.0, -6.0, 7.0]])
        known["fixed_points"] = Points(("centre", HOSTILE), places)
        known["moving_points"] = Points(("centre", HOSTILE), places + SHIFT + MISSED)
    return {
        "pair": ScanPair(**known),
        "displacement": field(SHIFT, grid),
        "warped": fixed,
        "warped_labels": known.get("fixed_labels"),
        "affine": sitk.AffineTransform(3),
    }
