"""DICOM folders: which series, and slices that do not belong or lie unevenly."""

import numpy as np
import pytest
import SimpleITK as sitk

from ldr_tf import imaging
from ldr_tf.errors import InputError

SIDE = 16


def write_slices(folder, places, uid="1.2.5", prefix="a", spacing=0.5, compressor=None):
    """Writes slices whose voxels hold ten times their place in mm; SimpleITK is the writer."""
    folder.mkdir(exist_ok=True)
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    if compressor:
        writer.SetUseCompression(True)
        writer.SetCompressor(compressor)
    for number, place in enumerate(places):
        array = np.full((1, SIDE, SIDE), 10 * place)
        array[0, 0, 0] += 1000  # a slice that is not constant
        image = sitk.GetImageFromArray(np.rint(array).astype(np.int16))
        image.SetSpacing((spacing, spacing, 2.0))
        tags = {
            "0008|0060": "CT",
            "0010|0010": "PLANTED^NAME",
            "0020|000e": uid,
            "0020|000d": "1.2.3",
            "0008|0018": f"{uid}.{ord(prefix)}.{number + 1}",
            "0020|0013": str(number),
            "0020|0032": f"-3\\4\\{place}",
            "0020|0037": "1\\0\\0\\0\\1\\0",
        }
        for tag, value in tags.items():
            image.SetMetaData(tag, value)
        writer.SetFileName(str(folder / f"{prefix}{number:02d}.dcm"))
        writer.Execute(image)


def test_a_series_by_number_or_end_of_its_uid(tmp_path):
    write_slices(tmp_path, range(0, 12, 2), "1.2.5.7", "a")
    write_slices(tmp_path, range(0, 8, 2), "1.2.5.8", "b")
    for series, slices in ((None, 6), ("1", 6), ("2", 4), ("5.7", 6), ("1.2.5.8", 4)):
        assert imaging.read_image(tmp_path, series).GetSize() == (SIDE, SIDE, slices)
    for series in ("3", "9.9", ".5."):
        with pytest.raises(InputError, match=r"no series are called .*1: 6 slices, 2: 4 slices"):
            imaging.read_image(tmp_path, series)


def test_missing_slices_are_named_or_interpolated(tmp_path):
    write_slices(tmp_path, [0, 2, 4, 10, 12, 14])
    with pytest.raises(InputError, match=r"missing in 1 places, the first after .*a02.dcm \(6 mm"):
        imaging.read_image(tmp_path)
    image = imaging.read_image(tmp_path, uneven="resample")
    assert image.GetSize() == (SIDE, SIDE, 8)
    np.testing.assert_allclose(image.GetSpacing(), (0.5, 0.5, 2.0))
    np.testing.assert_allclose(image.GetOrigin(), (-3.0, 4.0, 0.0))
    # A ramp along z is interpolated exactly: ten times the place.
    np.testing.assert_array_equal(imaging.to_array(image)[5, 5], 20 * np.arange(8))


def test_uneven_steps_are_refused_or_resampled(tmp_path):
    write_slices(tmp_path, [0, 2, 4.8, 7, 9, 11])
    with pytest.raises(InputError, match=r"lie 2 to 2.8 mm apart; .*on request"):
        imaging.read_image(tmp_path)
    image = imaging.read_image(tmp_path, uneven="resample")
    assert image.GetSpacing()[2] == 2.0
    np.testing.assert_array_equal(imaging.to_array(image)[5, 5], 20 * np.arange(6))


def test_slices_of_two_series_under_one_uid(tmp_path):
    write_slices(tmp_path / "places", range(0, 12, 2), prefix="a")
    write_slices(tmp_path / "places", range(0, 6, 2), prefix="b")
    with pytest.raises(InputError, match=r"mixes series: .* show one place"):
        imaging.read_image(tmp_path / "places", uneven="resample")
    write_slices(tmp_path / "spacings", range(0, 12, 2), prefix="a")
    write_slices(tmp_path / "spacings", range(12, 18, 2), prefix="b", spacing=0.7)
    with pytest.raises(InputError, match=r"mixes series: .*b00.dcm has another size, spacing"):
        imaging.read_image(tmp_path / "spacings")


def test_jpeg_2000(tmp_path):
    write_slices(tmp_path, range(0, 12, 2), compressor="JPEG2000")
    content = (tmp_path / "a00.dcm").read_bytes()
    assert b"1.2.840.10008.1.2.4.90" in content  # JPEG 2000, lossless only
    image = imaging.read_image(tmp_path)
    np.testing.assert_array_equal(imaging.to_array(image)[5, 5], 20 * np.arange(6))


def test_no_tag_is_kept(tmp_path):
    write_slices(tmp_path, range(0, 12, 2))
    assert imaging.read_image(tmp_path).GetMetaDataKeys() == ()
