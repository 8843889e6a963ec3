"""Preparing one scan and going back: crops, label maps, landmarks, oblique grids."""

import numpy as np
import pytest
import SimpleITK as sitk

from data.preparation import Settings, prepare_scan
from data.restoring import restore_labels, restore_points, restore_volume
from data.sources import Source
from ldr_tf import imaging
from ldr_tf.config import ImageConfig
from ldr_tf.errors import InputError

SIZE = (40, 36, 44)


def oblique_grid():
    turn = sitk.Euler3DTransform()
    turn.SetRotation(0.3, -0.2, 0.1)
    lia = np.array([[1.0, 0, 0], [0, 0, -1], [0, -1, 0]])
    direction = np.reshape(turn.GetMatrix(), (3, 3)) @ lia
    return imaging.Grid(SIZE, (1.5, 1.2, 1.0), (-30.0, 12.0, 5.0), tuple(direction.ravel()))


def blob():
    """A smooth scan in air, of values up to some 700."""
    axes = [(np.arange(n) - (n - 1) / 2) / n for n in SIZE]
    x, y, z = np.meshgrid(*axes, indexing="ij")
    body = 1 / (1 + np.exp(60 * (np.sqrt(x**2 + y**2 + z**2) - 0.35)))
    return (body * (500 + 200 * np.sin(9 * x) * np.cos(7 * y + 5 * z))).astype(np.float32)


@pytest.fixture
def scan(tmp_path):
    image = imaging.to_image(blob(), oblique_grid())
    imaging.write_image(image, tmp_path / "a.nii.gz")
    labels = (blob() > 300).astype(np.uint8)
    labels[:20] *= 2
    imaging.write_image(imaging.to_image(labels, oblique_grid()), tmp_path / "a_seg.nii.gz")
    return tmp_path


def source(folder, **more):
    return Source("a", str(folder / "a.nii.gz"), str(folder / "a_seg.nii.gz"), **more)


@pytest.mark.parametrize("orientation", ["LIA", "RAS"])
@pytest.mark.parametrize("crop", ["none", "foreground", "labels"])
def test_there_and_back(scan, orientation, crop):
    settings = Settings((64, 64, 64), ImageConfig(orientation, crop=crop))
    prepared = prepare_scan(source(scan), settings)
    back = restore_volume(prepared.volume, prepared.attributes)
    original = sitk.ReadImage(str(scan / "a.nii.gz"))
    assert imaging.same_grid(back, original)
    low, high = prepared.attributes["crop"].astype(int)
    inside = tuple(slice(a, b + 1) for a, b in zip(low, high))
    error = np.abs(imaging.to_array(back) - imaging.to_array(original))[inside]
    assert error.mean() < 0.02 * np.ptp(blob())
    labels = imaging.to_array(restore_labels(prepared.labels, prepared.attributes))[inside]
    wanted = imaging.to_array(sitk.ReadImage(str(scan / "a_seg.nii.gz")))[inside]
    assert (labels == wanted).mean() > 0.97


def test_landmarks_there_and_back(scan):
    places = np.array([[20.0, 18.0, 22.0], [10.3, 12.7, 30.1], [1.0, 1.0, 1.0]])
    points = imaging.Points(("apex", "base", "corner"), oblique_grid().points(places))
    imaging.write_points(points, scan / "a.csv")
    settings = Settings((48, 48, 48), ImageConfig("RAS", crop="labels"))
    prepared = prepare_scan(source(scan, landmarks=str(scan / "a.csv")), settings)
    assert list(prepared.points) == ["apex", "base", "corner"]
    assert (prepared.points["corner"] == -1).all()  # outside the box of the labels
    stored = np.array(list(prepared.points.values()), np.float32)
    back = restore_points(stored, prepared.attributes)
    assert np.linalg.norm(back[:2] - points.positions[:2], axis=1).max() < 0.1
    assert np.isnan(back[2]).all()
    # The labels' centre of mass lies where the labels say, in voxels of the grid.
    assert prepared.labels[tuple(np.rint(stored[0]).astype(int))] > 0


def test_landmarks_outside_the_scan(scan):
    (scan / "a.csv").write_text("name,x,y,z\nfar,900,0,0\n")
    with pytest.raises(InputError, match=r"a.csv: 1 of 1 points lie outside .*'far'"):
        prepare_scan(
            source(scan, landmarks=str(scan / "a.csv")), Settings((16,) * 3, ImageConfig())
        )


def test_a_label_map_alone(tmp_path):
    labels = np.zeros(SIZE, np.int16)
    labels[10:30, 9:27, 11:33] = 3
    labels[15:20, 12:20, 15:25] = 41
    labels[:, :2] = 510
    labels[18:22, 27:, 18:22] = 16  # a thin tail: a stalk that no crop follows
    grid = imaging.Grid(SIZE, (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), tuple(np.eye(3).ravel()))
    imaging.write_image(imaging.to_image(labels, grid), tmp_path / "m.nii.gz")
    settings = Settings((20, 18, 22), ImageConfig(crop="labels"), largest_label=499)
    prepared = prepare_scan(Source("m", None, str(tmp_path / "m.nii.gz")), settings)
    np.testing.assert_array_equal(prepared.attributes["crop"], [[10, 9, 11], [29, 26, 32]])
    np.testing.assert_array_equal(prepared.labels, labels[10:30, 9:27, 11:33])
    assert prepared.attributes["painted"]
    # Values 3 and 41 of {3, 41}: ranks from a quarter of 255 to all of it.
    assert set(np.unique(prepared.volume)) == {64, 255}
    labels[:] = 510
    imaging.write_image(imaging.to_image(labels, grid), tmp_path / "m.nii.gz")
    with pytest.raises(InputError, match=r"m.nii.gz: holds no label but 0"):
        prepare_scan(Source("m", None, str(tmp_path / "m.nii.gz")), settings)


def test_labels_that_are_not_whole_numbers(scan):
    imaging.write_image(imaging.to_image(blob(), oblique_grid()), scan / "a_seg.nii.gz")
    with pytest.raises(InputError, match=r"a_seg.nii.gz: a label image must hold whole numbers"):
        prepare_scan(source(scan), Settings((16,) * 3, ImageConfig()))
