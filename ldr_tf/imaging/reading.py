"""Image files in, checked so that nothing odd reaches a network."""

import os

import numpy as np
import SimpleITK as sitk

from ldr_tf.errors import InputError
from ldr_tf.imaging.dicom import read_series
from ldr_tf.imaging.endings import FREESURFER
from ldr_tf.imaging.freesurfer import read_freesurfer
from ldr_tf.imaging.headers import check_file

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
_TRANSFORM_FILES = (".tfm", ".txt", ".mat", ".h5", ".hdf5", ".xfm")
_FLOAT = {sitk.sitkFloat32, sitk.sitkFloat64}


def read_image(path, series=None, uneven="refuse"):
    """Reads a 3D scalar image in its own voxel type.

    Args:
      path: NIfTI, MHA or MHD, NRRD, Analyze, FreeSurfer's MGZ or MGH (with nibabel), or a folder
        that holds a DICOM series. A 4D image of one frame counts as 3D.
      series, uneven: of a DICOM folder, see `ldr_tf.imaging.dicom.read_series`.

    Returns:
      A SimpleITK image of three dimensions, at least two voxels along each, finite values.

    Raises:
      InputError: one sentence naming the file: missing, empty, cut off or of an unknown kind; not
        3D; several values a voxel; NaN or infinite voxels; a spacing not above zero; a direction
        matrix that is not orthonormal.
    """
    path = os.fspath(path)
    check_file(path)
    if os.path.isdir(path):
        image = read_series(path, series, uneven)
    elif path.lower().endswith(FREESURFER):
        image = read_freesurfer(path)
    else:
        image = _read(path)
    components = image.GetNumberOfComponentsPerPixel()
    if components != 1 or image.GetPixelID() not in _SCALAR:
        raise InputError(
            f"{path}: a scan must hold one real number a voxel, "
            f"not {image.GetPixelIDTypeAsString()} ({components} values a voxel)."
        )
    image = _three_dimensional(image, path)
    _check_geometry(image, path)
    if image.GetPixelID() in _FLOAT and not np.isfinite(sitk.GetArrayViewFromImage(image)).all():
        raise InputError(f"{path}: holds NaN or infinite voxels; a scan must be finite everywhere.")
    return image


def read_scan(path, series=None, uneven="refuse"):
    """Reads a scan: as `read_image`, as float32, and of more than two values.

    Raises:
      InputError: as `read_image`; a constant image; a mask.
    """
    image = read_image(path, series, uneven)
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
    image = sitk.Cast(image, sitk.sitkFloat32)
    if not np.isfinite(sitk.GetArrayViewFromImage(image)).all():
        raise InputError(f"{os.fspath(path)}: holds values beyond the range of float32.")
    return image


def read_labels(path):
    """Reads a label image in its own integer type; whole numbers kept as floats become int32.

    Raises:
      InputError: as `read_image`; values that are not whole numbers.
    """
    image = read_image(path)
    if image.GetPixelID() not in _FLOAT:
        return image
    array = sitk.GetArrayViewFromImage(image)
    if (array != np.rint(array)).any() or np.abs(array).max() > np.iinfo(np.int32).max:
        raise InputError(f"{os.fspath(path)}: a label image must hold whole numbers only.")
    return sitk.Cast(image, sitk.sitkInt32)


def read_displacement(path):
    """Reads an ITK displacement field: a 3D image of vectors in mm, LPS.

    Returns:
      A SimpleITK vector image, float64.

    Raises:
      InputError: as `read_image`; not three numbers a voxel.
    """
    path = os.fspath(path)
    check_file(path)
    if os.path.isdir(path):
        raise InputError(f"{path}: is a folder, a displacement field was expected.")
    image = _read(path)
    if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 3:
        raise InputError(
            f"{path}: a displacement field is a 3D image of three numbers a voxel, "
            f"not {image.GetDimension()}D with {image.GetNumberOfComponentsPerPixel()}."
        )
    _check_geometry(image, path)
    image = sitk.Cast(image, sitk.sitkVectorFloat64)
    if not np.isfinite(sitk.GetArrayViewFromImage(image)).all():
        raise InputError(f"{path}: the displacement field holds NaN or infinite values.")
    return image


def read_transform(path):
    """Reads any of ITK's 3D transforms: a displacement field or a transform file.

    Args:
      path: .tfm, .txt, .mat, .h5, .hdf5, .xfm: a transform file (affine, B-spline, a chain of
        several ...); anything else: a displacement field.

    Returns:
      A SimpleITK transform, of points of the fixed to points of the moving image.

    Raises:
      InputError: as `read_displacement`; not a transform; not 3D; NaN or infinite parameters.
    """
    path = os.fspath(path)
    if not path.lower().endswith(_TRANSFORM_FILES):
        return sitk.DisplacementFieldTransform(read_displacement(path))
    if not os.path.isfile(path):
        raise InputError(f"{path}: no such file.")
    try:
        transform = sitk.ReadTransform(path)
    except RuntimeError as error:
        raise InputError(f"{path}: is not a transform file that ITK can read.") from error
    if transform.GetDimension() != 3:
        raise InputError(f"{path}: a 3D transform was expected, not a 2D one.")
    if not np.isfinite(transform.GetParameters()).all():
        raise InputError(f"{path}: the transform holds NaN or infinite parameters.")
    return transform


def _read(path):
    try:
        return sitk.ReadImage(path)
    except RuntimeError as error:
        raise InputError(f"{path}: {_reason(error)}.") from error


def _reason(error):
    """Returns ITK's reason in a few words; its own text is a trace of many lines."""
    text = str(error)
    if "orthonormal" in text:
        return "the direction matrix must be orthonormal (axes at right angles)"
    if "spacing" in text.lower():
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


def _check_geometry(image, path):
    spacing = image.GetSpacing()
    if not all(value > 0 for value in spacing):
        raise InputError(f"{path}: the voxel spacing must be above zero, not {spacing}.")
    if not np.isfinite(image.GetOrigin()).all():
        raise InputError(f"{path}: the origin must be finite, not {image.GetOrigin()}.")
    direction = np.reshape(image.GetDirection(), (3, 3))
    if not np.allclose(direction.T @ direction, np.eye(3), atol=1e-3):
        raise InputError(
            f"{path}: the direction matrix must be orthonormal (axes at right angles)."
        )
