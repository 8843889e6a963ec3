"""Padding: voxels that a scanner never measured and filled with one value, such as -2000 in a CT.

They are no air. Foreground, intensity scaling and similarity leave them out, and resampling takes
them for outside the scan.
"""

import numpy as np
import SimpleITK as sitk

_BELOW_AIR = -1500.0
"""Hounsfield units: no tissue and no noise about air reaches as low."""

_SHARE = 1e-3
_CT = -500.0


def padding_value(scan):
    """Returns the value with which a scan is padded, or None.

    Padding is a lowest value below -1500 that at least a thousandth of the voxels, or all corners,
    hold, and more voxels than there are others below -1500 (DICOM's PixelPaddingValue of CT scans
    is mostly one of -2000, -2048, -3024, -32768); or, in a CT, a highest value that all corners
    hold.

    Args:
      scan: a SimpleITK image of one number a voxel, or its array.
    """
    array = _array(scan)
    low = float(array.min())
    if low > _CT:
        return None
    corners = {float(value) for value in array[_corners(array)].ravel()}
    if low < _BELOW_AIR:
        padded = np.count_nonzero(array == low)
        between = np.count_nonzero(array < _BELOW_AIR) - padded
        enough = corners == {low} or padded >= _SHARE * array.size
        return low if enough and between <= padded else None
    high = float(array.max())
    return high if corners == {high} and high > low else None


def is_padding(scan, value=None):
    """Tells which voxels of a scan are padding: a bool array in the order of the scan's own.

    Args:
      scan: as of `padding_value`.
      value: of `padding_value`, which is asked where it is None.

    Returns:
      A bool array, or None where there is no padding. All values below -1500 count where the
      padding does: an interpolation leaves them at its edges.
    """
    array = _array(scan)
    value = padding_value(array) if value is None else value
    if value is None:
        return None
    return array < _BELOW_AIR if value < _BELOW_AIR else array == value


def without_padding(scan):
    """Returns a scan, SimpleITK image or array, with its lowest measured value for the padding.

    A scan without padding is returned as it is, and so is one that is nothing but padding.
    """
    array = _array(scan)
    padded = is_padding(array)
    if padded is None or padded.all():
        return scan
    filled = np.where(padded, array[~padded].min(), array)
    if not isinstance(scan, sitk.Image):
        return filled
    image = sitk.GetImageFromArray(filled)
    image.CopyInformation(scan)
    return image


def background_value(scan):
    """Returns the value that belongs outside a scan: its padding, a CT's lowest value, else 0."""
    value = padding_value(scan)
    if value is not None:
        return value
    low = float(_array(scan).min())
    return low if low < _CT else 0.0


def note_padding(scan, name, notices):
    """Says in `notices`, where a scan is padded, with what and how much of it."""
    value = padding_value(scan)
    if value is not None:
        share = 100 * float(is_padding(scan, value).mean())
        notices.notice(
            "padding-found",
            f"{name}: {share:.2g} percent of the voxels are padding ({value:g}); they were left "
            "out of foreground, intensities and similarity.",
        )


def _array(scan):
    return sitk.GetArrayViewFromImage(scan) if isinstance(scan, sitk.Image) else np.asarray(scan)


def _corners(array):
    return np.ix_(*[(0, -1)] * array.ndim)
