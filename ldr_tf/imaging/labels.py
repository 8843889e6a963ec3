"""Whether an image is one of labels: whole numbers in patches."""

import numpy as np
import SimpleITK as sitk

_MOST = 4096
_ALIKE = 0.5


def looks_like_labels(image):
    """Tells whether an image holds labels rather than intensities, as far as voxels can tell.

    Labels are whole numbers, of at most 4096 values, and of the neighbouring voxels along x that
    are not both background (the most frequent value) at least half are the same: in scans noise
    sees to it that hardly any are.
    """
    array = sitk.GetArrayViewFromImage(image)
    if array.dtype.kind not in "iub" and (array != np.rint(array)).any():
        return False
    values, counts = np.unique(array, return_counts=True)
    if len(values) > _MOST or len(values) < 2:
        return False
    background = values[counts.argmax()]
    here, ahead = array[..., :-1], array[..., 1:]
    seen = (here != background) | (ahead != background)
    alike = np.count_nonzero(seen & (here == ahead))
    return bool(alike >= _ALIKE * np.count_nonzero(seen))
