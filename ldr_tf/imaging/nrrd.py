"""Headers of NRRD files, checked before ITK sees them.

ITK's reader ends the process on long fields, takes 1 mm for a spacing that is not given and any
unit for mm.
"""

import os
import re

import numpy as np

from ldr_tf.errors import InputError
from ldr_tf.imaging.geometry import HeaderFacts
from ldr_tf.imaging.unpacking import RATIO, check_exists, check_length, check_memory, check_zlib

_LINE = 1 << 16
_FIELD = 500
_TYPES = {
    1: "signed char, int8, int8_t, uchar, unsigned char, uint8, uint8_t",
    2: "short, short int, signed short, signed short int, int16, int16_t, "
    "ushort, unsigned short, unsigned short int, uint16, uint16_t",
    4: "int, signed int, int32, int32_t, uint, unsigned int, uint32, uint32_t, float",
    8: "longlong, long long, long long int, signed long long, signed long long int, int64, "
    "int64_t, ulonglong, unsigned long long, unsigned long long int, uint64, uint64_t, double",
}
_BYTES = {name: size for size, names in _TYPES.items() for name in names.split(", ")}
_UNITS = {"mm": "mm", "um": "um", "µm": "um", "micron": "um", "cm": "cm", "m": "m", "nm": "nm"}
_UNITS.update(millimeter="mm", meter="m", centimeter="cm", micrometer="um")
_WITHOUT_DIRECTIONS = ("", "scanner-xyz", "3d-right-handed", "3d-left-handed")
_SKIPS = ("line skip", "lineskip", "byte skip", "byteskip")
_VECTOR = re.compile(r"none|\([^()]*\)")


def check_nrrd(path):
    """Returns the HeaderFacts of a file whose header and length are as ITK can take them.

    Raises:
      InputError: naming the file and the field.
    """
    fields, offset = _fields(path)
    (dimension,) = _whole(path, fields, "dimension", 1)
    if not 2 <= dimension <= 5:
        raise InputError(f"{path}: the dimension must be 2 to 5, not {dimension}.")
    sizes = _whole(path, fields, "sizes", dimension)
    if min(sizes) < 1:
        raise InputError(f"{path}: the sizes must be above zero, not {fields['sizes']}.")
    kind = " ".join(fields.get("type", "").lower().split())
    if kind not in _BYTES:
        raise InputError(f"{path}: the type of voxel {kind[:80]!r} is none of NRRD's for a scan.")
    _check_axes(path, fields, dimension)
    length = int(np.prod(sizes, dtype=object)) * _BYTES[kind]
    _check_voxels(path, fields, offset, length)
    space = fields.get("space", "").lower()
    return HeaderFacts(space not in _WITHOUT_DIRECTIONS, _unit(fields))


def _check_axes(path, fields, dimension):
    directions, spacings = fields.get("space directions"), fields.get("spacings")
    if directions is None and spacings is None:
        raise InputError(f"{path}: the header gives no voxel spacing (spacings).")
    if directions is not None:
        vectors = _VECTOR.findall(directions)
        if len(vectors) != dimension or _VECTOR.sub("", directions).strip():
            raise InputError(
                f"{path}: space directions must be {dimension} vectors, not {directions[:80]!r}."
            )
        for vector in vectors:
            if vector != "none":
                _check_vector(path, "space directions", vector)
    if "space origin" in fields:
        _check_vector(path, "space origin", fields["space origin"])
    if spacings is not None:
        try:
            values = [float(word) for word in spacings.split()]
        except ValueError:
            values = []
        # Axes that are no lengths, such as those of vectors, have the spacing NaN.
        known = [value for value in values if not np.isnan(value)]
        if len(values) != dimension or len(known) < min(2, dimension) or min(known) <= 0:
            raise InputError(f"{path}: the voxel spacing must be above zero, not {spacings[:80]}.")
        if directions is None and len(known) < min(3, dimension):
            raise InputError(f"{path}: the voxel spacing must be above zero, not {spacings[:80]}.")


def _check_vector(path, name, text):
    try:
        values = [float(word) for word in text.strip("() ").split(",")]
    except ValueError:
        values = [np.nan]
    if not np.isfinite(values).all():
        raise InputError(f"{path}: {name} must be vectors of finite numbers, not {text[:80]!r}.")


def _check_voxels(path, fields, offset, length):
    name = fields.get("data file", fields.get("datafile", ""))
    if name.upper().split()[:1] == ["LIST"] or "%" in name or len(name) > 255:
        raise InputError(f"{path}: its data file must be one file, not {name[:60]!r}.")
    skips = [name for name in _SKIPS if fields.get(name, "0") != "0"]
    skipped = any(_whole(path, fields, name, 1) for name in skips)
    data = os.path.join(os.path.dirname(path), name) if name else path
    check_exists(data)
    if os.path.isdir(data):
        raise InputError(f"{data}: is a folder, the voxels of {path} were expected.")
    offset = 0 if name else offset
    encoding = fields.get("encoding", "").lower()
    if encoding == "raw":
        check_length(data, offset, length)
    elif encoding in ("gzip", "gz"):
        check_memory(data, length)
        if skipped:
            check_length(data, 0, length // RATIO)
        else:
            check_zlib(data, offset, length)
    elif encoding in ("txt", "text", "ascii", "hex"):
        check_memory(data, length)
    else:
        raise InputError(f"{path}: the encoding {encoding[:80]!r} is not raw, gzip, ascii or hex.")


def _fields(path):
    """Returns the fields of the header, lower case, and the bytes it takes."""
    with open(path, "rb") as file:
        if file.read(4) != b"NRRD":
            raise InputError(f"{path}: damaged, or no NRRD file.")
        file.readline(_LINE)
        fields = {}
        for _ in range(_LINE):
            line = file.readline(_LINE)
            text = line.decode("utf-8", "replace").strip()
            if not text:
                return fields, file.tell()
            if not line.endswith(b"\n"):
                break
            if text.startswith("#") or re.match(r"[^:]+:=", text):
                continue
            name, sign, value = text.partition(":")
            name = name.strip().lower()
            if not sign or (len(line) > _FIELD and name != "content"):
                raise InputError(f"{path}: a line of the header is no field: {text[:80]!r}.")
            fields[name] = value.strip()
    raise InputError(f"{path}: the header does not end; damaged, or no NRRD file.")


def _whole(path, fields, name, count):
    text = fields.get(name, "")
    try:
        values = [int(word) for word in text.split()]
    except ValueError:
        values = []
    if len(values) != count:
        raise InputError(f"{path}: {name} must be {count} whole numbers, not {text[:80]!r}.")
    return values


def _unit(fields):
    """Returns the unit of the axes in space, where they have one."""
    text = fields.get("space units", fields.get("units", ""))
    words = {word.strip('"').lower() for word in re.findall(r'"[^"]*"|\S+', text)}
    known = {_UNITS[word] for word in words if word in _UNITS}
    return known.pop() if len(known) == 1 else None
