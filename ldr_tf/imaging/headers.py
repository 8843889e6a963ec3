"""What kind of file a scan is, by its first bytes rather than by its name."""

import os

from ldr_tf.imaging import nifti
from ldr_tf.imaging.endings import FREESURFER, META, NRRD
from ldr_tf.imaging.unpacking import check_exists, first_bytes

_START = 540
_DICOM_AT = 128


def kind_of(path):
    """Returns "folder", "dicom", "freesurfer", "metaimage", "nrrd", "nifti" or "other".

    Raises:
      InputError: the file is missing, empty, no file, or packed and damaged.
    """
    check_exists(path)
    if os.path.isdir(path):
        return "folder"
    name = path.lower()
    start = first_bytes(path, _START)
    if name.endswith(FREESURFER):
        return "freesurfer"
    if start[_DICOM_AT : _DICOM_AT + 4] == b"DICM":
        return "dicom"
    if start[:4] == b"NRRD" or name.endswith(NRRD):
        return "nrrd"
    if name.endswith(META):
        return "metaimage"
    return "nifti" if nifti.is_nifti(path, start) else "other"
