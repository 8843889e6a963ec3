"""FreeSurfer's .mgz and .mgh files: headers by nibabel, voxels by NumPy."""

import numpy as np
import SimpleITK as sitk
from nibabel.freesurfer.mghformat import MGHHeader

from ldr_tf.errors import InputError
from ldr_tf.imaging.geometry import check_spacing, place, unknown_orientation
from ldr_tf.imaging.unpacking import check_length, first_bytes, read_bytes

_TO_LPS = np.diag([-1.0, -1.0, 1.0])
_OFFSET = 284
_TYPES = {0: ">u1", 1: ">i4", 3: ">f4", 4: ">i2", 10: ">u2"}
_VERSION = 1
_FLAG = 28
"""Where the header says whether it gives an orientation."""

_LIA = ((-1, 0, 0), (0, 0, -1), (0, 1, 0))
"""FreeSurfer's axes where a header gives none."""

_FIELDS = 90
"""Bytes of a header that mean something."""


def read_freesurfer(path, notices, interpolation="linear", outside=None):
    """Reads a volume; the geometry of its header, RAS, becomes LPS.

    Args:
      path, notices, interpolation, outside: as in `ldr_tf.imaging.nifti.read_nifti`.

    Raises:
      InputError: the file is damaged, or not 3D with one value a voxel.
    """
    start = first_bytes(path, _FIELDS)
    if len(start) < _FIELDS:
        raise InputError(f"{path}: damaged, or no FreeSurfer volume.")
    header = MGHHeader(start.ljust(MGHHeader.template_dtype.itemsize, b"\0"), check=False)
    if int(header["version"]) != _VERSION:
        raise InputError(
            f"{path}: damaged, or no FreeSurfer volume: version {int(header['version'])}, "
            f"{_VERSION} was expected."
        )
    *size, frames = (int(n) for n in header["dims"])
    if frames != 1 or min(size) < 2:
        raise InputError(
            f"{path}: a 3D scan was expected, not an array of {(*size, frames)} voxels."
        )
    dtype = _TYPES.get(int(header["type"]))
    if dtype is None:
        raise InputError(
            f"{path}: the type of voxel {int(header['type'])} is none of FreeSurfer's "
            f"({', '.join(map(str, _TYPES))})."
        )
    dtype = np.dtype(dtype)
    length = int(np.prod(size, dtype=object)) * dtype.itemsize
    check_length(path, _OFFSET, length)
    values = read_bytes(path, _OFFSET, length, notices).view(dtype).reshape(size[::-1])
    if np.frombuffer(start, ">i2", 1, _FLAG)[0] <= 0:
        unknown_orientation(path, notices, "left, feet and front (LIA)")
        header["delta"], header["Mdc"], header["Pxyz_c"] = 1, _LIA, 0
    check_spacing(header["delta"], path)
    if not np.isfinite([*header["Mdc"].ravel(), *header["Pxyz_c"]]).all():
        raise InputError(f"{path}: the header's orientation holds numbers that are not finite.")
    image = sitk.GetImageFromArray(values.astype(dtype.newbyteorder("=")))
    affine = _TO_LPS @ header.get_affine()[:3].astype(float)
    return place(image, affine, path, notices, interpolation, outside)
