"""The JSON form of RCN: what it means, and a sentence for everything that is wrong with one."""

import json
import os

import pytest

from data.manifest import read_manifest, scan_id, write_manifest
from ldr_tf.config import ImageConfig
from ldr_tf.errors import InputError


def rcn_json(**changes):
    """A JSON as the original's liver.json is built, with every variant of a key."""
    content = {
        "files": {
            "/": {"type": "HDF5", "path": "datasets/msd.h5"},
            "lits": {"type": "HDF5", "path": "datasets/lits.h5"},
        },
        "image_size": [16, 16, 16],
        "image_type": "liver",
        "schemes": {"1": {"train": 0.75, "extra": 0.25}, "2": {"val": 1.0}, "lits": {"val": 1}},
        "subsets": {
            "train": ["hepaticvessel/1", "hepaticvessel/2", "hepaticvessel/1"],
            "extra": ["lits/a/b"],
            "val": ["lits/3", "lits/4"],
        },
    }
    content.update(changes)
    return {name: value for name, value in content.items() if value is not None}


def write(folder, content):
    path = folder / "set.json"
    path.write_text(json.dumps(content))
    return path


def test_reads_the_original_form(tmp_path):
    manifest = read_manifest(write(tmp_path, rcn_json(a_field_of_theirs=[1, 2])))
    assert manifest.subsets["train"] == ("hepaticvessel/1", "hepaticvessel/2")
    assert manifest.schemes["1"] == {"train": 0.75, "extra": 0.25}
    assert manifest.image_size == (16, 16, 16)
    assert manifest.image_type == "liver"
    assert manifest.atlas is None
    assert manifest.segmentation_class_value is None
    assert manifest.image is None
    assert manifest.task == ("registration",)


def test_defaults_of_the_original(tmp_path):
    assert read_manifest(write(tmp_path, rcn_json(image_size=None))).image_size == (128,) * 3


def test_a_key_goes_to_its_file_or_whole_to_the_file_slash(tmp_path):
    manifest = read_manifest(write(tmp_path, rcn_json()))
    assert manifest.locate("lits/3") == ("lits", "3")
    assert manifest.locate("lits/a/b") == ("lits", "a/b")
    assert manifest.locate("hepaticvessel/1") == ("/", "hepaticvessel/1")
    assert manifest.locate("alone") == ("/", "alone")


def test_ids():
    assert scan_id("lits/a/b") == "lits_a_b"


def test_a_subset_name_is_a_scheme_too_but_schemes_come_first(tmp_path):
    schemes = {"1": {"train": 1.0}, "extra": {"val": 1.0}}
    manifest = read_manifest(write(tmp_path, rcn_json(schemes=schemes)))
    assert manifest.scheme("1") == {"train": 1.0}
    assert manifest.scheme("val") == {"val": 1.0}
    assert manifest.scheme("extra") == {"val": 1.0}


def test_unknown_subset_lists_the_known(tmp_path):
    manifest = read_manifest(write(tmp_path, rcn_json()))
    with pytest.raises(InputError, match=r"'lspig'; schemes: 1, 2, lits; subsets: train, extra"):
        manifest.scheme("lspig")


def test_files_are_found_beside_the_json_or_in_the_working_folder(tmp_path, monkeypatch):
    home, work = tmp_path / "home", tmp_path / "work"
    for folder, name in ((home, "msd.h5"), (work, "msd.h5"), (work, "lits.h5")):
        (folder / "datasets").mkdir(parents=True, exist_ok=True)
        (folder / "datasets" / name).touch()
    manifest = read_manifest(write(home, rcn_json()))
    monkeypatch.chdir(work)
    assert os.path.samefile(manifest.file_path("/"), home / "datasets/msd.h5")
    assert os.path.samefile(manifest.file_path("lits"), work / "datasets/lits.h5")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"'lits' is not at datasets/lits.h5"):
        manifest.file_path("lits")


def test_atlas_classes_and_image(tmp_path):
    image = {"orientation": "LIA", "spacing": [2.0, 2.0, 2.0], "intensity": "percentile"}
    manifest = read_manifest(
        write(
            tmp_path,
            rcn_json(
                atlas="lits/3", segmentation_class_value={"left": 21}, image=image, task=["a"]
            ),
        )
    )
    assert manifest.atlas == "lits/3"
    assert manifest.segmentation_class_value == {"left": 21}
    assert manifest.image == ImageConfig("LIA", (2.0, 2.0, 2.0), "percentile")
    assert manifest.task == ("a",)


def test_round_trip(tmp_path):
    path = tmp_path / "out.json"
    written = write_manifest(
        path,
        {"volumes": "volumes.h5"},
        {"train": ["volumes/a", "volumes/b"]},
        {"1": {"train": 1.0}},
        (16, 32, 48),
        image=ImageConfig("RAS", None, "none"),
        image_type="brain",
        atlas=None,
    )
    assert written == read_manifest(path)
    assert written.image == ImageConfig("RAS", None, "none")
    assert written.image_size == (16, 32, 48)
    assert "atlas" not in json.loads(path.read_text())


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"files": None}, "the field 'files' is missing"),
        ({"subsets": None}, "the field 'subsets' is missing"),
        ({"schemes": None}, "the field 'schemes' is missing"),
        ({"files": ["a.h5"]}, "files must be an object"),
        ({"files": {"lits": "lits.h5"}}, "files.lits must be an object"),
        ({"files": {"lits": {"type": "ZARR", "path": "x"}}}, "files.lits.type must be HDF5"),
        ({"subsets": {"train": "lits/1"}}, "subsets.train must be a list"),
        ({"schemes": {"1": {"train": 0.5, "val": 0.4}}}, "schemes.1 must sum to 1, not 0.9"),
        ({"schemes": {"1": {"train": 1.5, "val": -0.5}}}, "schemes.1.train must be a fraction"),
        ({"schemes": {"1": {"train": "all"}}}, "schemes.1.train must be a fraction"),
        ({"schemes": {"1": {}}}, "schemes.1 must be an object"),
        ({"schemes": {"1": {"trian": 1.0}}}, "unknown subset 'trian'; known: train, extra, val"),
        ({"image_size": [128, 128]}, "image_size must be three numbers"),
        ({"image_size": [128, 128, 0]}, "image_size must be three numbers"),
        ({"segmentation_class_value": {"left": "a"}}, "segmentation_class_value"),
        ({"atlas": 3}, "atlas must be a scan's key"),
        ({"image_size": [3000, 3000, 3000]}, "voxels in all at most"),
        ({"image_size": [5000, 1, 1]}, "must have sides up to 4096"),
        ({"image_type": ["liver"]}, "image_type must be a word"),
        ({"segmentation_class_value": {"left": 2**40}}, "must hold label values of 32 bits"),
        ({"image": {"spacing": [0, 1, 1]}}, "image.spacing must be above 0"),
        ({"image": {"spaceing": None}}, "unknown field image.spaceing"),
    ],
)
def test_bad_fields(tmp_path, changes, sentence):
    path = write(tmp_path, rcn_json(**changes))
    with pytest.raises(InputError) as raised:
        read_manifest(path)
    assert sentence in str(raised.value)
    assert str(path) in str(raised.value)


def test_a_key_of_no_file(tmp_path):
    files = {"lits": {"type": "HDF5", "path": "lits.h5"}}
    with pytest.raises(InputError, match="'hepaticvessel/1' belongs to no file; files: lits"):
        read_manifest(write(tmp_path, rcn_json(files=files)))
    content = rcn_json(files=files, subsets={"v": ["lits/1"]}, schemes={"2": {"v": 1}}, atlas="b/1")
    with pytest.raises(InputError, match="'b/1' belongs to no file"):
        read_manifest(write(tmp_path, content))


def test_missing_truncated_or_other_json(tmp_path):
    with pytest.raises(InputError, match=r"none.json: cannot be read"):
        read_manifest(tmp_path / "none.json")
    path = tmp_path / "set.json"
    path.write_text(json.dumps(rcn_json())[:50])
    with pytest.raises(InputError, match="not valid JSON"):
        read_manifest(path)
    path.write_text("[1]")
    with pytest.raises(InputError, match="must be a JSON object"):
        read_manifest(path)
