"""experiments.prepare in process: the grid, the labels, the list of what failed."""

import csv

import h5py
import numpy as np
import pytest
import SimpleITK as sitk

from data.manifest import read_manifest
from data.sources import find_sources
from data.volumes import VolumeReader
from experiments import prepare
from ldr_tf.config import ImageConfig
from ldr_tf.errors import InputError

LPS = np.eye(3)
RAS = np.diag([-1.0, -1.0, 1.0])
SIZE = (24, 20, 22)


def blocks():
    """Labels [x, y, z] of three blocks in a head, no two directions alike."""
    labels = np.zeros(SIZE, np.uint8)
    labels[4:20, 4:16, 4:18] = 1
    labels[5:9, 6:9, 7:15] = 2
    labels[14:17, 12:15, 13:16] = 3
    return labels


def write_image(array, path, direction=LPS, spacing=(2.0, 2.0, 2.0), origin=(5.0, -7.0, 9.0)):
    image = sitk.GetImageFromArray(np.ascontiguousarray(array.transpose(2, 1, 0)))
    image.SetSpacing(spacing)
    image.SetOrigin(origin)
    image.SetDirection(direction.ravel())
    sitk.WriteImage(image, str(path))


def write_scan(folder, name, direction=LPS, labels=True):
    """A scan and its labels; in RAS the arrays are turned, so that the head lies alike."""
    turn = (slice(None, None, -1),) * 2 if direction is RAS else (slice(None),) * 2
    array = blocks()[turn]
    write_image(array.astype(np.float32) * 80, folder / f"{name}.nii.gz", direction)
    if labels:
        write_image(array, folder / f"{name.split('_')[0]}_seg3.nii.gz", direction)


def run(*arguments):
    return prepare.main(["prepare", *arguments])


def test_a_folder_with_labels(tmp_path, capsys):
    source = tmp_path / "scans"
    source.mkdir()
    write_scan(source, "01_norm", LPS)
    write_scan(source, "02_norm", RAS)
    write_scan(source, "03", labels=False)
    (source / "notes.txt").write_text("no scan")
    output = tmp_path / "out"
    arguments = [f"--input={source}", f"--output={output}", "--size=24,20,22", "--spacing=2"]
    assert run(*arguments, "--orientation=lps") == 0
    manifest = read_manifest(output / "dataset.json")
    assert manifest.image == ImageConfig("LPS", (2.0, 2.0, 2.0), "percentile")
    assert manifest.image_size == SIZE
    keys = ("volumes/01_norm", "volumes/02_norm", "volumes/03")
    assert manifest.subsets == {"train": keys}
    assert manifest.schemes == {"1": {"train": 1.0}}
    assert manifest.segmentation_class_value == {"1": 1, "2": 2, "3": 3}
    reader = VolumeReader(manifest)
    first, second, third = (reader.read(key) for key in keys)
    # Spacing, size and field of view are the scan's own: voxels come through as they are.
    np.testing.assert_array_equal(first.segmentation, blocks())
    np.testing.assert_array_equal(first.volume, np.rint(blocks() * 85.0))
    # The same head stored the other way round comes out the same way up.
    np.testing.assert_array_equal(second.volume, first.volume)
    np.testing.assert_array_equal(second.segmentation, first.segmentation)
    assert third.segmentation is None
    assert "scan 3/3" in capsys.readouterr().err


def test_attributes_lead_back_to_the_source(tmp_path):
    write_scan(tmp_path, "02", RAS)
    output = tmp_path / "out"
    arguments = [f"--input={tmp_path}", f"--output={output}", "--size=16", "--orientation=LIA"]
    assert run(*arguments) == 0
    with h5py.File(output / "volumes.h5") as file:
        group = file["02"]
        attributes = dict(group.attrs)
        labels = group["segmentation"][()]
    assert attributes["source"] == "02.nii.gz"
    assert tuple(attributes["source_size"]) == SIZE
    assert tuple(attributes["source_origin"]) == (5.0, -7.0, 9.0)
    np.testing.assert_allclose(attributes["source_direction"], RAS.ravel())
    # Stretched: 24, 20, 22 voxels of 2 mm along R, A, S on 16 along L, I, A.
    np.testing.assert_allclose(attributes["spacing"], [48 / 16, 44 / 16, 40 / 16])
    lia = np.array([[1, 0, 0], [0, 0, -1], [0, -1, 0]])
    np.testing.assert_allclose(np.reshape(attributes["direction"], (3, 3)), lia, atol=1e-12)
    # Block 2's middle, by SimpleITK: the prepared one is where the source's is, within a voxel.
    image = sitk.ReadImage(str(tmp_path / "02_seg3.nii.gz"))
    expected = middle_of_block_two(image)
    prepared = sitk.GetImageFromArray(np.ascontiguousarray(labels.transpose(2, 1, 0)))
    prepared.SetSpacing([float(v) for v in attributes["spacing"]])
    prepared.SetOrigin([float(v) for v in attributes["origin"]])
    prepared.SetDirection([float(v) for v in attributes["direction"]])
    assert np.abs(middle_of_block_two(prepared) - expected).max() < 1.5


def middle_of_block_two(image):
    statistics = sitk.LabelShapeStatisticsImageFilter()
    statistics.Execute(image)
    return np.array(statistics.GetCentroid(2))


def write_csv(path, rows):
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows(rows)


def test_a_csv_list(tmp_path):
    (tmp_path / "scans").mkdir()
    write_scan(tmp_path / "scans", "01_norm")
    write_scan(tmp_path / "scans", "02_norm")
    rows = [
        ["image", "labels", "subset", "name"],
        ["scans/01_norm.nii.gz", "scans/01_seg3.nii.gz", "validation", "first"],
        ["scans/02_norm.nii.gz", "", "", ""],
    ]
    write_csv(tmp_path / "list.csv", rows)
    output = tmp_path / "out"
    assert run(f"--input={tmp_path / 'list.csv'}", f"--output={output}", "--size=16") == 0
    manifest = read_manifest(output / "dataset.json")
    assert manifest.subsets == {"validation": ("volumes/first",), "train": ("volumes/02_norm",)}
    assert manifest.schemes == {"1": {"train": 1.0}, "2": {"validation": 1.0}}
    assert VolumeReader(manifest).read("volumes/first").segmentation is not None
    assert VolumeReader(manifest).read("volumes/02_norm").segmentation is None


def test_one_bad_scan_does_not_stop_the_others(tmp_path, capsys):
    write_scan(tmp_path, "01_norm")
    write_scan(tmp_path, "02_norm")
    write_scan(tmp_path, "04_norm", labels=False)
    write_image(blocks()[:-1], tmp_path / "04_seg.nii.gz")
    content = (tmp_path / "02_norm.nii.gz").read_bytes()
    (tmp_path / "02_norm.nii.gz").write_bytes(content[: len(content) // 2])
    output = tmp_path / "out"
    assert run(f"--input={tmp_path}", f"--output={output}", "--size=16") == 2
    error = capsys.readouterr().err
    assert "2 of 3 could not be used" in error
    assert "02_norm.nii.gz" in error
    assert "04_seg.nii.gz: lies on another grid" in error
    assert "Traceback" not in error
    assert read_manifest(output / "dataset.json").subsets == {"train": ("volumes/01_norm",)}
    with h5py.File(output / "volumes.h5") as file:
        assert list(file) == ["01_norm"]


def test_nothing_good_writes_nothing(tmp_path, capsys):
    (tmp_path / "01.nii.gz").write_bytes(b"")
    output = tmp_path / "out"
    assert run(f"--input={tmp_path}", f"--output={output}", "--size=16") == 2
    error = capsys.readouterr().err
    assert "01.nii.gz" in error
    assert "no scan could be prepared" in error
    assert list(output.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--size=64,64"], "size must be one or three whole numbers"),
        (["--size=8"], "size must be one or three whole numbers"),
        (["--spacing=2,two,2"], "spacing must be one or three numbers of mm"),
        (["--spacing=2,0,2"], "image.spacing must be above zero"),
        (["--orientation=LLA"], "image.orientation must be three letters"),
        (["--intensity=bright"], "intensity"),
    ],
)
def test_bad_flags(tmp_path, capsys, arguments, sentence):
    write_scan(tmp_path, "01")
    output = tmp_path / "out"
    assert run(f"--input={tmp_path}", f"--output={output}", *arguments) == 2
    assert sentence in capsys.readouterr().err
    assert not output.exists()


def test_sources_that_cannot_be(tmp_path):
    with pytest.raises(InputError, match="a folder of scans or a CSV list"):
        find_sources(tmp_path / "nothing")
    with pytest.raises(InputError, match="holds no scan"):
        find_sources(tmp_path)
    path = tmp_path / "list.csv"
    with pytest.raises(InputError, match=r"list.csv: cannot be read"):
        find_sources(path)
    write_csv(path, [["image", "label"], ["a.nii", "b.nii"]])
    with pytest.raises(InputError, match="it has image, label"):
        find_sources(path)
    write_csv(path, [["image"]])
    with pytest.raises(InputError, match="lists no scan"):
        find_sources(path)
    write_csv(path, [["image", "name"], ["a.nii", "x"], ["", "y"]])
    with pytest.raises(InputError, match="line 3 names no image"):
        find_sources(path)
    write_csv(path, [["image"], ["a/1.nii"], ["b/1.nii"]])
    with pytest.raises(InputError, match=r"two scans are called '1'.*a/1.nii.*b/1.nii"):
        find_sources(path)
    write_csv(path, [["image", "name"], ["a.nii", "site/1"]])
    with pytest.raises(InputError, match="without '/', not 'site/1'"):
        find_sources(path)


def test_whose_labels(tmp_path):
    for name in ("01.nii.gz", "01_t2.nii.gz", "01_seg.nii.gz", "01_t2_seg4.mha", "2.nii"):
        (tmp_path / name).touch()
    labels = {source.name: source.labels for source in find_sources(tmp_path)}
    assert labels["01"].endswith("01_seg.nii.gz")
    assert labels["01_t2"].endswith("01_t2_seg4.mha")
    assert labels["2"] is None
    folder = tmp_path / "labels"
    folder.mkdir()
    (folder / "2.nii.gz").touch()
    labels = {source.name: source.labels for source in find_sources(tmp_path, folder)}
    assert labels["2"] == str(folder / "2.nii.gz")
    (folder / "03_seg.nii.gz").touch()
    with pytest.raises(InputError, match=r"03_seg.nii.gz: these labels belong to no scans"):
        find_sources(tmp_path, folder)
    with pytest.raises(InputError, match="no folder of label images"):
        find_sources(tmp_path, tmp_path / "absent")


def test_dicom_folders_are_scans(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "slice").touch()
    assert [source.name for source in find_sources(tmp_path)] == ["one", "two"]
    assert [source.image for source in find_sources(tmp_path / "one")] == [str(tmp_path / "one")]
