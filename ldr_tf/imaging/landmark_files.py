"""Landmark files: CSV, 3D Slicer's .fcsv and .mrk.json, elastix's point lists; CSV out.

What a file is, its first characters say. Slicer's files say themselves whether they are LPS or RAS.
"""

import csv
import io
import math
import os
import re

import numpy as np

from ldr_tf.errors import InputError
from ldr_tf.files import atomic_path
from ldr_tf.imaging.points import Points
from ldr_tf.imaging.unpacking import check_exists
from ldr_tf.imaging.writing import check_file_place
from ldr_tf.json_text import parse_json

SPACES = ("LPS", "RAS")
ENDINGS = (".csv", ".fcsv", ".json", ".txt", ".pts")
"""Endings that landmark files have; what one is, its content says."""

_AXES = ("x", "y", "z")
_FROM_RAS = np.array([-1.0, -1.0, 1.0])
_SLICER_SPACES = {"0": "RAS", "1": "LPS", "RAS": "RAS", "LPS": "LPS"}
_SLICER_COLUMNS = "id,x,y,z,ow,ox,oy,oz,vis,sel,lock,label,desc,associatedNodeID"
_MM = {"mm": 1.0, "cm": 10.0, "m": 1000.0, "um": 1e-3}
_ALONE = (
    "the coordinates must be points in mm, after a first line 'point'; voxel indices need a scan"
)


def read_points(path, space="LPS", notices=None):
    """Reads landmarks.

    Args:
      path: a CSV file with the columns name, x, y, z in its first line, separated by commas,
        semicolons or tabs (with these two, decimal commas are understood), other columns passed
        over; 3D Slicer's .fcsv or .mrk.json; or elastix's list: "point", their number, a line of
        three coordinates each, named by their numbers from 1 on.
      space: "LPS" (ITK's, DICOM's) or "RAS" (NIfTI's), mm, where the file does not say.
      notices: a Notices, or None.

    Returns:
      `Points`, LPS.

    Raises:
      InputError: naming the file and the line: missing, a column missing, no number, a name twice.
    """
    path = os.fspath(path)
    check_exists(path)
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            text = file.read()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}).") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is not a CSV file.") from error
    start = text.lstrip()[:200].lower()
    if start.startswith("{"):
        rows, space = _from_json(path, text, notices)
    elif start.startswith("#"):
        rows, space = _from_fcsv(path, text)
    elif re.match(r"(point|index|\d+)\s*[\r\n]", start):
        rows = _from_elastix(path, text)
    else:
        rows = _from_csv(path, text)
    names, positions = {}, []
    for place, name, position in rows:
        if not name or name in names:
            raise InputError(
                f"{path}: {place}: "
                + (f"the name {name[:60]!r} is there twice." if name else "has no name.")
            )
        names[name] = None
        positions.append(position)
    if not names:
        raise InputError(f"{path}: holds no points.")
    positions = np.array(positions)
    return Points(tuple(names), positions * _FROM_RAS if space == "RAS" else positions)


def write_points(points, path, space="LPS"):
    """Writes landmarks as CSV, to a ten-thousandth of a mm, atomically.

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


def _from_csv(path, text):
    """Yields (place, name, position) of each line."""
    first = text.splitlines()[0] if text else ""
    separator = next((sign for sign in ";\t" if sign in first), ",")
    yield from _table(path, csv.DictReader(io.StringIO(text), delimiter=separator), "name")


def _from_fcsv(path, text):
    """Returns rows as of `_from_csv`, and the space."""
    comments = [line[1:].strip() for line in text.splitlines() if line.startswith("#")]
    said = dict(part.split("=", 1) for part in comments if "=" in part)
    said = {name.strip().lower(): value.strip() for name, value in said.items()}
    system = said.get("coordinatesystem", "RAS").upper()
    if system not in _SLICER_SPACES:
        raise InputError(f"{path}: CoordinateSystem must be LPS or RAS, not {system[:60]!r}.")
    columns = said.get("columns", _SLICER_COLUMNS).split(",")
    lines = [line if not line.startswith("#") else "" for line in text.splitlines()]
    reader = csv.DictReader(lines, fieldnames=columns)
    return list(_table(path, reader, "label", "id")), _SLICER_SPACES[system]


def _table(path, reader, *naming):
    """Yields (place, name, position) of a table's rows; `naming`: columns of names, in order."""
    try:
        columns = {str(name).strip().lower(): name for name in reader.fieldnames or ()}
        missing = [name for name in (naming[0], *_AXES) if name not in columns]
        if missing:
            raise InputError(
                f"{path}: the first line must name the columns {naming[0]}, x, y, z; "
                f"{', '.join(missing)} not found."
            )
        comma = reader.reader.dialect.delimiter != ","
        for row in reader:
            words = [(row.get(columns[name]) or "").strip() for name in naming if name in columns]
            name = next((word for word in words if word), "")
            place = f"line {reader.line_num}"
            values = [row[columns[axis]] for axis in _AXES]
            yield place, name, [_number(value, path, place, comma) for value in values]
    except csv.Error as error:
        raise InputError(f"{path}: is not a CSV file.") from error


def _from_json(path, text, notices):
    """Returns rows as of `_from_csv`, in mm, and the space, which is that of the first list."""
    try:
        lists = parse_json(text, path)["markups"]
        rows, spaces, undefined = [], [], 0
        for markups in lists:
            system = str(markups.get("coordinateSystem", "LPS")).upper()
            unit = markups.get("coordinateUnits", "mm")
            unit = unit[0] if isinstance(unit, list) else unit
            if system not in _SLICER_SPACES or unit not in _MM:
                raise InputError(
                    f"{path}: coordinates must be LPS or RAS and in mm, not {system[:60]} in "
                    f"{str(unit)[:60]}."
                )
            spaces.append(_SLICER_SPACES[system])
            for number, point in enumerate(markups.get("controlPoints") or (), start=1):
                place = f"control point {number}"
                if point.get("positionStatus", "defined") != "defined":
                    undefined += 1
                    continue
                name = str(point.get("label") or point.get("id") or "").strip()
                position = point["position"]
                if not isinstance(position, list) or len(position) != 3:
                    raise InputError(f"{path}: {place}: the position must be three numbers.")
                position = [_MM[unit] * _number(mm, path, place) for mm in position]
                rows.append((place, name, position))
    except InputError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, IndexError) as error:
        raise InputError(f"{path}: is no list of landmarks as 3D Slicer writes it.") from error
    if len(set(spaces)) > 1:
        raise InputError(f"{path}: its lists are of LPS and of RAS; one of them was expected.")
    if undefined and notices is not None:
        notices.notice(
            "landmarks-undefined", f"{path}: {undefined} points have no position; left out."
        )
    return rows, spaces[0] if spaces else "LPS"


def _from_elastix(path, text):
    """Yields (place, name, position) of an elastix list."""
    lines = text.splitlines()
    words = lines[0].split()
    if words != ["point"]:
        raise InputError(f"{path}: {_ALONE}.")
    try:
        count = int(lines[1].split()[0])
    except (IndexError, ValueError) as error:
        raise InputError(f"{path}: line 2: the number of points was expected.") from error
    rows = [(n, line.split()) for n, line in enumerate(lines[2:], start=3) if line.strip()]
    if len(rows) != count:
        raise InputError(f"{path}: holds {len(rows)} points, {count} by its second line.")
    for number, (line, values) in enumerate(rows, start=1):
        place = f"line {line}"
        if len(values) != 3:
            raise InputError(f"{path}: {place}: three numbers were expected.")
        yield place, str(number), [_number(value, path, place) for value in values]


def _number(text, path, place, comma=False):
    try:
        value = float(text.replace(",", ".") if comma and isinstance(text, str) else text)
    except (TypeError, ValueError, OverflowError):
        value = math.nan
    if not math.isfinite(value):
        text = str(text)[:60]
        raise InputError(f"{path}: {place}: x, y and z must be numbers (mm), not {text!r}.")
    return value
