"""Image files out: whole or not at all, packed quickly."""

import os
import shutil

import numpy as np
import SimpleITK as sitk
from isal import igzip_threaded

from ldr_tf.errors import InputError
from ldr_tf.files import atomic_path
from ldr_tf.imaging.metaimage import check_metaimage
from ldr_tf.imaging.nrrd import check_nrrd

WRITABLE = (".nii.gz", ".nii", ".mha", ".nrrd")
"""Endings of the files that `write_image` writes; each is one file that keeps the whole grid."""

_CHUNK = 1 << 20
_NIFTI_HEADER = 352
_CUT_OFF = "the file was cut off; is the disk full?"


def check_output(path):
    """Refuses, with InputError, an output file whose format or folder `write_image` cannot take."""
    path = os.fspath(path)
    if not path.lower().endswith(WRITABLE):
        raise InputError(f"{path}: an image is written as one of {', '.join(WRITABLE)}.")
    check_file_place(path)


def check_file_place(path):
    """Refuses, with InputError, an output file whose folder is missing or not writable."""
    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(folder):
        raise InputError(f"{path}: the folder {folder} does not exist.")
    if not os.access(folder, os.W_OK):
        raise InputError(f"{path}: the folder {folder} is not writable.")
    if os.path.isdir(path):
        raise InputError(f"{path}: is a folder, a file was expected.")


def write_image(image, path):
    """Writes an image, packed, in the format of its ending; whole or not at all.

    A vector image in NIfTI gets the intent code 1007, by which ITK tools know it.

    Raises:
      InputError: as `check_output`; the disk refuses the file.
    """
    path = os.fspath(path)
    check_output(path)
    try:
        with atomic_path(path) as temporary:
            plain = temporary[: -len(".gz")] if path.lower().endswith(".gz") else temporary
            packed = not plain.lower().endswith(".nii")
            sitk.WriteImage(image, plain, useCompression=packed)
            _check_written(image, plain)
            if plain != temporary:
                _pack(plain, temporary)
                _check_packed(plain, temporary)
    except (OSError, RuntimeError) as error:  # SimpleITK's errors are RuntimeErrors
        raise _not_written(path, error) from error


def write_transform(transform, path):
    """Writes a SimpleITK transform as ITK's text file (.tfm), whole or not at all.

    Raises:
      InputError: the folder is missing or refuses the file.
    """
    check_file_place(path)
    try:
        with atomic_path(path) as temporary:
            sitk.WriteTransform(transform, temporary)
            again = sitk.ReadTransform(temporary)
            if not np.array_equal(again.GetParameters(), transform.GetParameters()):
                raise OSError(_CUT_OFF)
    except (OSError, RuntimeError) as error:
        raise _not_written(path, error) from error


def _not_written(path, error):
    reason = (getattr(error, "strerror", None) or _CUT_OFF) if isinstance(error, OSError) else ""
    return InputError(f"{path}: cannot be written{f' ({reason})' if reason else ''}.")


def _check_written(image, path):
    """Raises OSError where a file is not whole: ITK says nothing when the disk is full."""
    length = image.GetNumberOfPixels() * image.GetNumberOfComponentsPerPixel()
    length *= image.GetSizeOfPixelComponent()
    try:
        if path.lower().endswith(".mha"):
            check_metaimage(path)
        elif path.lower().endswith(".nrrd"):
            check_nrrd(path)
        elif os.path.getsize(path) < _NIFTI_HEADER + length:
            raise OSError(_CUT_OFF)
    except InputError as error:
        raise OSError(_CUT_OFF) from error


def _check_packed(plain, packed):
    """Raises OSError where a gzip file does not end with its content's length."""
    with open(packed, "rb") as file:
        file.seek(-4, os.SEEK_END)
        length = int.from_bytes(file.read(4), "little")
    if length != os.path.getsize(plain) % 2**32:
        raise OSError(_CUT_OFF)


def _pack(source, target):
    """Packs a file as gzip by ISA-L, which is several times faster than zlib and packs as well."""
    packing = igzip_threaded.open(target, "wb", compresslevel=1, threads=2)
    with packing as packed, open(source, "rb") as plain:
        shutil.copyfileobj(plain, packed, _CHUNK)
