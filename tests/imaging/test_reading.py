import os
import pathlib
import struct

import numpy as np
import pytest
import SimpleITK as sitk

from ldr_tf import imaging
from ldr_tf.errors import InputError

DATA = pathlib.Path(__file__).parents[2].parent / "shared" / "data"


def volume(dtype=np.float32, size=(20, 21, 22)):
    values = np.random.default_rng(0).uniform(0, 200, size).astype(dtype)
    image = sitk.GetImageFromArray(values)
    image.SetSpacing((1.0, 2.0, 3.0))
    image.SetOrigin((-5.0, 6.0, 7.0))
    image.SetDirection((1, 0, 0, 0, 0, -1, 0, -1, 0))
    return image


def refused(read, path):
    """Returns the sentence with which `read` refuses a file: one line that names it."""
    with pytest.raises(InputError) as caught:
        read(str(path))
    sentence = str(caught.value)
    assert sentence.startswith(str(path)) and "\n" not in sentence and "itk" not in sentence
    return sentence


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "a.mha", "a.mhd", "a.nrrd"])
def test_formats_keep_values_and_grid(tmp_path, name):
    sitk.WriteImage(volume(np.int16), str(tmp_path / name))
    scan = imaging.read_scan(tmp_path / name)
    assert scan.GetPixelID() == sitk.sitkFloat32
    assert imaging.same_grid(scan, volume())
    np.testing.assert_array_equal(imaging.to_array(scan), imaging.to_array(volume(np.int16)))


def test_analyze_keeps_values_and_spacing(tmp_path):
    sitk.WriteImage(volume(np.int16), str(tmp_path / "a.hdr"))
    scan = imaging.read_scan(tmp_path / "a.img")
    np.testing.assert_allclose(scan.GetSpacing(), (1.0, 2.0, 3.0))
    np.testing.assert_array_equal(imaging.to_array(scan), imaging.to_array(volume(np.int16)))


def test_a_missing_and_an_empty_file(tmp_path):
    assert "no such file" in refused(imaging.read_scan, tmp_path / "none.nii.gz")
    (tmp_path / "empty.nii.gz").touch()
    assert "empty" in refused(imaging.read_scan, tmp_path / "empty.nii.gz")


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "a.mha", "packed.mha", "a.nrrd", "p.nrrd"])
@pytest.mark.parametrize("share", [0.002, 0.5, 0.99])
def test_a_truncated_file(tmp_path, capfd, name, share):
    path = tmp_path / name
    sitk.WriteImage(volume(), str(path), useCompression=name.startswith("p"))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    refused(imaging.read_scan, path)
    # ITK prints some complaints by itself; one sentence is all that may be seen.
    assert share < 0.01 or capfd.readouterr().err == ""


@pytest.mark.parametrize("header, data", [("a.hdr", "a.img"), ("a.mhd", "a.raw")])
def test_truncated_or_missing_data_beside_a_header(tmp_path, header, data):
    sitk.WriteImage(volume(), str(tmp_path / header))
    whole = (tmp_path / data).read_bytes()
    (tmp_path / data).write_bytes(whole[:-8])
    with pytest.raises(InputError, match=f"{data}: the file is truncated"):
        imaging.read_scan(tmp_path / header)
    (tmp_path / data).unlink()
    with pytest.raises(InputError, match=f"{data}: no such file"):
        imaging.read_scan(tmp_path / header)


def test_a_damaged_packed_file(tmp_path):
    path = tmp_path / "a.nii.gz"
    sitk.WriteImage(volume(), str(path))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    assert "damaged" in refused(imaging.read_scan, path)


@pytest.mark.parametrize("name", ["a.nii", "a.mha", "a.txt", "a.nrrd"])
def test_something_that_is_no_image(tmp_path, name):
    (tmp_path / name).write_text("a letter to my aunt\n" * 100)
    refused(imaging.read_scan, tmp_path / name)


def test_a_folder_without_a_series(tmp_path, capfd):
    assert "DICOM" in refused(imaging.read_scan, tmp_path)


def test_dimensions(tmp_path):
    path = tmp_path / "a.nii.gz"
    for image, word in (
        (volume()[:, :, 3], "2D"),
        (volume()[:, :, 3:4], "single slice"),
        (sitk.JoinSeries([volume(), volume()]), "4D"),
    ):
        sitk.WriteImage(image, str(path))
        assert word in refused(imaging.read_scan, path)
    for name in ("one.nii.gz", "one.mha"):  # one frame: 3D after all
        sitk.WriteImage(sitk.JoinSeries([volume()]), str(tmp_path / name))
        assert imaging.read_scan(tmp_path / name).GetSize() == volume().GetSize()


def test_colours_and_complex_numbers(tmp_path):
    path = tmp_path / "a.nii.gz"
    rgb = sitk.Compose([sitk.Cast(volume(), sitk.sitkUInt8)] * 3)
    sitk.WriteImage(rgb, str(path))
    assert "3 values a voxel" in refused(imaging.read_scan, path)
    sitk.WriteImage(sitk.RealAndImaginaryToComplex(volume(), volume()), str(path))
    assert "complex" in refused(imaging.read_scan, path)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_voxels_that_are_no_numbers(tmp_path, value):
    image = volume()
    image[3, 4, 5] = value
    sitk.WriteImage(image, str(tmp_path / "a.nii"))
    for read in (imaging.read_scan, imaging.read_labels):
        assert "NaN" in refused(read, tmp_path / "a.nii")


def test_a_constant_image(tmp_path):
    path = tmp_path / "a.nii.gz"
    sitk.WriteImage(volume() * 0 + 7, str(path))
    assert "constant" in refused(imaging.read_scan, path)
    imaging.read_image(path)


@pytest.mark.parametrize("value", [0.0, -2.0, float("nan")])
def test_spacing_not_above_zero(tmp_path, value):
    path = tmp_path / "a.nii"
    sitk.WriteImage(volume(), str(path))
    content = bytearray(path.read_bytes())
    struct.pack_into("<f", content, 84, value)  # pixdim[2] of NIfTI-1
    path.write_bytes(content)
    assert "spacing" in refused(imaging.read_scan, path)
    path = tmp_path / "a.mha"
    sitk.WriteImage(volume(), str(path))
    old, new = b"ElementSpacing = 1 2 3", f"ElementSpacing = 1 {value} 3".encode()
    assert old in path.read_bytes()
    path.write_bytes(path.read_bytes().replace(old, new))
    assert "spacing" in refused(imaging.read_scan, path)


def test_labels(tmp_path):
    path = tmp_path / "a.nii.gz"
    for kind in (sitk.sitkUInt8, sitk.sitkInt16, sitk.sitkInt64):
        sitk.WriteImage(sitk.Cast(volume(), kind), str(path))
        assert imaging.read_labels(path).GetPixelID() == kind
    sitk.WriteImage(sitk.Round(volume()), str(path))
    labels = imaging.read_labels(path)
    assert labels.GetPixelID() == sitk.sitkInt32
    np.testing.assert_array_equal(imaging.to_array(labels), np.rint(imaging.to_array(volume())))
    sitk.WriteImage(volume(), str(path))
    assert "whole numbers" in refused(imaging.read_labels, path)


def write_dicom_series(folder, slices, uid, shift=0):
    """Writes slices as CT files; SimpleITK is the writer."""
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    for number in range(slices):
        image = sitk.Cast(volume(size=(1, 12, 14)), sitk.sitkInt16)[:, :, 0] + number + shift
        image = sitk.JoinSeries(image)
        image.SetSpacing((0.5, 0.5, 2.0))
        for tag, value in (
            ("0008|0060", "CT"),
            ("0020|000e", uid),
            ("0020|000d", "1.2.3"),
            ("0008|0018", f"{uid}.{number + 1}"),
            ("0020|0013", str(number)),
            ("0020|0032", f"-3\\4\\{2.0 * number}"),
            ("0020|0037", "1\\0\\0\\0\\1\\0"),
        ):
            image.SetMetaData(tag, value)
        # File names run against the order of the slices.
        writer.SetFileName(str(folder / f"{shift}_{100 - number}.dcm"))
        writer.Execute(image)


def test_a_dicom_folder_gives_its_longest_series(tmp_path):
    write_dicom_series(tmp_path, 3, "1.2.3.4", shift=500)
    write_dicom_series(tmp_path, 6, "1.2.3.5")
    scan = imaging.read_scan(tmp_path)
    assert scan.GetSize() == (14, 12, 6)
    np.testing.assert_allclose(scan.GetSpacing(), (0.5, 0.5, 2.0))
    np.testing.assert_allclose(scan.GetOrigin(), (-3.0, 4.0, 0.0))
    np.testing.assert_allclose(np.diff(imaging.to_array(scan), axis=2), 1.0)


def test_a_dicom_series_with_a_truncated_slice(tmp_path):
    write_dicom_series(tmp_path, 4, "1.2.3.5")
    path = tmp_path / "0_98.dcm"
    path.write_bytes(path.read_bytes()[:-100])
    refused(imaging.read_scan, tmp_path)


@pytest.mark.skipif(not DATA.is_dir(), reason="needs ../shared/data")
def test_a_real_dicom_series_without_uid():
    scan = imaging.read_scan(DATA / "ct" / "dicom_series")
    assert scan.GetSize() == (512, 512, 20)


def test_displacement_field_survives_nifti(tmp_path):
    vectors = np.random.default_rng(0).normal(size=(5, 6, 7, 3))
    like = sitk.Image(5, 6, 7, sitk.sitkUInt8)
    like.SetDirection((1, 0, 0, 0, 0, -1, 0, -1, 0))
    field = imaging.to_image(vectors, like)
    imaging.write_image(field, tmp_path / "d.nii.gz")
    again = sitk.ReadImage(str(tmp_path / "d.nii.gz"))
    assert again.GetMetaData("intent_code") == "1007"
    read = imaging.read_displacement(tmp_path / "d.nii.gz")
    assert read.GetPixelID() == sitk.sitkVectorFloat64
    np.testing.assert_array_equal(imaging.to_array(read), vectors)
    assert imaging.same_grid(read, like)


def test_a_scalar_image_is_no_displacement_field(tmp_path):
    sitk.WriteImage(volume(), str(tmp_path / "a.nii"))
    assert "three numbers" in refused(imaging.read_displacement, tmp_path / "a.nii")


def test_writing_is_whole_or_not_at_all(tmp_path):
    for name in imaging.WRITABLE:
        imaging.write_image(volume(), tmp_path / ("a" + name))
        assert imaging.same_grid(imaging.read_scan(tmp_path / ("a" + name)), volume())
    names = sorted(os.listdir(tmp_path))
    assert names == sorted("a" + name for name in imaging.WRITABLE)
    for name in ("a.mhd", "a.png", "none/a.nii"):
        refused(lambda path: imaging.write_image(volume(), path), tmp_path / name)
    assert sorted(os.listdir(tmp_path)) == names


def test_headers_without_a_spacing(tmp_path):
    sitk.WriteImage(volume(), str(tmp_path / "a.mha"))
    sitk.WriteImage(volume(), str(tmp_path / "a.nrrd"))
    for name, field in (("a.mha", b"ElementSpacing"), ("a.nrrd", b"space directions")):
        path = tmp_path / name
        imaging.read_image(path)
        lines = path.read_bytes().split(b"\n")
        path.write_bytes(b"\n".join(line for line in lines if not line.startswith(field)))
        assert "gives no voxel spacing" in refused(imaging.read_image, path)
