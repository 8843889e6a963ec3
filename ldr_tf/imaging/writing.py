"""Image files out: whole or not at all, packed quickly."""

import os
import shutil

import SimpleITK as sitk
from isal import igzip_threaded

from ldr_tf.errors import InputError
from ldr_tf.files import atomic_path

WRITABLE = (".nii.gz", ".nii", ".mha", ".nrrd")
"""Endings of the files that `write_image` writes; each is one file that keeps the whole grid."""

_CHUNK = 1 << 20


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
            if path.lower().endswith(".nii.gz"):
                plain = temporary[: -len(".gz")]
                sitk.WriteImage(image, plain)
                _pack(plain, temporary)
            else:
                sitk.WriteImage(image, temporary, useCompression=not path.lower().endswith(".nii"))
    except (OSError, RuntimeError) as error:  # SimpleITK's errors are RuntimeErrors
        raise InputError(f"{path}: cannot be written.") from error


def write_transform(transform, path):
    """Writes a SimpleITK transform as ITK's text file (.tfm), whole or not at all.

    Raises:
      InputError: the folder is missing or refuses the file.
    """
    check_file_place(path)
    try:
        with atomic_path(path) as temporary:
            sitk.WriteTransform(transform, temporary)
    except (OSError, RuntimeError) as error:
        raise InputError(f"{path}: cannot be written.") from error


def _pack(source, target):
    """Packs a file as gzip by ISA-L, which is several times faster than zlib and packs as well."""
    packing = igzip_threaded.open(target, "wb", compresslevel=1, threads=2)
    with packing as packed, open(source, "rb") as plain:
        shutil.copyfileobj(plain, packed, _CHUNK)
