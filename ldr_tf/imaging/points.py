"""Landmarks: CSV files of names and points in mm, and points through transforms."""

import csv
import dataclasses
import io
import os

import numpy as np
import SimpleITK as sitk

from ldr_tf.errors import InputError
from ldr_tf.files import atomic_path
from ldr_tf.imaging.grid import grid_of
from ldr_tf.imaging.writing import check_file_place

SPACES = ("LPS", "RAS")
_AXES = ("x", "y", "z")
_FROM_RAS = np.array([-1.0, -1.0, 1.0])


@dataclasses.dataclass(frozen=True)
class Points:
    """Named points.

    Attributes:
      names: one a point, each once.
      positions: float64 [n, 3], mm, LPS.
    """

    names: tuple[str, ...]
    positions: np.ndarray


def read_points(path, space="LPS"):
    """Reads landmarks from a CSV file with the columns name, x, y, z in its first line.

    Args:
      path: the file; other columns are passed over.
      space: "LPS" (ITK's, DICOM's) or "RAS" (NIfTI's, 3D Slicer's), mm.

    Returns:
      `Points`, LPS.

    Raises:
      InputError: naming the file and the line: missing, a column missing, no number, a name twice.
    """
    path = os.fspath(path)
    names, positions = [], []
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file)
            columns = {str(name).strip().lower(): name for name in rows.fieldnames or ()}
            missing = [name for name in ("name", *_AXES) if name not in columns]
            if missing:
                raise InputError(
                    f"{path}: the first line must name the columns name, x, y, z; "
                    f"{', '.join(missing)} not found."
                )
            for row in rows:
                name = (row[columns["name"]] or "").strip()
                if not name or name in names:
                    raise InputError(
                        f"{path}: line {rows.line_num}: "
                        + (f"the name {name!r} is there twice." if name else "has no name.")
                    )
                names.append(name)
                positions.append([_number(row[columns[a]], path, rows.line_num) for a in _AXES])
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}).") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: is not a CSV file.") from error
    if not names:
        raise InputError(f"{path}: holds no points.")
    positions = np.array(positions)
    return Points(tuple(names), positions * _FROM_RAS if space == "RAS" else positions)


def write_points(points, path, space="LPS"):
    """Writes landmarks as `read_points` reads them, to a ten-thousandth of a mm, atomically.

    Raises:
      InputError: the folder is missing or refuses the file.
    """
    check_file_place(path)
    positions = points.positions * _FROM_RAS if space == "RAS" else points.positions
    rows = [(name, *(f"{mm:.4f}" for mm in p)) for name, p in zip(points.names, positions)]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([("name", *_AXES), *rows])
    try:
        with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
            file.write(text.getvalue())
    except OSError as error:
        raise InputError(f"{path}: cannot be written.") from error


def match_points(fixed, moving):
    """Returns the names that both sides have and their positions, [n, 3] each, in fixed's order.

    Raises:
      InputError: no name is on both sides.
    """
    names = [name for name in fixed.names if name in moving.names]
    if not names:
        raise InputError("the fixed and the moving landmarks have no name in common.")
    pick = [fixed.names.index(name) for name in names], [moving.names.index(n) for n in names]
    return tuple(names), fixed.positions[pick[0]], moving.positions[pick[1]]


def check_inside(points, image, points_name, image_name):
    """Refuses, with InputError, points more than half a voxel outside an image's outermost ones."""
    grid = grid_of(image)
    indices = grid.indices(points.positions)
    outside = ((indices < -0.5) | (indices > np.array(grid.size) - 0.5)).any(axis=1)
    if outside.any():
        first = int(np.flatnonzero(outside)[0])
        place = ", ".join(f"{mm:.1f}" for mm in points.positions[first])
        raise InputError(
            f"{points_name}: {np.count_nonzero(outside)} of {len(outside)} points lie outside "
            f"{image_name}, such as {points.names[first]!r} at ({place}) mm LPS; "
            "are the coordinates mm, and LPS or RAS as said?"
        )


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


def _number(text, path, line):
    try:
        value = float(text)
    except (TypeError, ValueError):
        value = np.nan
    if not np.isfinite(value):
        raise InputError(f"{path}: line {line}: x, y and z must be numbers (mm), not {text!r}.")
    return value
