"""Image files out: whole or not at all, packed quickly."""

import mmap
import os
import struct
import zlib
from concurrent import futures

import SimpleITK as sitk

from ldr_tf.errors import InputError
from ldr_tf.files import atomic_path

WRITABLE = (".nii.gz", ".nii", ".mha", ".nrrd")
"""Endings of the files that `write_image` writes; each is one file that keeps the whole grid."""

_VECTORS_OF_FLOATS = (sitk.sitkVectorFloat32, sitk.sitkVectorFloat64)
_GZIP_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
_CHUNK = 1 << 21


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
                # Matches are rare among the digits of floats; searching for them takes most time.
                rare = image.GetPixelID() in _VECTORS_OF_FLOATS
                pack(plain, temporary, zlib.Z_HUFFMAN_ONLY if rare else zlib.Z_DEFAULT_STRATEGY)
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


def pack(source, target, strategy=zlib.Z_DEFAULT_STRATEGY):
    """Packs a file as gzip at level 1, in parallel pieces that make one ordinary member.

    Every reader of gzip takes it. Pieces end on a byte (zlib's sync flush), as pigz joins them.

    Args:
      source: path of a file that is not empty.
      target: path to write.
      strategy: zlib's.
    """
    with open(source, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        starts = range(0, len(data), _CHUNK)

        def piece(start):
            packer = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS, 9, strategy)
            last = start + _CHUNK >= len(data)
            packed = packer.compress(data[start : start + _CHUNK])
            return packed + packer.flush(zlib.Z_FINISH if last else zlib.Z_SYNC_FLUSH)

        workers = min(8, os.cpu_count() or 1)
        with futures.ThreadPoolExecutor(workers) as pool, open(target, "wb") as out:
            out.write(_GZIP_HEADER)
            for packed in pool.map(piece, starts):
                out.write(packed)
            with memoryview(data) as view:
                checksum = zlib.crc32(view)
            out.write(struct.pack("<II", checksum, len(data) & 0xFFFFFFFF))
