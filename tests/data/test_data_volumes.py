"""Scans in HDF5: round trips, and a sentence for everything that is wrong with one."""

import dataclasses

import h5py
import numpy as np
import pytest

from data.manifest import write_manifest
from data.volumes import VolumeReader, write_scan
from ldr_tf.errors import InputError

SIZE = (4, 5, 6)


def volume_of(seed):
    return np.random.default_rng(seed).integers(0, 256, SIZE).astype(np.uint8)


@pytest.fixture
def manifest(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        points = np.arange(18).reshape(6, 3) - 1.5
        write_scan(
            file, "full", volume_of(1), volume_of(2) % 4, points, {"spacing": (1.0, 2.0, 3.0)}
        )
        write_scan(file, "plain", volume_of(3))
    with h5py.File(tmp_path / "rest.h5", "w") as file:
        write_scan(file, "site/deep/7", volume_of(4))
    keys = ["a/full", "a/plain", "site/deep/7"]
    files = {"a": "a.h5", "/": "rest.h5"}
    return write_manifest(tmp_path / "set.json", files, {"s": keys}, {"1": {"s": 1.0}}, SIZE)


def test_round_trip(manifest, tmp_path):
    with VolumeReader(manifest) as reader:
        scan = reader.read("a/full")
        plain = reader.read("a/plain")
        nested = reader.read("site/deep/7")
    assert scan.id == "a_full"
    np.testing.assert_array_equal(scan.volume, volume_of(1))
    np.testing.assert_array_equal(scan.segmentation, volume_of(2) % 4)
    np.testing.assert_array_equal(scan.point, np.arange(18).reshape(6, 3) - 1.5)
    assert scan.volume.dtype == np.uint8
    assert scan.point.dtype == np.float32
    assert plain.segmentation is None
    assert plain.point is None
    assert nested.id == "site_deep_7"
    np.testing.assert_array_equal(nested.volume, volume_of(4))
    with h5py.File(tmp_path / "a.h5") as file:
        assert tuple(file["full"].attrs["spacing"]) == (1.0, 2.0, 3.0)


def test_axes_are_kept(manifest, tmp_path):
    marked = np.zeros(SIZE, np.uint8)
    marked[1, 2, 5] = 9
    with h5py.File(tmp_path / "a.h5", "a") as file:
        write_scan(file, "marked", marked)
    assert VolumeReader(manifest).read_volume("a/marked")[1, 2, 5] == 9


def test_labels_kept_as_whole_floats_become_integers(manifest, tmp_path):
    with h5py.File(tmp_path / "a.h5", "a") as file:
        file["plain"]["segmentation"] = np.full(SIZE, 255.0)
    assert VolumeReader(manifest).read("a/plain").segmentation.dtype.kind == "i"


def _spoil(tmp_path, field, value):
    with h5py.File(tmp_path / "a.h5", "a") as file:
        if field in file["full"]:
            del file["full"][field]
        if value is not None:
            file["full"][field] = value


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("volume", None, "has no data set 'volume'"),
        ("volume", np.zeros((4, 5, 7), np.uint8), "volume must have image_size (4, 5, 6), not"),
        ("volume", np.zeros(SIZE, np.float32), "volume must be uint8, not float32"),
        ("segmentation", np.zeros((4, 5), np.uint8), "segmentation must have image_size"),
        ("segmentation", np.full(SIZE, 0.5), "segmentation must hold whole numbers"),
        ("point", np.zeros((6, 2)), "point must be numbers of shape (n, 3)"),
        ("volume", np.zeros(SIZE, ">u2"), "volume must be uint8, not >u2"),
        ("volume", h5py.SoftLink("/nowhere"), "volume is a link to '/nowhere', where nothing is"),
        ("volume", h5py.SoftLink("/full/volume"), "volume is a link that leads in a circle"),
        ("segmentation", np.full(SIZE, np.nan), "segmentation must hold whole numbers"),
        ("segmentation", np.full(SIZE, 1e30), "segmentation must hold labels of 32 bits"),
        ("segmentation", np.full(SIZE, np.inf), "segmentation must hold labels of 32 bits"),
        ("segmentation", np.full(SIZE, 2**40), "segmentation must hold labels of 32 bits"),
        (
            "segmentation",
            h5py.ExternalLink("rest.h5", "/x"),
            "is a link to another file, 'rest.h5'",
        ),
        ("point", np.full((6, 3), np.nan), "point must be finite numbers"),
        ("point", np.full((6, 3), 1e300), "point must be finite numbers"),
        ("point", "left", "point must hold numbers"),
    ],
)
def test_bad_scans(manifest, tmp_path, field, value, sentence):
    _spoil(tmp_path, field, value)
    with VolumeReader(manifest) as reader, pytest.raises(InputError) as raised:
        reader.read("a/full")
    assert sentence in str(raised.value)
    assert "'a/full'" in str(raised.value)


@pytest.mark.parametrize("field", ["volume", "segmentation", "point"])
def test_groups_and_huge_data_sets_are_refused_before_they_are_read(manifest, tmp_path, field):
    _spoil(tmp_path, field, None)
    with h5py.File(tmp_path / "a.h5", "a") as file:
        file["full"].create_group(field)
    with VolumeReader(manifest) as reader, pytest.raises(InputError, match="not a group"):
        reader.read("a/full")
    with h5py.File(tmp_path / "a.h5", "a") as file:
        del file["full"][field]
        shape = (2**33, 3) if field == "point" else (3000,) * 3  # sparse: no bytes in the file
        file["full"].create_dataset(field, shape, "u1", chunks=(64, 3, 3)[: len(shape)])
    with VolumeReader(manifest) as reader, pytest.raises(InputError, match=field):
        reader.read("a/full")


def test_labels_come_in_the_order_of_the_machine(manifest, tmp_path):
    _spoil(tmp_path, "segmentation", np.full(SIZE, 300, ">u2"))
    with VolumeReader(manifest) as reader:
        labels = reader.read("a/full").segmentation
    assert labels.dtype.isnative and (labels == 300).all()


def test_other_files_are_opened_only_where_that_is_allowed(manifest, tmp_path):
    with h5py.File(tmp_path / "other.h5", "w") as file:
        write_scan(file, "scan", volume_of(5), volume_of(6))
    for key, link in (("full", h5py.ExternalLink("other.h5", "/scan")), ("plain", None)):
        with h5py.File(tmp_path / "a.h5", "a") as file:
            del file[key]
            if link is None:
                file.create_group(key)["volume"] = h5py.ExternalLink("other.h5", "/scan/volume")
            else:
                file[key] = link
    for key in ("a/full", "a/plain"):
        with VolumeReader(manifest) as reader, pytest.raises(InputError, match="another file"):
            reader.read(key)
        with VolumeReader(dataclasses.replace(manifest, allow_external=True)) as reader:
            np.testing.assert_array_equal(reader.read(key).volume, volume_of(5))
            volume = np.empty(SIZE, np.uint8)
            reader.read_volume_into(key, volume)
            np.testing.assert_array_equal(volume, volume_of(5))


def test_check_finds_what_is_wrong_without_reading(manifest, tmp_path):
    _spoil(tmp_path, "volume", np.zeros(SIZE, np.int16))
    with VolumeReader(manifest) as reader:
        reader.check(["a/plain", "site/deep/7"])
        with pytest.raises(InputError, match="a/full"):
            reader.check(["a/plain", "a/full"])


@pytest.mark.parametrize("key", ["a/none", "site/deep/8", "a/full/volume"])
def test_missing_key(manifest, key):
    with pytest.raises(InputError, match=f"has no scan .*{key}"):
        VolumeReader(manifest).read(key)


def test_missing_file(manifest, tmp_path):
    (tmp_path / "a.h5").unlink()
    VolumeReader(manifest).read("site/deep/7")  # files that are not needed may be absent
    with pytest.raises(InputError, match=r"its file 'a' is not at a.h5"):
        VolumeReader(manifest).read("a/full")


@pytest.mark.parametrize("kept", [0, 100, 0.5])
def test_truncated_file(manifest, tmp_path, kept):
    content = (tmp_path / "a.h5").read_bytes()
    kept = int(kept * len(content)) if isinstance(kept, float) else kept
    (tmp_path / "a.h5").write_bytes(content[:kept])
    with pytest.raises(InputError, match=r"a.h5: cannot be read as HDF5"):
        VolumeReader(manifest).read("a/full")


def test_only_bytes_are_written(tmp_path):
    with h5py.File(tmp_path / "b.h5", "w") as file, pytest.raises(ValueError, match="uint8"):
        write_scan(file, "x", np.zeros(SIZE, np.float32))
