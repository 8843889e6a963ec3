"""Landmarks: named points in mm, matched, kept inside their scans, and through transforms."""

import dataclasses

import numpy as np
import SimpleITK as sitk

from ldr_tf.errors import InputError
from ldr_tf.imaging.grid import grid_of


@dataclasses.dataclass(frozen=True)
class Points:
    """Named points.

    Attributes:
      names: one a point, each once.
      positions: float64 [n, 3], mm, LPS.
    """

    names: tuple[str, ...]
    positions: np.ndarray


def match_points(fixed, moving):
    """Returns the names that both sides have and their positions, [n, 3] each, in fixed's order.

    Raises:
      InputError: no name is on both sides.
    """
    places = {name: index for index, name in enumerate(moving.names)}
    matched = [(name, index) for index, name in enumerate(fixed.names) if name in places]
    if not matched:
        raise InputError("the fixed and the moving landmarks have no name in common.")
    names, indices = zip(*matched)
    moved = [places[name] for name in names]
    return names, fixed.positions[list(indices)], moving.positions[moved]


def keep_inside(fixed_points, moving_points, fixed, moving, notices=None):
    """Returns the landmarks that both sides have, each inside its scan.

    Args:
      fixed_points, moving_points: `Points`, matched by name.
      fixed, moving: their scans.
      notices: a Notices that is told how many were left out, or None.

    Returns:
      Two `Points` with the same names.

    Raises:
      InputError: no name in common; no pair inside the scans.
    """
    names, first, second = match_points(fixed_points, moving_points)
    sides = (("fixed", first, fixed), ("moving", second, moving))
    outside = {side: _outside(places, scan) for side, places, scan in sides}
    kept = ~(outside["fixed"] | outside["moving"])
    if not kept.any():
        raise InputError(
            "no pair of landmarks lies inside the two scans; are the coordinates mm, and LPS or "
            "RAS as said?"
        )
    if notices is not None:
        lone = len(fixed_points.names) + len(moving_points.names) - 2 * len(names)
        if lone:
            notices.notice(
                "landmarks-unmatched",
                f"{lone} landmarks have no partner of their name in the other scan; left out.",
            )
        for side, places, _ in sides:
            count = np.count_nonzero(outside[side])
            if count:
                notices.warning(
                    "landmarks-outside",
                    f"{count} of {len(names)} landmarks lie outside the {side} scan and were left "
                    f"out, {_example(names, places, outside[side])}.",
                )
    names = tuple(name for name, good in zip(names, kept) if good)
    return Points(names, first[kept]), Points(names, second[kept])


def only_inside(points, image, points_name, image_name, notices=None):
    """Returns the points that `check_inside` lets pass.

    Args:
      points, image, points_name, image_name: as of `check_inside`.
      notices: a Notices that is told how many were left out, or None.

    Raises:
      InputError: all lie outside.
    """
    outside = _outside(points.positions, image)
    if outside.all():
        check_inside(points, image, points_name, image_name)
    if outside.any() and notices is not None:
        notices.warning(
            "landmarks-outside",
            f"{points_name}: {np.count_nonzero(outside)} of {len(outside)} points lie outside "
            f"{image_name} and were left out, {_example(points.names, points.positions, outside)}.",
        )
    names = tuple(name for name, out in zip(points.names, outside) if not out)
    return Points(names, points.positions[~outside])


def check_inside(points, image, points_name, image_name):
    """Refuses, with InputError, points more than half a voxel outside an image's outermost ones."""
    outside = _outside(points.positions, image)
    if outside.any():
        raise InputError(
            f"{points_name}: {np.count_nonzero(outside)} of {len(outside)} points lie outside "
            f"{image_name}, {_example(points.names, points.positions, outside)}; "
            "are the coordinates mm, and LPS or RAS as said?"
        )


def _outside(positions, image):
    grid = grid_of(image)
    indices = grid.indices(positions)
    return ((indices < -0.5) | (indices > np.array(grid.size) - 0.5)).any(axis=1)


def _example(names, positions, chosen):
    first = int(np.flatnonzero(chosen)[0])
    place = ", ".join(f"{mm:.1f}" for mm in positions[first])
    return f"such as {names[first]!r} at ({place}) mm LPS"


def transform_points(points, transform):
    """Returns points carried by a transform, from the fixed to the moving image.

    A displacement field carries nothing outside its grid; see `check_inside`.
    """
    carried = [transform.TransformPoint([float(mm) for mm in p]) for p in points.positions]
    return Points(points.names, np.reshape(carried, (-1, 3)))


def displacement_field(transform):
    """Returns the image in a displacement field's transform, None for any other transform."""
    if transform.GetTransformEnum() != sitk.sitkDisplacementField:
        return None
    return sitk.DisplacementFieldTransform(transform).GetDisplacementField()
