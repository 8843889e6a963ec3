"""Lists of pairs of scans, as CSV files."""

import csv
import os

from ldr_tf.errors import InputError
from ldr_tf.imaging import scan_stem
from ldr_tf.registration.pair import PairFiles

_REQUIRED = ("fixed", "moving")
_PATHS = (
    *_REQUIRED,
    *(f"{side}_{what}" for what in ("labels", "points", "mask") for side in _REQUIRED),
)


def read_pairs(path, output, placed=None):
    """Reads a list of pairs.

    Args:
      path: a CSV file with the columns fixed and moving, and any of fixed_labels, moving_labels,
        fixed_points, moving_points, fixed_mask, moving_mask, output. Paths are seen from the file's
        own folder, `~` is the home folder; `output` is a name below the output folder, by default
        MOVING_to_FIXED.
      output: the output folder.
      placed: takes a PairFiles and returns it with the folder and the names of its results, in
        place of the column output; it may raise an InputError.

    Returns:
      A list of `PairFiles`.

    Raises:
      InputError: naming the file and the line.
    """
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, skipinitialspace=True)
            _check_columns(path, reader.fieldnames or [])
            rows = [(reader.line_num, row) for row in reader]
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}).") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: is not a CSV file.") from error
    if not rows:
        raise InputError(f"{path}: lists no pairs.")
    pairs, lines = [], {}
    for line, row in rows:
        pair = _pair(row, f"{path}: line {line}", os.path.dirname(path), output, placed)
        place = os.path.normpath(pair.place)
        if place in lines:
            both = f"{path}: lines {lines[place]} and {line} have one"
            name = os.path.basename(place)
            if placed:
                raise InputError(f"{both} name for their results ({name}); leave one out.")
            raise InputError(f"{both} output folder ({name}); name another in the column output.")
        lines[place] = line
        pairs.append(pair)
    return pairs


def _check_columns(path, columns):
    known = (*_PATHS, "output")
    for name in columns:
        if name not in known:
            raise InputError(f"{path}: unknown column {name!r}; known are {', '.join(known)}.")
    for name in _REQUIRED:
        if name not in columns:
            raise InputError(f"{path}: the first line must name the columns; {name} not found.")


def _pair(row, place, folder, output, placed):
    if None in row:
        raise InputError(f"{place}: has more values than the first line has columns.")
    values = {name: (value or "").strip() for name, value in row.items()}
    for name in _REQUIRED:
        if not values[name]:
            raise InputError(f"{place}: has no value for {name}.")
    given = values.pop("output", "")
    if placed and given:
        raise InputError(f"{place}: output must be empty: the scans' names say where results go.")
    name = given or f"{scan_stem(values['moving'])}_to_{scan_stem(values['fixed'])}"
    if os.path.isabs(name) or os.path.normpath(name).split(os.sep)[0] in (os.pardir, os.curdir):
        raise InputError(f"{place}: output must be a name below the output folder, not {name!r}.")
    paths = {
        key: os.path.join(folder, os.path.expanduser(value)) if value else None
        for key, value in values.items()
    }
    pair = PairFiles(output=os.path.join(output, name), **paths)
    if placed is None:
        return pair
    try:
        return placed(pair)
    except InputError as error:
        raise InputError(f"{place}: {error}") from error
