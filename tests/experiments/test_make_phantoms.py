"""experiments.make_phantoms in process: the data set, its split, the NIfTI files."""

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from data.anatomy import LABELS
from data.manifest import read_manifest
from data.phantoms import make_subject
from data.volumes import VolumeReader
from experiments import make_phantoms
from ldr_tf import imaging

SPLIT = Path(__file__).parents[2] / "data" / "splits" / "phantoms.json"


def run(output, *arguments):
    return make_phantoms.main(["make_phantoms", f"--output={output}", "--size=24", *arguments])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("phantoms")
    assert run(folder, "--count=5", "--seed=3", "--train=3", "--validation=1", "--nifti=1") == 0
    return folder


def test_data_set(folder):
    manifest = read_manifest(folder / "phantoms.json")
    assert manifest.subsets == {
        "train": ("phantoms/000", "phantoms/001", "phantoms/002"),
        "validation": ("phantoms/003",),
        "test": ("phantoms/004",),
    }
    assert manifest.schemes["1"] == {"train": 1.0}
    assert manifest.schemes["2"] == {"validation": 1.0}
    assert manifest.segmentation_class_value == LABELS
    scan = VolumeReader(manifest).read("phantoms/002")
    phantom = make_subject(3, 2, 24)
    np.testing.assert_array_equal(scan.volume, phantom.volume)
    np.testing.assert_array_equal(scan.segmentation, phantom.labels)
    np.testing.assert_array_equal(scan.point, phantom.points)


def test_the_nifti_files_are_the_volumes(folder):
    names = sorted(path.name for path in (folder / "nifti").iterdir())
    assert names == ["004.nii.gz", "004_seg.nii.gz"]
    image = imaging.read_scan(folder / "nifti" / "004.nii.gz")
    assert image.GetSpacing() == (1.5, 1.5, 1.5)
    assert imaging.orientation_of(image.GetDirection()) == "RAS"
    labels = sitk.ReadImage(str(folder / "nifti" / "004_seg.nii.gz"))
    assert labels.GetPixelID() == sitk.sitkUInt8
    manifest = read_manifest(folder / "phantoms.json")
    scan = VolumeReader(manifest).read("phantoms/004")
    # What ldr-register makes of the file is what training read.
    grid = imaging.network_grid(image, manifest.image, manifest.image_size)
    prepared = imaging.prepare_image(image, grid, manifest.image)
    np.testing.assert_array_equal(prepared, scan.volume)
    np.testing.assert_array_equal(imaging.to_array(labels), scan.segmentation)


def test_same_flags_same_bytes_whatever_the_processes(tmp_path):
    for name, workers in (("one", 1), ("two", 2)):
        assert run(tmp_path / name, "--count=8", "--size=16", f"--workers={workers}") == 0
    for name in ("phantoms.h5", "phantoms.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_default_split_is_the_committed_one():
    fields = make_phantoms.manifest_fields(
        "phantoms/phantoms.h5", make_phantoms.split(40), (64, 64, 64)
    )
    committed = read_manifest(SPLIT)
    assert {name: list(keys) for name, keys in committed.subsets.items()} == fields["subsets"]
    assert {name: len(keys) for name, keys in committed.subsets.items()} == {
        "train": 28,
        "validation": 4,
        "test": 8,
    }
    assert committed.schemes == fields["schemes"]
    assert committed.image == fields["image"]
    assert json.loads(SPLIT.read_text())["files"]["phantoms"]["path"] == "phantoms/phantoms.h5"


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--count=4", "--train=4", "--validation=1"], "must not exceed count (4)"),
        (["--count=1"], "count"),
        (["--size=12"], "size must be one or three whole numbers"),
        (["--seed=-1"], "seed"),
    ],
)
def test_bad_flags(tmp_path, capsys, arguments, word):
    output = tmp_path / "out"
    assert run(output, *arguments) == 2
    assert word in capsys.readouterr().err
    assert not output.exists()


def test_an_output_that_is_a_file(tmp_path, capsys):
    (tmp_path / "out").touch()
    assert run(tmp_path / "out") == 2
    assert "cannot be made" in capsys.readouterr().err
