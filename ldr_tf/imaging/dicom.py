"""DICOM folders: which series there are, and one of them as a volume.

Nothing but voxels and geometry is taken; what else the files say about a person stays in them.
"""

import numpy as np
import SimpleITK as sitk

from ldr_tf.errors import InputError

UNEVEN = ("refuse", "resample")
"""What may be done with slices that lie unevenly: refused, or resampled to even steps."""

_PIXEL_SPACING = ("0028|0030", "0018|1164")
_TOLERANCE = 0.1


def list_series(folder):
    """Returns the series of a folder, UID -> paths of its slices in order, most slices first.

    A series without a UID goes by the empty name.
    """
    reader = sitk.ImageSeriesReader()
    found = {
        uid: reader.GetGDCMSeriesFileNames(folder, uid) for uid in reader.GetGDCMSeriesIDs(folder)
    }
    return dict(sorted(found.items(), key=lambda item: (-len(item[1]), item[0])))


def read_series(folder, series=None, uneven="refuse"):
    """Reads one DICOM series of a folder as a volume.

    Args:
      folder: its slices lie in it.
      series: None for the series with most slices; its number in the order of `list_series`,
        counted from 1; or its UID, or the end of it.
      uneven: one of UNEVEN: what becomes of a series whose slices lie unevenly. Resampled, they
        are interpolated linearly to steps of the median distance.

    Returns:
      A SimpleITK image without any DICOM tag.

    Raises:
      InputError: no such series, or several; slices of several sizes, spacings or orientations;
        two slices in one place; missing slices or uneven steps, with "refuse"; no pixel spacing.
    """
    names = _chosen(folder, list_series(folder), series)
    reader = sitk.ImageSeriesReader()
    try:
        names, places, heights = _in_order(folder, names)
        reader.SetFileNames(names)
        image = reader.Execute()
    except RuntimeError as error:
        raise InputError(
            f"{folder}: the DICOM series of {len(names)} files cannot be read as one volume."
        ) from error
    for key in image.GetMetaDataKeys():
        image.EraseMetaData(key)
    steps = np.diff(heights)
    if steps.size and (np.ptp(steps) > _TOLERANCE * np.median(steps) or steps[0] == 0):
        _refuse_doubles(folder, names, steps)
        if uneven != "resample":
            raise InputError(_complaint(folder, names, steps))
        image = _evened(image, places, steps)
    return image


def _chosen(folder, found, series):
    if not found:
        raise InputError(f"{folder}: the folder holds no DICOM series.")
    uids = list(found)
    if series is None:
        return found[uids[0]]
    series = str(series)
    if series.isdigit() and 1 <= int(series) <= len(uids):
        return found[uids[int(series) - 1]]
    matching = [uid for uid in uids if uid.strip().endswith(series)]
    if len(matching) == 1:
        return found[matching[0]]
    counts = ", ".join(f"{n}: {len(found[uid])} slices" for n, uid in enumerate(uids, start=1))
    raise InputError(
        f"{folder}: {len(matching) or 'no'} series are called {series!r}; there are {counts}; a "
        "number or the end of a UID was expected."
    )


def _in_order(folder, names):
    """Returns names, the first voxels' places [n, 3] and heights across the slices [n], in mm.

    Ordered by height; refuses slices that do not belong together.
    """
    reader, places, first = sitk.ImageFileReader(), [], None
    for name in names:
        reader.SetFileName(name)
        reader.ReadImageInformation()
        if not any(reader.HasMetaDataKey(tag) for tag in _PIXEL_SPACING):
            raise InputError(f"{name}: has no pixel spacing.")
        kind = (reader.GetSize()[:2], reader.GetSpacing()[:2], reader.GetDirection())
        first = first or kind
        if kind[0] != first[0] or not np.allclose(
            kind[1] + kind[2], first[1] + first[2], atol=1e-3
        ):
            raise InputError(
                f"{folder}: mixes series: {name} has another size, spacing or orientation than "
                f"{names[0]}."
            )
        places.append(reader.GetOrigin()[:3])
    places = np.array(places)
    heights = places @ np.reshape(first[2], (3, 3))[:, 2]
    order = np.argsort(heights, kind="stable")
    return [names[index] for index in order], places[order], heights[order]


def _refuse_doubles(folder, names, steps):
    double = np.flatnonzero(steps <= _TOLERANCE * np.median(steps))
    if double.size:
        first, second = names[double[0]], names[double[0] + 1]
        raise InputError(
            f"{folder}: mixes series: {first} and {second} show one place "
            f"({double.size} such pairs of slices)."
        )


def _complaint(folder, names, steps):
    gaps = np.flatnonzero(steps > 1.5 * np.median(steps))
    if gaps.size:
        return (
            f"{folder}: slices of the DICOM series are missing in {gaps.size} places, the first "
            f"after {names[gaps[0]]} ({steps[gaps[0]]:.3g} mm to the next, elsewhere "
            f"{np.median(steps):.3g}); they can be interpolated on request (--uneven=resample)."
        )
    return (
        f"{folder}: the slices of the DICOM series lie {steps.min():.3g} to {steps.max():.3g} mm "
        "apart; they can be resampled on request (--uneven=resample)."
    )


def _evened(image, places, steps):
    """Returns the slices interpolated to even steps of the median distance."""
    have = np.concatenate([[0.0], np.cumsum(steps)])
    step = float(np.median(steps))
    wanted = np.arange(0.0, have[-1] + 1e-3 * step, step)
    upper = np.clip(np.searchsorted(have, wanted), 1, len(have) - 1)
    share = np.clip((wanted - have[upper - 1]) / steps[upper - 1], 0, 1)[:, None, None]
    slices = sitk.GetArrayFromImage(image)  # k, j, i
    mixed = slices[upper - 1] * (1 - share) + slices[upper] * share
    if slices.dtype.kind in "iu":
        mixed = np.rint(mixed)
    even = sitk.GetImageFromArray(mixed.astype(slices.dtype))
    even.SetSpacing((*image.GetSpacing()[:2], step))
    even.SetOrigin([float(mm) for mm in places[0]])
    even.SetDirection(image.GetDirection())
    return even
