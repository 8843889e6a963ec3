"""Label maps of heads become brains where the reference's brain lies."""

import numpy as np
import SimpleITK as sitk

from data.brain_labels import BRAIN_LABELS
from data.label_maps import align_label_map, strip_head
from ldr_tf.imaging import Grid, to_array, to_image

SIZE = (40, 44, 48)
DIRECTION = (1.0, 0, 0, 0, 0, -1.0, 0, -1.0, 0)


def head(shift=(0, 0, 0)):
    """Labels: lopsided white matter in cortex, fluid around it, a skull (506) around that."""
    grid = np.stack(np.indices(SIZE), -1) - (np.array(SIZE) - 1) / 2 - shift
    radius = np.linalg.norm(grid / (12, 14, 13), axis=-1)
    labels = np.zeros(SIZE, np.int32)
    labels[radius < 1.5] = 506
    labels[radius < 1.3] = 24
    labels[radius < 1.0] = 3
    labels[np.linalg.norm((grid - (2, 3, 1)) / (7, 8, 9), axis=-1) < 1] = 2
    labels[np.linalg.norm(grid - (-3, -4, 2), axis=-1) < 3] = 4
    return labels


def image(array):
    origin = tuple(-np.reshape(DIRECTION, (3, 3)) @ ((np.array(SIZE) - 1) * 2.0))
    return to_image(array, Grid(SIZE, (4.0, 4.0, 4.0), origin, DIRECTION))


def test_the_brain_is_what_stays():
    stripped = strip_head(head())
    assert set(np.unique(stripped)) <= {0, 2, 3, 4, 24}
    for value in (2, 3, 4):
        np.testing.assert_array_equal(stripped == value, head() == value)
    # A convex brain has no furrows; what little fluid stays lies in the grid's corners.
    assert np.count_nonzero(stripped == 24) < 0.1 * np.count_nonzero(stripped)


def test_a_shifted_head_comes_to_the_reference():
    lookup = np.zeros(600, np.float32)
    lookup[[2, 3, 4]] = 220, 145, 28
    reference = image(lookup[strip_head(head())])
    labels, painted = align_label_map(image(head((2, -3, 2)).astype(np.float32)), reference, 1)
    assert labels.GetSize() == painted.GetSize() == reference.GetSize()
    got, wanted = to_array(labels), strip_head(head())
    for value in (2, 3):
        both = np.count_nonzero((got == value) & (wanted == value))
        dice = 2 * both / (np.count_nonzero(got == value) + np.count_nonzero(wanted == value))
        assert dice > 0.9
    assert labels.GetPixelID() == sitk.sitkUInt16
    assert np.corrcoef(to_array(painted).ravel(), to_array(reference).ravel())[0, 1] > 0.9


def test_there_are_35_brain_labels_in_rising_order_of_a_side():
    values = list(BRAIN_LABELS.values())
    assert len(values) == len(set(values)) == 35
    left = [v for name, v in BRAIN_LABELS.items() if name.startswith("left")]
    assert left == sorted(left)
