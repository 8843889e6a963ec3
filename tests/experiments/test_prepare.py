"""experiments.prepare in process: the grid, the labels, the list of what failed."""

import csv
import json

import h5py
import matplotlib.image
import numpy as np
import pytest
import SimpleITK as sitk

from data.manifest import read_manifest
from data.overview import _slices
from data.sources import find_sources, passed_over
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
    shown = capsys.readouterr()
    assert f"ignored, not a kind of file that is read: {source / 'notes.txt'}" in shown.out
    assert shown.out.count("ignored, ") == 1
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
    assert "scan 3/3" in shown.err


def test_all_lie_on_the_grid_of_a_reference(tmp_path):
    source = tmp_path / "scans"
    source.mkdir()
    write_scan(source, "01", labels=False)
    moved = np.roll(blocks(), (2, 0, 1), (0, 1, 2)).astype(np.float32) * 80
    write_image(moved, source / "02.nii.gz")
    common = [f"--input={source}", "--size=16", "--spacing=4", "--crop=foreground"]
    assert run(*common, f"--output={tmp_path / 'own'}") == 0
    more = [f"--reference={source / '01.nii.gz'}", "--structures=brain"]
    assert run(*common, f"--output={tmp_path / 'one'}", *more) == 0
    origins = {}
    for name in ("own", "one"):
        manifest = read_manifest(tmp_path / name / "dataset.json")
        assert manifest.image.crop == "foreground"
        names = manifest.segmentation_class_value or {}
        assert names.get("left-hippocampus") == (17 if name == "one" else None)
        with h5py.File(tmp_path / name / "volumes.h5") as file:
            origins[name] = [file[scan].attrs["origin"] for scan in ("01", "02")]
    first, second = origins["one"]
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(first, origins["own"][0])
    assert np.abs(origins["own"][1] - first).max() > 1.0


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
        (["--spacing=2,0,2"], "image.spacing must be above 0"),
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


def test_a_folder_that_is_reached_in_several_ways_counts_once(tmp_path):
    scans = tmp_path / "scans"
    (scans / "z").mkdir(parents=True)
    for name in ("01.nii.gz", "02.nii.gz", "z/03.nii.gz"):
        (scans / name).touch()
    (tmp_path / "beside.nii.gz").touch()
    (scans / "again").symlink_to(".")
    (scans / "parent").symlink_to("..")
    (scans / "a_link_before_z").symlink_to("z")
    (scans / "z" / "up").symlink_to(scans)
    assert [source.name for source in find_sources(scans)] == ["01", "02", "z_03"]
    assert passed_over(scans, find_sources(scans)) == []
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "04.nii.gz").touch()
    (scans / "more").symlink_to(tmp_path / "elsewhere")  # links to other folders are followed
    assert [source.name for source in find_sources(scans)] == ["01", "02", "z_03", "more_04"]
    assert [source.name for source in find_sources(scans / "again")] == [
        "01",
        "02",
        "z_03",
        "more_04",
    ]


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
    write_csv(path, [["image", "image"], ["a.nii", "b.nii"]])
    with pytest.raises(InputError, match="each once; it has image, image"):
        find_sources(path)
    write_csv(path, [["image"], ["a.nii", "", ""], ["b.nii", "b_seg.nii"]])
    with pytest.raises(InputError, match="line 3 has more values"):
        find_sources(path)
    write_csv(path, [["image"], ["a\0.nii"]])
    with pytest.raises(InputError, match=r"the character 0|cannot be read as a CSV"):
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
    assert [source.series for source in find_sources(tmp_path, series="2")] == ["2", "2"]
    assert passed_over(tmp_path, find_sources(tmp_path)) == []
    assert [source.image for source in find_sources(tmp_path / "one")] == [str(tmp_path / "one")]


def test_an_overview(tmp_path):
    source = tmp_path / "scans"
    source.mkdir()
    write_scan(source, "01", LPS)
    write_scan(source, "02", RAS)
    (source / "03.nii.gz").write_bytes(b"")
    output = tmp_path / "out"
    assert run(f"--input={source}", f"--output={output}", "--size=24", "--fit=isotropic") == 2
    with open(output / "summary.csv", newline="") as file:
        first, second, third = csv.DictReader(file)
    assert first["source_orientation"] == "LPS" and second["source_orientation"] == "RAS"
    assert first["source_size"] == "24x20x22" and first["spacing"] == "2 2 2"
    assert first["labels"] == "3" and "the file is empty" in third["problem"]
    with h5py.File(output / "volumes.h5") as file:
        tiles = [np.hstack(_slices(file[name])) for name in ("01", "02")]
    np.testing.assert_array_equal(*tiles)  # the same way up
    picture = matplotlib.image.imread(output / "contact_sheet.png")
    assert picture.shape[0] > 100 and picture[..., :3].max() > 0.9


def test_the_picture_is_the_right_way_up(tmp_path):
    labels = np.zeros(SIZE, np.uint8)
    labels[2:22, 2:18, 2:20] = 1
    image = labels * 50.0
    image[2:22, 2:18, 18:20] = 200.0  # the top of the head, S
    image[2:5, 2:18, 2:20] = 120.0  # the patient's right
    write_image(image.astype(np.float32), tmp_path / "01.nii.gz", LPS)
    output = tmp_path / "out"
    assert run(f"--input={tmp_path}", f"--output={output}", "--size=24", "--orientation=RAI") == 0
    with h5py.File(output / "volumes.h5") as file:
        axial, coronal, sagittal = (tile[..., 0] for tile in _slices(file["01"]))
    for tile in (coronal, sagittal):
        assert tile[:40].max() > 0.9 and tile[64:].max() < 0.7  # the top is up
    for tile in (axial, coronal):
        assert tile[64, :40].max() > 0.4 and tile[64, 64:].max() < 0.4  # the right is on the left


def test_label_maps_and_folders_inside(tmp_path):
    (tmp_path / "maps").mkdir()
    (tmp_path / "scans").mkdir()
    write_image(blocks(), tmp_path / "maps" / "map_1.nii.gz")
    write_scan(tmp_path / "scans", "01")
    sources = {source.name: source for source in find_sources(tmp_path, label_maps="map_*")}
    assert list(sources) == ["maps_map_1", "scans_01"]
    assert sources["maps_map_1"].image is None
    assert sources["scans_01"].labels.endswith("01_seg3.nii.gz")
    output = tmp_path / "out"
    flags = [f"--input={tmp_path}", f"--output={output}", "--size=16", "--label_maps=map_*"]
    assert run(*flags) == 0
    reader = VolumeReader(read_manifest(output / "dataset.json"))
    scan = reader.read("volumes/maps_map_1")
    assert set(np.unique(scan.segmentation)) == {0, 1, 2, 3}
    assert set(np.unique(scan.volume[scan.segmentation == 1])) == {128}


def test_nothing_that_identifies_is_copied(tmp_path):
    planted = {
        "0010|0010": "PLANTEDNAME^JANE",
        "0010|0020": "PLANTEDID77",
        "0010|0030": "19701231",
        "0008|0050": "PLANTEDACCESSION",
        "0008|0080": "PLANTEDHOSPITAL",
        "0008|0060": "CT",
        "0008|0090": "PLANTEDDOCTOR",
        "0020|4000": "PLANTEDCOMMENT",
        "0008|103e": "PLANTEDSERIES",
        "0020|000e": "1.2.99.77.55",
        "0020|000d": "1.2.3",
    }
    folder = tmp_path / "scans" / "case"
    folder.mkdir(parents=True)
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    for number in range(6):
        array = np.random.default_rng(number).integers(0, 999, (1, 16, 16)).astype(np.int16)
        image = sitk.GetImageFromArray(array)
        more = {"0020|0032": f"0\\0\\{2 * number}", "0020|0037": "1\\0\\0\\0\\1\\0"}
        for tag, value in {**planted, **more, "0008|0018": f"1.2.99.{number}"}.items():
            image.SetMetaData(tag, value)
        writer.SetFileName(str(folder / f"{number}.dcm"))
        writer.Execute(image)
    header = sitk.GetImageFromArray(np.random.default_rng(9).normal(size=(9, 9, 9)))
    header.SetMetaData("PLANTEDKEY", "PLANTEDVALUE")
    (tmp_path / "scans" / "nrrd").mkdir()
    sitk.WriteImage(header, str(tmp_path / "scans" / "nrrd" / "n.nrrd"))
    inputs = b"".join(p.read_bytes() for p in (tmp_path / "scans").rglob("*") if p.is_file())
    assert b"PLANTEDNAME" in inputs and b"PLANTEDVALUE" in inputs and b"1.2.99.77.55" in inputs
    output = tmp_path / "out"
    assert run(f"--input={tmp_path / 'scans'}", f"--output={output}", "--size=16") == 0
    files = [path for path in output.rglob("*") if path.is_file()]
    assert {"volumes.h5", "dataset.json", "summary.csv"} <= {path.name for path in files}
    for path in files:
        for word in (b"PLANTED", b"JANE", b"19701231", b"1.2.99"):
            assert word not in path.read_bytes(), (path.name, word)


def test_what_had_to_be_assumed_of_a_scan_is_said_and_kept(tmp_path, capsys):
    source = tmp_path / "scans"
    source.mkdir()
    write_scan(source, "01", labels=False)
    write_image(blocks().astype(np.float32) * 80, source / "02.mha")
    content = (source / "02.mha").read_bytes()
    start = content.index(b"TransformMatrix")
    (source / "02.mha").write_bytes(content[:start] + content[content.index(b"Offset") :])
    output = tmp_path / "out"
    assert run(f"--input={source}", f"--output={output}", "--size=24,20,22") == 0
    shown = capsys.readouterr().err
    assert shown.count("warning: ") == 1
    assert f"warning: {source / '02.mha'}: the header gives no orientation" in shown
    with h5py.File(output / "volumes.h5") as file:
        notices = {name: json.loads(file[name].attrs["notices"]) for name in file}
    assert notices["01"] == [] and notices["02"][0]["code"] == "orientation-unknown"
