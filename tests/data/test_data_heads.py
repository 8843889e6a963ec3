"""Whole heads become brains where the reference's brain lies."""

import numpy as np
import pytest
import SimpleITK as sitk

from data.brain_labels import BRAIN_LABELS, freesurfer_table, to_freesurfer
from data.heads import align_head, align_label_map, strip_map
from ldr_tf.errors import InputError
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
    stripped = strip_map(head())
    assert set(np.unique(stripped)) <= {0, 2, 3, 4, 24}
    for value in (2, 3, 4):
        np.testing.assert_array_equal(stripped == value, head() == value)
    # A convex brain has no furrows; what little fluid stays lies in the grid's corners.
    assert np.count_nonzero(stripped == 24) < 0.1 * np.count_nonzero(stripped)


def test_a_shifted_head_comes_to_the_reference():
    lookup = np.zeros(600, np.float32)
    lookup[[2, 3, 4]] = 220, 145, 28
    reference = image(lookup[strip_map(head())])
    labels, painted = align_label_map(image(head((2, -3, 2)).astype(np.float32)), reference, 1)
    assert labels.GetSize() == painted.GetSize() == reference.GetSize()
    got, wanted = to_array(labels), strip_map(head())
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


def test_a_scanned_head_is_stripped_by_its_labels_and_comes_to_the_reference():
    shade = np.zeros(600, np.float32)
    shade[[2, 3, 4, 24, 506]] = 220, 145, 28, 20, 250
    reference = image(np.where(strip_map(head()) == 24, 0, shade[strip_map(head())]))
    moved = head((2, -3, 2))
    of_brain = np.isin(moved, (2, 3, 4))
    scan = image(shade[moved])
    # MUSE's numbers: left white matter 82, a left gyrus 101, left lateral ventricle 52.
    muse = image(np.select([moved == 2, moved == 3, moved == 4], [82, 101, 52]).astype(np.float32))
    labels, brain = align_head(scan, muse, "muse", reference, "h_seg.nii")
    got = to_array(labels)
    assert set(np.unique(got)) == {0, 2, 3, 4}
    for value in (2, 3):
        wanted = head() == value
        assert 2 * np.count_nonzero((got == value) & wanted) > 0.9 * (
            np.count_nonzero(got == value) + np.count_nonzero(wanted)
        )
    # The skull, brighter than all else, is gone.
    assert np.count_nonzero(of_brain) > 0 and to_array(brain).max() < 230


def test_a_whole_head_keeps_what_is_outside_the_brain_and_its_numbers():
    shade = np.zeros(600, np.float32)
    shade[[2, 3, 4, 24, 506]] = 220, 145, 28, 20, 250
    reference = image(np.where(strip_map(head()) == 24, 0, shade[strip_map(head())]))
    moved = head((2, -3, 2))
    muse = image(np.select([moved == 2, moved == 3, moved == 4], [82, 101, 52]).astype(np.float32))
    labels, scan = align_head(image(shade[moved]), muse, "muse", reference, "h.nii", whole=True)
    assert set(np.unique(to_array(labels))) == {0, 52, 82, 101}
    assert np.corrcoef(to_array(scan).ravel(), shade[head()].ravel())[0, 1] > 0.9
    labels, painted = align_label_map(image(moved.astype(np.float32)), reference, 1, whole=True)
    skull = head() == 506
    assert np.mean(to_array(labels)[skull] == 506) > 0.8
    assert np.median(to_array(painted)[skull]) > 0


def test_numbers_of_muse_by_hand():
    table = freesurfer_table("muse")
    # right and left hippocampus, a right and a left gyrus, right and left frontal white matter
    assert table[[47, 48, 100, 207, 81, 82]].tolist() == [53, 17, 42, 3, 41, 2]
    # vermis, corpus callosum, fluid
    assert table[[71, 95, 1, 0]].tolist() == [0, 0, 0, 0]
    named = set(BRAIN_LABELS.values()) - {30, 31, 62, 63}  # vessels, choroid plexus
    assert set(table) - {0} == named


def test_a_label_beyond_the_numbering_is_refused_with_its_file():
    with pytest.raises(InputError, match=r"h_seg.nii: labels must lie in 0\.\.35 .* 0\.\.36"):
        to_freesurfer(np.arange(37), "oasis35", "h_seg.nii")


def test_numbers_of_the_other_numberings():
    assert freesurfer_table("freesurfer")[[2, 2035]].tolist() == [2, 2035]
    assert freesurfer_table("oasis35")[[0, 1, 35]].tolist() == [0, 2, 63]
