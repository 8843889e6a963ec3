"""What ITK overlooks in files: too few bytes, NaN, and spacings that are not above zero.

ITK reads a NIfTI file that was cut off without a word and leaves the rest of the memory as it was,
it turns NaN and infinite voxels of NIfTI files into 0, and it repairs a spacing of zero or below.
MetaImage files that were cut off make it print to the screen. It takes 1 mm for a spacing that
MetaImage and NRRD files do not give.
"""

import gzip
import os
import struct
import zlib

import numpy as np

from ldr_tf.errors import InputError
from ldr_tf.imaging.endings import META, NIFTI, NRRD

_NIFTI_FLOATS = {16: "f4", 64: "f8"}
_BLOCK = 1 << 20
_META_BYTES = {
    "MET_CHAR": 1,
    "MET_UCHAR": 1,
    "MET_SHORT": 2,
    "MET_USHORT": 2,
    "MET_INT": 4,
    "MET_UINT": 4,
    "MET_FLOAT": 4,
    "MET_DOUBLE": 8,
    "MET_LONG_LONG": 8,
    "MET_ULONG_LONG": 8,
}


def check_file(path):
    """Refuses a file that is missing, empty or cut off, or whose spacing is not above zero.

    Of NIfTI and Analyze files also one that holds NaN or infinite voxels.

    Raises:
      InputError: naming the file.
    """
    check_exists(path)
    name = path.lower()
    try:
        if name.endswith(NIFTI):
            _check_nifti(path)
        elif name.endswith(META):
            _check_meta(path)
        elif name.endswith(NRRD):
            _check_nrrd(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}).") from error


def check_exists(path):
    """Refuses, with InputError, a file that is missing or empty."""
    if not os.path.exists(path):
        raise InputError(f"{path}: no such file or folder.")
    if os.path.isfile(path) and os.path.getsize(path) == 0:
        raise InputError(f"{path}: the file is empty.")


def _check_nifti(path):
    """NIfTI-1 and Analyze: the header's 348 bytes are laid out alike as far as used here."""
    header_path, data_path = path, path
    if not path.lower().endswith((".nii", ".nii.gz")):
        header_path, data_path = _analyze_pair(path)
    try:
        with _open(header_path) as file:
            header = file.read(348)
        if len(header) < 348:
            raise EOFError
        order = "<" if 1 <= struct.unpack_from("<h", header, 40)[0] <= 7 else ">"
        if struct.unpack_from(order + "i", header, 0)[0] != 348:
            return  # another kind of file: ITK says so
        dimensions = struct.unpack_from(order + "8h", header, 40)
        used = dimensions[1 : 1 + max(0, min(dimensions[0], 7))]
        spacing = struct.unpack_from(order + "3f", header, 80)
        if not all(value > 0 for value in spacing[: min(3, len(used))]):
            numbers = " ".join(f"{value:g}" for value in spacing)
            raise InputError(f"{path}: the voxel spacing must be above zero, not {numbers}.")
        kind, bits = struct.unpack_from(order + "2h", header, 70)
        offset = int(max(0, struct.unpack_from(order + "f", header, 108)[0]))
        dtype = _NIFTI_FLOATS.get(kind)
        _check_voxels(data_path, offset, _product(used) * bits // 8, dtype and order + dtype)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(f"{data_path}: the file is truncated or damaged.") from error


def _check_voxels(path, offset, length, dtype):
    """Reads a file to its end, which also checks a packed one's sum.

    Args:
      path: a file, packed or not.
      offset, length: bytes before the voxels and of the voxels.
      dtype: of voxels that could be NaN; None for others, whose plain file is only measured.

    Raises:
      EOFError: the file is too short.
      InputError: NaN or infinite voxels.
    """
    if dtype is None and not _is_packed(path):
        if os.path.getsize(path) < offset + length:
            raise EOFError
        return
    with _open(path) as file:
        file.read(offset)
        found = 0
        while True:
            block = file.read(_BLOCK)
            if not block:
                break
            if dtype and found < length:
                voxels = block[: min(len(block), length - found)]
                values = np.frombuffer(voxels, dtype, len(voxels) // np.dtype(dtype).itemsize)
                if not np.isfinite(values).all():
                    raise InputError(f"{path}: holds NaN or infinite voxels; all must be finite.")
            found += len(block)
    if found < length:
        raise EOFError


def _is_packed(path):
    with open(path, "rb") as file:
        return file.read(2) == b"\x1f\x8b"


def _open(path):
    return gzip.open(path, "rb") if _is_packed(path) else open(path, "rb")


def _analyze_pair(path):
    stem = path[: path.lower().rindex(".hdr" if path.lower().endswith(".hdr") else ".img")]
    upper = path.endswith(("HDR", "IMG"))
    header = stem + (".HDR" if upper else ".hdr")
    candidates = [stem + (".IMG" if upper else ".img"), stem + ".img.gz"]
    data = next((name for name in candidates if os.path.exists(name)), candidates[0])
    for name in (header, data):
        check_exists(name)
    return header, data


def _check_meta(path):
    fields, offset = _meta_header(path)
    spacing = fields.get("ElementSpacing", fields.get("ElementSize", "")).split()
    if fields and not spacing:
        raise InputError(f"{path}: the header gives no voxel spacing (ElementSpacing).")
    if not all(_is_positive(value) for value in spacing):
        raise InputError(f"{path}: the voxel spacing must be above zero, not {' '.join(spacing)}.")
    name = fields.get("ElementDataFile", "")
    local = name.upper() == "LOCAL"
    if not local and (not name or name.upper().startswith("LIST") or "%" in name):
        return
    data = path if local else os.path.join(os.path.dirname(path), name)
    check_exists(data)
    if fields.get("CompressedData", "False").lower() == "true":
        needed = int(fields.get("CompressedDataSize", 0))
    else:
        size = [int(value) for value in fields.get("DimSize", "").split()]
        channels = int(fields.get("ElementNumberOfChannels", 1))
        needed = _product(size) * channels * _META_BYTES.get(fields.get("ElementType"), 0)
    if os.path.getsize(data) - (offset if local else 0) < needed:
        raise InputError(f"{data}: the file is truncated or damaged.")


def _meta_header(path):
    """Returns the fields of a MetaImage header and the bytes it takes."""
    fields, offset = {}, 0
    with open(path, "rb") as file:
        for _ in range(1000):
            line = file.readline(4096)
            offset += len(line)
            key, equals, value = line.decode("latin-1").partition("=")
            if not equals:
                break
            fields[key.strip()] = value.strip()
            if key.strip() == "ElementDataFile":
                break
    return fields, offset


def _check_nrrd(path):
    with open(path, "rb") as file:
        if file.read(4) != b"NRRD":
            return  # another kind of file: ITK says so
        lines = [file.readline(4096).strip() for _ in range(1000)]
    header = lines[: lines.index(b"")] if b"" in lines else lines
    if not any(line.startswith((b"spacings:", b"space directions:")) for line in header):
        raise InputError(f"{path}: the header gives no voxel spacing (spacings).")


def _is_positive(text):
    try:
        return float(text) > 0
    except ValueError:
        return False


def _product(values):
    product = 1
    for value in values:
        product *= value
    return product
