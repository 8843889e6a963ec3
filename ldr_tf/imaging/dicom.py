"""DICOM folders: which series there are, and one of them as a volume.

Nothing but voxels and geometry is taken; what else the files say about a person stays in them.
Of several series the choice is said with the series' description.
"""

import math

import numpy as np
import SimpleITK as sitk

from ldr_tf.errors import InputError
from ldr_tf.imaging.slices import UNEVEN, Slice, in_order, stacked
from ldr_tf.notices import Notices

__all__ = ["UNEVEN", "list_series", "read_dicom_file", "read_series"]

_PIXEL_SPACING = "0028|0030"
_OTHER_SPACINGS = {
    "0018|2010": "NominalScannedPixelSpacing",
    "0018|1164": "ImagerPixelSpacing",
}
_POSITION, _ORIENTATION, _TILT = "0020|0032", "0020|0037", "0018|1120"
_MODALITY, _DESCRIPTION, _FRAMES = "0008|0060", "0008|103e", "0028|0008"
_PADDING, _SLOPE, _INTERCEPT = "0028|0120", "0028|1053", "0028|1052"
_MARK = -32768
_TISSUE = -900.0
"""Hounsfield units; padding above this would be taken for tissue."""


def list_series(folder):
    """Returns the series of a folder, UID -> paths of its slices in order, most slices first.

    A series without a UID goes by the empty name; frames of a file count as slices.
    """
    return {uid: names for uid, names, _, _ in _series(folder)}


def read_series(folder, series=None, uneven="refuse", notices=None):
    """Reads one DICOM series of a folder as a volume.

    Args:
      folder: its slices lie in it, as files of one slice or as one file of many frames.
      series: None for the series with most slices; its number in the order of `list_series`,
        counted from 1; or its UID, or the end of it.
      uneven: one of UNEVEN: what becomes of a series whose slices lie unevenly. Resampled, they
        are interpolated linearly to steps of the median distance.
      notices: a Notices, or None.

    Returns:
      A SimpleITK image without any DICOM tag, true to ImagePositionPatient. A tilted gantry's is
      resampled to a straight grid.

    Raises:
      InputError: no such series, or several; slices of several sizes, spacings or orientations;
        two slices in one place; missing slices or uneven steps, with "refuse"; slices that drift
        sideways; no pixel spacing, position or orientation.
    """
    notices = Notices() if notices is None else notices
    names = _chosen(folder, _series(folder), series, notices)
    headers = [_header(name) for name in names]
    many = [name for name, header in zip(names, headers) if _frames(header) > 1]
    if many:
        if len(names) > 1:
            raise InputError(
                f"{folder}: the DICOM series holds {len(names)} files, {len(many)} of them of many "
                f"frames; one of them, such as {many[0]}, was expected."
            )
        return _read_multiframe(names[0], uneven, notices)
    slices = [_slice(name, header) for name, header in zip(names, headers)]
    order, heights = in_order(folder, slices)
    slices, names = [slices[n] for n in order], [names[n] for n in order]
    reader = sitk.ImageSeriesReader()
    try:
        reader.SetFileNames(names)
        image = reader.Execute()
    except (RuntimeError, UnicodeDecodeError) as error:
        raise InputError(
            f"{folder}: the DICOM series of {len(names)} files cannot be read as one volume."
        ) from error
    for key in image.GetMetaDataKeys():
        image.EraseMetaData(key)
    _say_spacing(folder, headers[0], notices)
    image = _with_marked_padding(folder, image, headers[0], notices)
    return stacked(folder, image, slices, heights, uneven, notices)


def read_dicom_file(path, uneven="refuse", notices=None):
    """Reads one DICOM file of many frames; arguments and faults as of `read_series`."""
    if _frames(_header(path)) < 2:
        raise InputError(
            f"{path}: a 3D scan was expected, not a single slice; of a DICOM series the folder is "
            "given."
        )
    return _read_multiframe(path, uneven, Notices() if notices is None else notices)


def _series(folder):
    """Lists (UID, files, slices, description), most slices first."""
    reader, found = sitk.ImageSeriesReader(), []
    try:
        for uid in reader.GetGDCMSeriesIDs(folder):
            names = reader.GetGDCMSeriesFileNames(folder, uid)
            try:
                header = _header(names[0])
            except InputError:  # a report, a plan, a broken file: no slices
                found.append((uid, names, 0, ""))
                continue
            count = len(names) * _frames(header)
            found.append((uid, names, count, _text(header, _DESCRIPTION)))
    except (RuntimeError, UnicodeDecodeError) as error:
        raise InputError(f"{folder}: cannot be read as a folder of DICOM files.") from error
    return sorted(found, key=lambda item: (-item[2], item[0]))


def _chosen(folder, found, series, notices):
    """Returns the files of the series that is meant."""
    if not found:
        raise InputError(f"{folder}: the folder holds no DICOM series.")
    counts = ", ".join(f"{n}: {_described(item)}" for n, item in enumerate(found, start=1))
    if series is None:
        if len(found) > 1:
            notices.notice(
                "dicom-series-chosen",
                f"{folder}: of {len(found)} DICOM series the one with most slices was taken "
                f"({_described(found[0])}); there are {counts}.",
            )
        return found[0][1]
    series = str(series)
    if series.isdecimal() and 1 <= int(series) <= len(found):
        return found[int(series) - 1][1]
    matching = [names for uid, names, _, _ in found if uid.strip().endswith(series)]
    if len(matching) == 1:
        return matching[0]
    raise InputError(
        f"{folder}: {len(matching) or 'no'} series are called {series!r}; there are {counts}; a "
        "number or the end of a UID was expected."
    )


def _described(item):
    _, _, count, description = item
    return f"{count} slices" + (f" {description!r}" if description else "")


def _header(name):
    """Returns an ImageFileReader that has read a file's header."""
    reader = sitk.ImageFileReader()
    try:
        reader.SetImageIO("GDCMImageIO")
        reader.SetFileName(name)
        reader.ReadImageInformation()
    except (RuntimeError, UnicodeDecodeError) as error:
        raise InputError(f"{name}: is damaged, or no DICOM image.") from error
    return reader


def _frames(header):
    size = header.GetSize()
    return int(size[2]) if len(size) > 2 else 1


def _slice(name, header):
    """Returns the Slice of a file of one slice."""
    spacing = _spacing(name, header)
    return Slice(
        name=name,
        size=tuple(header.GetSize()[:2]),
        spacing=(spacing[1], spacing[0]),
        orientation=_numbers(
            name, header, _ORIENTATION, 6, "orientation (ImageOrientationPatient)"
        ),
        position=_numbers(name, header, _POSITION, 3, "position (ImagePositionPatient)"),
        tilt=_optional(header, _TILT),
    )


def _spacing(name, header):
    """Returns mm between rows and between columns."""
    for tag in (_PIXEL_SPACING, *_OTHER_SPACINGS):
        if _text(header, tag):
            spacing = _numbers(name, header, tag, 2, "pixel spacing")
            if min(spacing) <= 0:
                raise InputError(f"{name}: the pixel spacing must be above zero, not {spacing}.")
            return spacing
    raise InputError(f"{name}: has no pixel spacing.")


def _say_spacing(folder, header, notices):
    if _text(header, _PIXEL_SPACING):
        return
    field = next(name for tag, name in _OTHER_SPACINGS.items() if _text(header, tag))
    notices.warning(
        "dicom-imager-spacing",
        f"{folder}: has no PixelSpacing; {field} was taken, {_spacing(folder, header)[0]:g} mm, "
        "which holds at the detector and may be larger than in the patient.",
    )


def _with_marked_padding(folder, image, header, notices):
    """Returns a CT whose padding, where it would look like tissue, is marked by -32768."""
    raw = _optional(header, _PADDING)
    if raw is None or _text(header, _MODALITY) != "CT" or image.GetPixelID() not in _SIGNED:
        return image
    slope, inter = _optional(header, _SLOPE), _optional(header, _INTERCEPT)
    value = raw * (1.0 if slope is None else slope) + (inter or 0.0)
    array = sitk.GetArrayFromImage(image)
    padded = array == value
    if value <= _TISSUE or not padded.any():
        return image
    array[padded] = _MARK
    notices.notice(
        "dicom-padding",
        f"{folder}: {100 * padded.mean():.2g} percent of the voxels hold the padding value "
        f"{value:g} (PixelPaddingValue); they were marked as outside the scan.",
    )
    return sitk.GetImageFromArray(array)


_SIGNED = (sitk.sitkInt16, sitk.sitkInt32, sitk.sitkInt64, sitk.sitkFloat32, sitk.sitkFloat64)


def _text(header, tag):
    return header.GetMetaData(tag).strip().strip("\0") if header.HasMetaDataKey(tag) else ""


def _optional(header, tag):
    try:
        value = float(_text(header, tag).split("\\")[0])
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _numbers(name, header, tag, count, what):
    text = _text(header, tag)
    if not text:
        raise InputError(f"{name}: has no {what}.")
    try:
        values = tuple(float(word) for word in text.split("\\"))
    except ValueError:
        values = ()
    if len(values) != count or not np.isfinite(values).all():
        raise InputError(f"{name}: its {what} must be {count} numbers, not {text!r}.")
    return values


def _read_multiframe(*arguments):
    # Here alone: pydicom takes a while to import.
    from ldr_tf.imaging.multiframe import read_multiframe

    return read_multiframe(*arguments)
