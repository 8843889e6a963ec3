"""DICOM files of many frames: positions by pydicom, which SimpleITK does not give; voxels by GDCM.

Nothing but voxels and geometry is taken; what else the file says about a person stays in it.
"""

import numpy as np
import pydicom
import SimpleITK as sitk
from pydicom.errors import InvalidDicomError

from ldr_tf.errors import InputError
from ldr_tf.imaging.geometry import affine_of, place
from ldr_tf.imaging.slices import Slice, in_order, stacked

_FAULTS = (
    OSError,
    EOFError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    NotImplementedError,
    OverflowError,
    RecursionError,
    InvalidDicomError,
)
"""What pydicom raises on damaged files."""


def read_multiframe(path, uneven, notices):
    """Reads a file whose frames are the slices of a volume.

    Args:
      path: the file.
      uneven: one of `ldr_tf.imaging.slices.UNEVEN`.
      notices: a Notices.

    Returns:
      A SimpleITK image without any DICOM tag.

    Raises:
      InputError: as `ldr_tf.imaging.dicom.read_series`; frames of several scalings.
    """
    try:
        slices, scalings = _slices(path)
    except _FAULTS as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: damaged, or no DICOM file.") from error
    if len(set(scalings)) > 1:
        raise InputError(
            f"{path}: its frames scale intensities differently, which is not understood."
        )
    try:
        image = sitk.ReadImage(path)
    except (RuntimeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as one volume.") from error
    for key in image.GetMetaDataKeys():
        image.EraseMetaData(key)
    if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 1:
        raise InputError(f"{path}: a 3D scan of one number a voxel was expected.")
    if not slices:
        notices.warning(
            "orientation-unknown",
            f"{path}: the file does not say where its frames lie; the spacing and orientation that "
            "GDCM makes of it were taken.",
        )
        return place(image, affine_of(image), path, notices)
    if image.GetSize()[2] != len(slices):
        raise InputError(
            f"{path}: has {image.GetSize()[2]} frames but says where {len(slices)} of them lie."
        )
    order, heights = in_order(path, slices)
    if not np.array_equal(order, np.arange(len(order))):
        image = sitk.GetImageFromArray(sitk.GetArrayViewFromImage(image)[order])
    return stacked(path, image, [slices[n] for n in order], heights, uneven, notices)


def _slices(path):
    """Returns a Slice of each frame, none where frames have no positions, and their scalings."""
    file = pydicom.dcmread(path, stop_before_pixels=True)
    frames = file.get("PerFrameFunctionalGroupsSequence") or ()
    shared = (file.get("SharedFunctionalGroupsSequence") or (pydicom.Dataset(),))[0]
    slices, scalings = [], []
    for number, frame in enumerate(frames, start=1):
        name = f"{path} (frame {number})"
        position = _of(frame, shared, "PlanePositionSequence", "ImagePositionPatient")
        cosines = _of(frame, shared, "PlaneOrientationSequence", "ImageOrientationPatient")
        spacing = _of(frame, shared, "PixelMeasuresSequence", "PixelSpacing")
        if position is None and cosines is None:
            continue
        for value, count, field in (
            (position, 3, "ImagePositionPatient"),
            (cosines, 6, "ImageOrientationPatient"),
            (spacing, 2, "PixelSpacing"),
        ):
            if (
                value is None
                or len(value) != count
                or not np.isfinite(np.array(value, float)).all()
            ):
                raise InputError(f"{name}: must give {count} numbers as {field}.")
        slices.append(
            Slice(
                name=name,
                size=(int(file.Columns), int(file.Rows)),
                spacing=(float(spacing[1]), float(spacing[0])),
                orientation=tuple(float(value) for value in cosines),
                position=tuple(float(value) for value in position),
            )
        )
        values = "PixelValueTransformationSequence"
        slope = _of(frame, shared, values, "RescaleSlope")
        inter = _of(frame, shared, values, "RescaleIntercept")
        scalings.append((float(1 if slope is None else slope), float(inter or 0)))
    return slices, scalings


def _of(frame, shared, group, field):
    """Returns a field of one frame, or of all, or None."""
    for holder in (frame, shared):
        content = holder.get(group)
        if content and content[0].get(field) is not None:
            return content[0].get(field)
    return None
