"""NIfTI-1, NIfTI-2 and Analyze: headers by nibabel, checked field by field, voxels by NumPy.

ITK is not asked: it takes the qform for the sform, turns NaN into 0, repairs a spacing of zero,
and reads a file that was cut off without a word.
"""

import os

import numpy as np
import SimpleITK as sitk

from ldr_tf.errors import InputError
from ldr_tf.imaging.endings import NIFTI
from ldr_tf.imaging.geometry import NiftiForms, check_spacing, nifti_affine, place
from ldr_tf.imaging.unpacking import check_exists, check_length, first_bytes, read_bytes

_UNITS = {1: "m", 2: "mm", 3: "um"}
_DISPLACEMENT_RAS = 1006
"""Intent code of vectors along RAS, as ITK understands it."""

_REAL = ("u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8")
_QUATERNION_ROUNDING = 1e-3
_QUATERNION_LEAST = 3 * float(np.finfo(np.float32).eps)


def is_nifti(path, start):
    """Whether a file is NIfTI or Analyze, by its first bytes (unpacked) and its name.

    The name counts for pairs of files, whose voxels have no mark, and for broken headers.
    """
    return _header_kind(start) is not None or path.lower().endswith(NIFTI)


def read_nifti(path, notices, interpolation="linear", outside=None):
    """Reads an image of one real number a voxel, or of vectors, placed by `geometry`'s rules.

    Args:
      path: .nii, packed or not, or either file of a pair .hdr and .img.
      notices: a Notices.
      interpolation, outside: see `ldr_tf.imaging.geometry.place`.

    Returns:
      A SimpleITK image: integers as stored, float32 where the header scales them.

    Raises:
      InputError: naming the file and the field.
    """
    from nibabel.spatialimages import HeaderDataError

    header_path, data_path = _pair(path)
    header, single = _header(header_path)
    size, components = _size(header, path)
    try:
        dtype = header.get_data_dtype()
    except (HeaderDataError, KeyError) as error:
        raise InputError(
            f"{path}: the type of voxel {int(header['datatype'])} is none of NIfTI's."
        ) from error
    if dtype.base.str[1:] not in _REAL:
        kind = "complex numbers" if dtype.kind == "c" else "colours (3 values a voxel)"
        kind = f"{8 * dtype.itemsize} bit floats" if dtype.kind == "f" else kind
        raise InputError(f"{path}: a scan must hold one real number a voxel, not {kind}.")
    check_spacing([float(value) for value in header["pixdim"][1:4]], path)
    affine = nifti_affine(_forms(header, size), path, notices)
    slope, inter = _scaling(header, path, notices)
    offset = _offset(header, path, single)
    length = int(np.prod([*size, components], dtype=object)) * dtype.itemsize
    check_length(data_path, offset, length)
    values = read_bytes(data_path, offset, length, notices).view(dtype)
    shape = (components, *size[::-1]) if components > 1 else size[::-1]
    values = _scaled(values.reshape(shape), slope, inter)
    if components > 1:
        values = np.ascontiguousarray(np.moveaxis(values, 0, -1))
        if int(header["intent_code"]) == _DISPLACEMENT_RAS:
            values[..., :2] *= -1
    image = sitk.GetImageFromArray(values, isVector=components > 1)
    return place(image, affine, path, notices, interpolation, outside)


def _pair(path):
    """Returns the files of header and voxels, the same one for .nii."""
    name = path.lower()
    ending = next((e for e in (".hdr", ".img", ".img.gz", ".hdr.gz") if name.endswith(e)), None)
    if ending is None or _header_kind(first_bytes(path, 540)) == (True, True):
        return path, path
    stem, upper = path[: -len(ending)], path.endswith(ending.upper())
    found = []
    for end in (".hdr", ".img"):
        end = end.upper() if upper else end
        candidates = [stem + end, stem + end.lower() + ".gz"]
        file = next((name for name in candidates if os.path.exists(name)), candidates[0])
        check_exists(file)
        found.append(file)
    return tuple(found)


def _header_kind(start):
    """Returns (is NIfTI-1 or 2 and not Analyze, is one file), None for anything else."""
    for order in ("<i4", ">i4"):
        length = int(np.frombuffer(start, order, 1)[0]) if len(start) >= 4 else 0
        magic = start[344:348] if length == 348 else start[4:8]
        if length in (348, 540):
            return magic[:2] in (b"n+", b"ni"), magic[:2] == b"n+"
    return None


def _header(path):
    """Returns nibabel's header, unchecked, and whether the voxels are in the same file."""
    # In functions: nibabel takes half a second to import, and who reads no NIfTI needs none.
    from nibabel.nifti1 import Nifti1Header
    from nibabel.nifti2 import Nifti2Header

    start = first_bytes(path, 540)
    kind = _header_kind(start)
    if kind is None or len(start) < 348:
        reason = "truncated or damaged" if len(start) < 348 else "damaged"
        raise InputError(f"{path}: {reason}, or no NIfTI or Analyze file.")
    little = int(np.frombuffer(start, "<i4", 1)[0]) in (348, 540)
    second = 540 in (int(np.frombuffer(start, "<i4", 1)[0]), int(np.frombuffer(start, ">i4", 1)[0]))
    if second and len(start) < 540:
        raise InputError(f"{path}: the file is truncated or damaged.")
    if not kind[0] and (second or path.lower().endswith((".nii", ".nii.gz"))):
        raise InputError(f"{path}: the header's magic is none of NIfTI's.")
    maker, length = (Nifti2Header, 540) if second else (Nifti1Header, 348)
    header = maker(start[:length], "<" if little else ">", check=False)
    if not kind[0]:  # Analyze: what NIfTI keeps here means something else
        for field in ("qform_code", "sform_code", "xyzt_units", "intent_code"):
            header[field] = 0
        header["scl_slope"], header["scl_inter"] = 0, 0
    return header, kind[1]


def _size(header, path):
    """Returns the voxels along three axes, and the numbers a voxel."""
    dims = [int(n) for n in header["dim"]]
    if not 1 <= dims[0] <= 7 or min(dims[1 : 1 + dims[0]]) < 1:
        raise InputError(
            f"{path}: the header's dimensions must be above zero, not {' '.join(map(str, dims))}."
        )
    used = dims[1 : 1 + dims[0]]
    if len(used) == 5 and used[3] == 1 and used[4] > 1:
        return tuple(used[:3]), used[4]
    while len(used) > 3 and used[-1] == 1:
        used.pop()
    if len(used) != 3:
        shape = "x".join(map(str, used))
        raise InputError(f"{path}: a 3D scan was expected, not a {len(used)}D image ({shape}).")
    if min(used) < 2:
        shape = "x".join(map(str, used))
        raise InputError(f"{path}: a 3D scan was expected, not a single slice ({shape}).")
    return tuple(used), 1


def _forms(header, size):
    pixdim = tuple(float(value) for value in header["pixdim"][1:4])
    sform = np.array([header[f"srow_{axis}"] for axis in "xyz"], float)
    return NiftiForms(
        size=size,
        pixdim=pixdim,
        sform=sform,
        sform_code=int(header["sform_code"]),
        qform=_qform(header, pixdim),
        qform_code=int(header["qform_code"]),
        unit=_UNITS.get(int(header["xyzt_units"]) & 7),
    )


def _qform(header, pixdim):
    """Returns the qform as 3x4, or None where its numbers are no rotation."""
    from nibabel.quaternions import quat2mat

    vector = np.array([header[f"quatern_{axis}"] for axis in "bcd"], float)
    offset = np.array([header[f"qoffset_{axis}"] for axis in "xyz"], float)
    length = float(vector @ vector)
    if not np.isfinite(offset).all() or not length <= 1 + _QUATERNION_ROUNDING:
        return None
    # Below what float32 resolves it is 0, as in nibabel.
    square = 1.0 - length if 1.0 - length > _QUATERNION_LEAST else 0.0
    rotation = quat2mat([np.sqrt(square), *vector])
    edges = np.array(pixdim)
    edges[2] *= -1.0 if header["pixdim"][0] < 0 else 1.0
    return np.column_stack([rotation * edges, offset])


def _scaling(header, path, notices):
    """Returns slope and intercept; (1, 0) for none."""
    slope, inter = float(header["scl_slope"]), float(header["scl_inter"])
    if slope == 0 or (slope, inter) == (1.0, 0.0) or (np.isnan(slope) and np.isnan(inter)):
        return 1.0, 0.0
    if not np.isfinite([slope, inter]).all():
        notices.warning(
            "scaling-ignored",
            f"{path}: the header scales intensities by {slope:g} and {inter:g}, which is no "
            "scaling; they were taken as stored.",
        )
        return 1.0, 0.0
    return slope, inter


def _offset(header, path, single):
    offset = float(header["vox_offset"])
    least = len(header.binaryblock) if single else 0
    if single and offset == 0:
        return least + 4
    if not np.isfinite(offset) or offset != int(offset) or not least <= offset < 2**62:
        raise InputError(
            f"{path}: the place of the voxels in the file (vox_offset) must be a whole number from "
            f"{least} on, not {offset:g}."
        )
    return int(offset)


def _scaled(values, slope, inter):
    """Returns the values in the machine's byte order, scaled to float32 where anything scales."""
    if (slope, inter) == (1.0, 0.0):
        return values.astype(values.dtype.newbyteorder("="), copy=False)
    kind = np.float64 if values.dtype.itemsize == 8 and values.dtype.kind == "f" else np.float32
    result = np.empty(values.shape, kind)
    for plane, scaled in zip(values, result):
        np.add(plane * np.float64(slope), inter, out=scaled, casting="unsafe")
    return result
