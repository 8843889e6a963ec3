"""Image files in, checked so that nothing odd reaches a network."""

import os

import numpy as np
import SimpleITK as sitk

from ldr_tf.errors import InputError
from ldr_tf.imaging.dicom import read_dicom_file, read_series
from ldr_tf.imaging.geometry import (
    affine_of,
    check_spacing,
    place,
    unit_factor,
    unknown_orientation,
)
from ldr_tf.imaging.headers import kind_of
from ldr_tf.imaging.metaimage import check_metaimage
from ldr_tf.imaging.nifti import read_nifti
from ldr_tf.imaging.nrrd import check_nrrd
from ldr_tf.imaging.padding import note_padding
from ldr_tf.notices import Notices

_SCALAR = {
    getattr(sitk, "sitk" + name)
    for name in (
        "UInt8",
        "Int8",
        "UInt16",
        "Int16",
        "UInt32",
        "Int32",
        "UInt64",
        "Int64",
        "Float32",
        "Float64",
    )
}
_FLOAT = {sitk.sitkFloat32, sitk.sitkFloat64}
_BY_ITK = {"metaimage": (check_metaimage, "MetaImageIO"), "nrrd": (check_nrrd, "NrrdImageIO")}


def read_image(path, series=None, uneven="refuse", notices=None):
    """Reads a 3D scalar image in its own voxel type, placed by the rules of `imaging.geometry`.

    Args:
      path: NIfTI-1 or -2, MHA or MHD, NRRD, Analyze, FreeSurfer's MGZ or MGH, a DICOM file of many
        frames, or a folder that holds a DICOM series. A 4D image of one frame counts as 3D.
      series, uneven: of a DICOM folder, see `ldr_tf.imaging.dicom.read_series`.
      notices: a `ldr_tf.notices.Notices` that is told what was done or assumed; or None.

    Returns:
      A SimpleITK image of three dimensions, at least two voxels along each, finite values, axes at
      right angles.

    Raises:
      InputError: one sentence naming the file: missing, empty, cut off, damaged or of an unknown
        kind; not 3D; several values a voxel; NaN or infinite voxels; a geometry that no scan has.
    """
    return _scalar(path, series, uneven, notices)


def read_scan(path, series=None, uneven="refuse", notices=None):
    """Reads a scan: as `read_image`, as float32, and of more than two values.

    Raises:
      InputError: as `read_image`; a constant image; a mask.
    """
    image = read_image(path, series, uneven, notices)
    array = sitk.GetArrayViewFromImage(image)
    low, high = array.min(), array.max()
    if low == high:
        raise InputError(
            f"{os.fspath(path)}: every voxel has the value {low:g}; "
            "there is nothing to register in a constant image."
        )
    if ((array == low) | (array == high)).all():
        raise InputError(
            f"{os.fspath(path)}: holds the values {low:g} and {high:g} only: a mask, where a scan "
            "was expected."
        )
    if notices is not None:
        note_padding(image, os.fspath(path), notices)
    image = sitk.Cast(image, sitk.sitkFloat32)
    if not np.isfinite(sitk.GetArrayViewFromImage(image)).all():
        raise InputError(f"{os.fspath(path)}: holds values beyond the range of float32.")
    return image


def read_labels(path, series=None, uneven="refuse", notices=None):
    """Reads a label image in its own integer type; whole numbers kept as floats become int32.

    The arguments are those of `read_image`. A grid that is not at right angles is resampled by
    nearest neighbours, 0 outside; uneven slices are not interpolated.

    Raises:
      InputError: as `read_image`; values that are not whole numbers.
    """
    image = _scalar(path, series, uneven, notices, interpolation="nearest", outside=0.0)
    if image.GetPixelID() not in _FLOAT:
        return image
    array = sitk.GetArrayViewFromImage(image)
    if (array != np.rint(array)).any() or np.abs(array).max() > np.iinfo(np.int32).max:
        raise InputError(f"{os.fspath(path)}: a label image must hold whole numbers only.")
    return sitk.Cast(image, sitk.sitkInt32)


def read_vectors(path, notices=None):
    """Reads a 3D image of three numbers a voxel, in its own type, as `read_image` otherwise."""
    path = os.fspath(path)
    image = _read(path, None, "refuse", notices, "linear", None)
    if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 3:
        raise InputError(
            f"{path}: a displacement field is a 3D image of three numbers a voxel, "
            f"not {image.GetDimension()}D with {image.GetNumberOfComponentsPerPixel()}."
        )
    return image


def _scalar(path, series, uneven, notices, interpolation="linear", outside=None):
    path = os.fspath(path)
    image = _read(path, series, uneven, notices, interpolation, outside)
    components = image.GetNumberOfComponentsPerPixel()
    if components != 1 or image.GetPixelID() not in _SCALAR:
        raise InputError(
            f"{path}: a scan must hold one real number a voxel, "
            f"not {image.GetPixelIDTypeAsString()} ({components} values a voxel)."
        )
    if image.GetPixelID() in _FLOAT and not np.isfinite(sitk.GetArrayViewFromImage(image)).all():
        raise InputError(f"{path}: holds NaN or infinite voxels; a scan must be finite everywhere.")
    return image


def _read(path, series, uneven, notices, interpolation, outside):
    """Returns a file's image, checked and placed; it may be one of vectors."""
    notices = Notices() if notices is None else notices
    try:
        kind = kind_of(path)
        if kind == "folder":
            return read_series(path, series, uneven, notices)
        if kind == "dicom":
            return read_dicom_file(path, uneven, notices)
        if kind == "freesurfer":
            from ldr_tf.imaging.freesurfer import read_freesurfer  # nibabel: half a second

            return read_freesurfer(path, notices, interpolation, outside)
        if kind == "nifti":
            return read_nifti(path, notices, interpolation, outside)
        return _read_by_itk(path, kind, notices, interpolation, outside)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}).") from error
    except MemoryError as error:
        raise InputError(f"{path}: is too large for the memory of this machine.") from error


def _read_by_itk(path, kind, notices, interpolation, outside):
    check, reader = _BY_ITK.get(kind, (None, ""))
    facts = check(path) if check else None
    try:
        image = _three_dimensional(sitk.ReadImage(path, imageIO=reader), path)
    except (RuntimeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: {_reason(error)}.") from error
    check_spacing(image.GetSpacing(), path)
    affine = affine_of(image)
    if facts and not facts.oriented:
        unknown_orientation(path, notices)
    if facts:
        affine = affine * unit_factor(facts.unit, affine, image.GetSize(), path, notices)
    return place(image, affine, path, notices, interpolation, outside)


def _reason(error):
    """Returns ITK's reason in a few words; its own text is a trace of many lines."""
    if "spacing" in str(error).lower():
        return "the voxel spacing must be above zero"
    return "damaged, or no NIfTI, MHA, NRRD or Analyze image and no DICOM folder"


def _three_dimensional(image, path):
    if image.GetDimension() == 4 and image.GetSize()[3] == 1:
        image = image[:, :, :, 0]
    if image.GetDimension() != 3:
        shape = "x".join(map(str, image.GetSize()))
        raise InputError(
            f"{path}: a 3D scan was expected, not a {image.GetDimension()}D image ({shape})."
        )
    if min(image.GetSize()) < 2:
        shape = "x".join(map(str, image.GetSize()))
        raise InputError(f"{path}: a 3D scan was expected, not a single slice ({shape}).")
    return image
