"""MetaImage, NRRD and FreeSurfer headers that would crash or deceive their readers."""

import gzip
import os
import struct

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk

from ldr_tf import imaging
from ldr_tf.errors import InputError
from ldr_tf.notices import Notices

ARRAY = np.random.default_rng(0).integers(0, 99, (8, 9, 10)).astype(np.int16)


def written(path, packed=False):
    image = sitk.GetImageFromArray(ARRAY)
    image.SetSpacing((2, 2, 2))
    sitk.WriteImage(image, str(path), packed)
    return path


def changed(path, old, new):
    content = path.read_bytes()
    assert content.count(old) == 1
    path.write_bytes(content.replace(old, new))
    return path


def refused(path, words):
    with pytest.raises(InputError, match=f"{words}") as caught:
        imaging.read_scan(path)
    sentence = str(caught.value)
    assert path.name in sentence and "\n" not in sentence and len(sentence) < 500


@pytest.mark.parametrize(
    "old, new, words",
    [
        (b"NDims = 3", b"NDims = -1", "NDims must be 2 to 4, not -1"),
        (b"NDims = 3", b"NDims = 1000000", "NDims"),
        (b"NDims = 3", b"NDims = three", "NDims must be 1 whole numbers"),
        (b"DimSize = 10 9 8", b"DimSize = ten nine eight", "DimSize must be 3 whole numbers"),
        (b"DimSize = 10 9 8", b"DimSize = 10 9", "DimSize"),
        (b"DimSize = 10 9 8", b"DimSize = 10 -9 8", "DimSize must be above zero"),
        (b"DimSize = 10 9 8", b"DimSize = 1000000 1000000 1000000", "memory|truncated"),
        (b"ElementSpacing = 2 2 2", b"ElementSpacing = 2 2", "ElementSpacing must be 3"),
        (b"ElementSpacing = 2 2 2", b"ElementSpacing = 2 2 inf", "finite|above zero"),
        (b"Offset = 0 0 0", b"Offset = 0 nan 0", "Offset must be 3 finite numbers"),
        (b"1 0 0 0 1 0 0 0 1", b"1 0 0 0 1 0 0 0 nan", "TransformMatrix must be 9 finite"),
        (b"1 0 0 0 1 0 0 0 1", b"1 0 0 0 1 0 0 0 0", "above zero|point alike"),
        (b"MET_SHORT", b"MET_NOTHING", "ElementType 'MET_NOTHING'"),
        (b"LOCAL", b"LIST", "ElementDataFile"),
        (b"ElementDataFile", b"x" * 100000, "ElementDataFile"),
    ],
)
def test_metaimage(tmp_path, capfd, old, new, words):
    refused(changed(written(tmp_path / "a.mha"), old, new), words)
    assert capfd.readouterr().err == ""


def test_damage_in_packed_metaimage_voxels(tmp_path):
    """MetaIO itself passes over it and returns what it has."""
    path = written(tmp_path / "a.mha", packed=True)
    imaging.read_scan(path)
    content = bytearray(path.read_bytes())
    content[-100] ^= 0xFF
    path.write_bytes(content)
    refused(path, "truncated or damaged")


@pytest.mark.parametrize(
    "old, new, words",
    [
        (b"dimension: 3", b"dimension: 17", "dimension must be 2 to 5"),
        (b"sizes: 10 9 8", b"sizes: 10 9", "sizes must be 3 whole numbers"),
        (b"sizes: 10 9 8", b"sizes: 10 0 8", "sizes must be above zero"),
        (b"sizes: 10 9 8", b"sizes: 10 9 99", "truncated"),
        (b"type: short", b"type: " + b"x" * 3000, "no field"),
        (b"type: short", b"type: block", "'block'"),
        (b"endian", b"f" * 5000 + b": y\nendian", "no field"),
        (b"(2,0,0) (0,2,0) (0,0,2)", b"(2,0,0) (0,2,0)", "3 vectors"),
        (b"(2,0,0) (0,2,0) (0,0,2)", b"(2,0,0) (0,2,0) (0,0,inf)", "finite numbers"),
        (b"space origin: (0,0,0)", b"space origin: (0,nan,0)", "finite numbers"),
        (b"encoding: raw", b"encoding: magic", "'magic'"),
    ],
)
def test_nrrd(tmp_path, old, new, words):
    refused(changed(written(tmp_path / "a.nrrd"), old, new), words)


def test_damage_in_packed_nrrd_voxels(tmp_path):
    path = written(tmp_path / "a.nrrd", packed=True)
    content = bytearray(path.read_bytes())
    content[-100] ^= 0xFF
    path.write_bytes(content)
    refused(path, "truncated or damaged")


def test_long_comments_and_keys_of_nrrd_are_no_fault(tmp_path):
    extra = b"# " + b"c" * 3000 + b"\nkey:=" + b"v" * 3000 + b"\nendian"
    path = changed(written(tmp_path / "a.nrrd"), b"endian", extra)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(imaging.read_image(path)), ARRAY)


@pytest.mark.parametrize(
    "offset, value, words",
    [
        (0, 2, "version 2"),
        (4, 0, "3D scan was expected"),
        (12, -3, "3D scan was expected"),
        (16, 4, "3D scan was expected"),
        (4, 2**30, "memory|truncated"),
        (20, 77, "type of voxel 77"),
        (30, 0, "spacing"),
        (30, 0x7F800000, "spacing|finite"),
    ],
)
def test_freesurfer(tmp_path, offset, value, words):
    path = tmp_path / "a.mgz"
    nibabel.save(nibabel.MGHImage(ARRAY, np.diag([2.0, 2.0, 2.0, 1.0])), str(path))
    content = bytearray(gzip.decompress(path.read_bytes()))
    struct.pack_into(">i", content, offset, value)
    path.write_bytes(gzip.compress(content))
    refused(path, words)


def test_freesurfer_without_an_orientation(tmp_path):
    path = tmp_path / "a.mgh"
    nibabel.save(nibabel.MGHImage(ARRAY, np.diag([2.0, 2.0, 2.0, 1.0])), str(path))
    content = bytearray(path.read_bytes())
    struct.pack_into(">h", content, 28, 0)
    path.write_bytes(content)
    notices = Notices()
    image = imaging.read_image(path, notices=notices)
    assert imaging.orientation_of(image.GetDirection()) == "LIA"
    assert [notice.code for notice in notices] == ["orientation-unknown"]


def test_pipes_devices_and_odd_names(tmp_path):
    os.mkfifo(tmp_path / "a.nii")
    for path in (tmp_path / "a.nii", "/dev/zero"):
        for read in (imaging.read_scan, imaging.read_points, imaging.read_displacement):
            with pytest.raises(InputError, match="device or a pipe"):
                read(path)
    with pytest.raises(InputError, match="cannot be read"):
        imaging.read_scan(tmp_path / ("a" * 300 + ".nii"))
    (tmp_path / "b.nii").mkdir()
    with pytest.raises(InputError, match="no DICOM series"):
        imaging.read_scan(tmp_path / "b.nii")
