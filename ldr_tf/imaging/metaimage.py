"""Headers of MetaImage files, checked before ITK sees them.

MetaIO crashes on numbers of dimensions that no image has, prints to the screen what it does not
like, passes over damage in packed voxels, and takes 1 mm for a spacing that is not given.
"""

import os

import numpy as np

from ldr_tf.errors import InputError
from ldr_tf.imaging.geometry import HeaderFacts
from ldr_tf.imaging.unpacking import (
    check_exists,
    check_length,
    check_memory,
    check_zlib,
    damaged,
)

_LINE = 4096
_LINES = 1000
_FLAT = 1e-6
_BYTES = {
    "MET_CHAR": 1,
    "MET_UCHAR": 1,
    "MET_SHORT": 2,
    "MET_USHORT": 2,
    "MET_INT": 4,
    "MET_UINT": 4,
    "MET_LONG": 4,
    "MET_ULONG": 4,
    "MET_LONG_LONG": 8,
    "MET_ULONG_LONG": 8,
    "MET_FLOAT": 4,
    "MET_DOUBLE": 8,
}
_UNITS = {"mm": "mm", "um": "um", "cm": "cm", "m": "m"}
_SPACING = ("ElementSpacing", "ElementSize")
_AXES = ("TransformMatrix", "Orientation", "Rotation")
_ORIGIN = ("Offset", "Position", "Origin")


def check_metaimage(path):
    """Returns the HeaderFacts of a file whose header and length are as ITK can take them.

    Raises:
      InputError: naming the file and the field.
    """
    fields, offset = _fields(path)
    dimensions = _whole(path, fields, "NDims", range(2, 5))
    sizes = _numbers(path, fields, "DimSize", dimensions, int)
    if min(sizes) < 1:
        raise InputError(f"{path}: DimSize must be above zero, not {fields['DimSize']}.")
    spacing = next((name for name in _SPACING if name in fields), None)
    if spacing is None or not fields[spacing]:
        raise InputError(f"{path}: the header gives no voxel spacing (ElementSpacing).")
    if not all(value > 0 for value in _numbers(path, fields, spacing, dimensions, float, False)):
        raise InputError(f"{path}: the voxel spacing must be above zero, not {fields[spacing]}.")
    axes = next((name for name in _AXES if name in fields), None)
    for name, count in ((axes, dimensions**2), *((name, dimensions) for name in _ORIGIN)):
        if name in fields:
            _numbers(path, fields, name, count, float)
    if axes is not None:
        matrix = np.reshape([float(word) for word in fields[axes].split()], (dimensions,) * 2)
        if abs(np.linalg.det(matrix)) < _FLAT:
            raise InputError(f"{path}: {axes} must span a volume; two of its axes point alike.")
    kind = fields.get("ElementType", "")
    if kind.upper() not in _BYTES:
        raise InputError(f"{path}: ElementType {kind!r} is none of {', '.join(_BYTES)}.")
    channels = 1
    if "ElementNumberOfChannels" in fields:
        channels = _whole(path, fields, "ElementNumberOfChannels", range(1, 65))
    length = int(np.prod([*sizes, channels], dtype=object)) * _BYTES[kind.upper()]
    _check_voxels(path, fields, offset, length)
    return HeaderFacts(axes is not None, _UNITS.get(fields.get("DistanceUnits", "").lower()))


def _check_voxels(path, fields, offset, length):
    name = fields.get("ElementDataFile", "")
    if not 0 < len(name) < 256 or name.upper().split()[0] == "LIST" or "%" in name:
        raise InputError(
            f"{path}: ElementDataFile must be LOCAL or the name of one file, not {name[:60]!r}."
        )
    skip = _whole(path, fields, "HeaderSize") if "HeaderSize" in fields else 0
    if name.upper() == "LOCAL":
        data, skip = path, offset
    else:
        data = os.path.join(os.path.dirname(path), name)
        check_exists(data)
        if os.path.isdir(data):
            raise InputError(f"{data}: is a folder, the voxels of {path} were expected.")
        skip = max(0, skip)
    if fields.get("CompressedData", "False").lower() not in ("true", "1"):
        check_length(data, skip, length)
        return
    if "CompressedDataSize" in fields:
        packed = _whole(path, fields, "CompressedDataSize")
        if os.path.getsize(data) < skip + packed:
            raise InputError(damaged(data))
    check_memory(data, length)
    check_zlib(data, skip, length)


def _fields(path):
    """Returns the fields of the header and the bytes it takes."""
    fields, offset = {}, 0
    with open(path, "rb") as file:
        for _ in range(_LINES):
            line = file.readline(_LINE)
            offset += len(line)
            text = line.decode("latin-1")
            key, sign, value = text.partition("=" if "=" in text else ":")
            key = key.strip()
            if not sign or len(line) >= _LINE or "\0" in text:
                break
            fields[key] = value.strip()
            if key == "ElementDataFile":
                return fields, offset
    raise InputError(f"{path}: the header has no ElementDataFile; damaged, or no MetaImage file.")


def _whole(path, fields, name, allowed=None):
    (value,) = _numbers(path, fields, name, 1, int)
    if allowed is not None and value not in allowed:
        raise InputError(
            f"{path}: {name} must be {allowed.start} to {allowed.stop - 1}, not {value}."
        )
    return value


def _numbers(path, fields, name, count, kind, finite=True):
    text = fields.get(name, "")
    try:
        values = [kind(word) for word in text.split()]
        if len(values) == count and (not finite or np.isfinite(np.array(values, float)).all()):
            return values
    except (ValueError, OverflowError):
        pass
    what = "whole numbers" if kind is int else "finite numbers"
    raise InputError(f"{path}: {name} must be {count} {what}, not {text[:80]!r}.")
