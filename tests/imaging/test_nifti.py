"""NIfTI files as they should not be."""

import gzip
import struct

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk

from ldr_tf import imaging
from ldr_tf.errors import InputError
from ldr_tf.notices import Notices

ARRAY = np.random.default_rng(0).integers(0, 99, (5, 6, 7)).astype(np.int16)
AFFINE = np.diag([2.0, 2.0, 2.0, 1.0])
FIELDS = {
    "dim[0]": (40, "h"),
    "dim[1]": (42, "h"),
    "dim[3]": (46, "h"),
    "datatype": (70, "h"),
    "pixdim[1]": (80, "f"),
    "pixdim[3]": (88, "f"),
    "vox_offset": (108, "f"),
    "scl_slope": (112, "f"),
    "scl_inter": (116, "f"),
    "quatern_b": (256, "f"),
    "srow_x[0]": (280, "f"),
    "srow_z[3]": (324, "f"),
    "magic": (344, "i"),
}


def written(path, array=ARRAY, maker=nibabel.Nifti1Image, **fields):
    """Writes an image and puts values into fields of its header, by their place in the file."""
    nibabel.save(maker(array, AFFINE), str(path))
    packed = path.name.endswith(".gz")
    content = bytearray(gzip.decompress(path.read_bytes()) if packed else path.read_bytes())
    for name, value in fields.items():
        offset, kind = FIELDS[name]
        struct.pack_into("<" + kind, content, offset, value)
    path.write_bytes(gzip.compress(bytes(content)) if packed else bytes(content))
    return path


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
@pytest.mark.parametrize(
    "field, value, words",
    [
        ("pixdim[1]", np.inf, "spacing"),
        ("pixdim[1]", np.nan, "spacing"),
        ("pixdim[3]", 0.0, "spacing"),
        ("vox_offset", np.inf, "vox_offset"),
        ("vox_offset", np.nan, "vox_offset"),
        ("vox_offset", 12.0, "vox_offset"),
        ("vox_offset", -1e9, "vox_offset"),
        ("vox_offset", 1e15, "truncated"),
        ("srow_x[0]", np.inf, "sform"),
        ("srow_z[3]", np.nan, "sform"),
        ("srow_z[3]", 1e30, "finite and within"),
        ("srow_x[0]", 1e30, "no scan has this size"),
        ("dim[0]", 0, "truncated|damaged|dimensions"),
        ("dim[1]", 0, "dimensions"),
        ("dim[1]", -5, "dimensions"),
        ("dim[1]", 32767, "truncated"),
        ("dim[3]", 1, "single slice"),
        ("datatype", 77, "type of voxel 77"),
        ("datatype", 1792, "complex numbers"),
        ("datatype", 128, "3 values a voxel"),
        ("magic", 0, "magic"),
    ],
)
def test_fields_that_cannot_be(tmp_path, capfd, name, field, value, words):
    path = written(tmp_path / name, **{field: value})
    with pytest.raises(InputError, match=f"^{path}: .*({words})") as caught:
        imaging.read_scan(path)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("slope, inter, said", [(np.nan, 0, 1), (np.inf, 1, 1), (2, np.nan, 1)])
def test_a_scaling_that_is_none_is_said(tmp_path, slope, inter, said):
    notices = Notices()
    path = written(tmp_path / "a.nii", scl_slope=slope, scl_inter=inter)
    image = imaging.read_scan(path, notices=notices)
    np.testing.assert_array_equal(imaging.to_array(image), ARRAY)
    assert [notice.code for notice in notices] == ["scaling-ignored"] * said


def test_a_scaling_is_applied(tmp_path):
    path = written(tmp_path / "a.nii", scl_slope=0.5, scl_inter=-3)
    image = imaging.read_image(path)
    assert image.GetPixelID() == sitk.sitkFloat32
    np.testing.assert_array_equal(imaging.to_array(image), 0.5 * ARRAY - 3)


@pytest.mark.parametrize("maker", [nibabel.Nifti1Image, nibabel.Nifti2Image])
@pytest.mark.parametrize("order", "<>")
def test_both_versions_and_byte_orders(tmp_path, maker, order):
    header = maker.header_class(endianness=order)
    header.set_data_dtype(np.int16)
    nibabel.save(maker(ARRAY, AFFINE, header), str(tmp_path / "a.nii.gz"))
    image = imaging.read_image(tmp_path / "a.nii.gz")
    assert image.GetPixelID() == sitk.sitkInt16 and image.GetSpacing() == (2, 2, 2)
    np.testing.assert_array_equal(imaging.to_array(image), ARRAY)


def test_packed_and_plain_go_by_content(tmp_path):
    packed = written(tmp_path / "a.nii.gz").read_bytes()
    (tmp_path / "b.nii").write_bytes(packed)
    (tmp_path / "c.nii.gz").write_bytes(gzip.decompress(packed))
    (tmp_path / "d.scan").write_bytes(packed)
    for name in ("b.nii", "c.nii.gz", "d.scan"):
        image = imaging.read_image(tmp_path / name)
        np.testing.assert_array_equal(imaging.to_array(image), ARRAY)


def test_junk_after_packed_data_is_said(tmp_path):
    path = written(tmp_path / "a.nii.gz")
    for tail, said in ((b"\0" * 512, 0), (b"junk" * 300, 1), (b"\0\0\0x", 1)):
        notices = Notices()
        (tmp_path / "b.nii.gz").write_bytes(path.read_bytes() + tail)
        image = imaging.read_image(tmp_path / "b.nii.gz", notices=notices)
        np.testing.assert_array_equal(imaging.to_array(image), ARRAY)
        assert [notice.code for notice in notices] == ["file-junk-tail"] * said


def test_packed_data_in_several_members(tmp_path):
    content = gzip.decompress(written(tmp_path / "a.nii.gz").read_bytes())
    members = [gzip.compress(content[a:b]) for a, b in ((0, 100), (100, 500), (500, None))]
    (tmp_path / "b.nii.gz").write_bytes(b"".join(members))
    np.testing.assert_array_equal(
        imaging.to_array(imaging.read_image(tmp_path / "b.nii.gz")), ARRAY
    )


def test_a_flipped_byte_in_the_check_sum(tmp_path):
    path = written(tmp_path / "a.nii.gz")
    content = bytearray(path.read_bytes())
    content[-6] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match="truncated or damaged"):
        imaging.read_image(path)


def test_a_sparse_file_of_many_gigabytes(tmp_path):
    path = written(tmp_path / "a.nii")
    content = bytearray(path.read_bytes())
    struct.pack_into("<3h", content, 42, 30000, 30000, 30000)
    path.write_bytes(content)
    with path.open("r+b") as file:
        file.truncate(2**40 * 6)
    with pytest.raises(InputError, match=r"GB by the header, too much"):
        imaging.read_image(path)


def test_vectors_along_ras_become_lps(tmp_path):
    """Intent code 1006 says displacements along RAS; 1007, as ITK writes, along LPS."""
    vectors = np.random.default_rng(0).normal(size=(4, 5, 6, 1, 3))
    for intent, signs in (("displacement vector", (-1, -1, 1)), ("vector", (1, 1, 1))):
        image = nibabel.Nifti1Image(vectors, AFFINE)
        image.header.set_intent(intent)
        nibabel.save(image, str(tmp_path / "a.nii.gz"))
        field = imaging.read_displacement(tmp_path / "a.nii.gz")
        np.testing.assert_allclose(imaging.to_array(field), vectors[:, :, :, 0] * signs)
        by_itk = sitk.ReadImage(str(tmp_path / "a.nii.gz"))
        np.testing.assert_allclose(imaging.to_array(by_itk), imaging.to_array(field))
