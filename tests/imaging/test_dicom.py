"""DICOM folders: which series, and slices that do not belong or lie unevenly."""

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

from ldr_tf import imaging
from ldr_tf.errors import InputError
from ldr_tf.notices import Notices

SIDE = 16
CT = "1.2.840.10008.5.1.4.1.1.2"


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


def dicom(folder, count=12, series="1.2.9", **change):
    """Writes slices by pydicom whose voxels hold ten times their height along the ramp (1, 2, 3).

    Args:
      change: fields for all slices, or functions (slice number -> value); None takes one out.
    """
    folder.mkdir(exist_ok=True)
    for number in range(count):
        values = {name: v(number) if callable(v) else v for name, v in change.items()}
        position = np.array(values.get("ImagePositionPatient") or (-3.0, 4.0, 2.0 * number))
        cosines = np.reshape(values.get("ImageOrientationPatient") or (1, 0, 0, 0, 1, 0), (2, 3))
        steps = np.array([0.5, 0.5])[:, None] * cosines
        j, i = np.indices((SIDE, SIDE))
        points = position + i[..., None] * steps[0] + j[..., None] * steps[1]
        plane = np.rint(10 * points @ (1.0, 2.0, 3.0) + 2000).astype(np.uint16)
        content = header(CT, series, number)
        content.ImagePositionPatient = [float(mm) for mm in position]
        content.ImageOrientationPatient = [float(c) for c in cosines.ravel()]
        content.PixelSpacing, content.SliceThickness = [0.5, 0.5], 2
        content.RescaleSlope, content.RescaleIntercept = 1, -2000
        content.PixelData = plane.tobytes()
        for name, value in values.items():
            if value is None:
                delattr(content, name)
            elif name not in ("ImagePositionPatient", "ImageOrientationPatient"):
                setattr(content, name, value)
        pydicom.dcmwrite(folder / f"{number:02}.dcm", content, enforce_file_format=True)
    return folder


def header(kind, series, number):
    content = pydicom.Dataset()
    content.file_meta = pydicom.dataset.FileMetaDataset()
    content.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    content.file_meta.MediaStorageSOPClassUID = content.SOPClassUID = kind
    uid = f"{series}.{number + 1}"
    content.SOPInstanceUID = content.file_meta.MediaStorageSOPInstanceUID = uid
    content.StudyInstanceUID, content.SeriesInstanceUID = "1.2.3", series
    content.Modality, content.PatientName, content.InstanceNumber = "CT", "PLANTED", number + 1
    content.Rows = content.Columns = SIDE
    content.SamplesPerPixel, content.PhotometricInterpretation = 1, "MONOCHROME2"
    content.BitsAllocated = content.BitsStored = 16
    content.HighBit, content.PixelRepresentation = 15, 0
    return content


def read(path, **options):
    notices = Notices()
    return imaging.read_image(path, notices=notices, **options), [n.code for n in notices]


def check_ramp(image, share):
    """Every voxel that a slice could give holds ten times its point's height along (1, 2, 3)."""
    array, grid = imaging.to_array(image), imaging.grid_of(image)
    points = grid.points(np.indices(array.shape).reshape(3, -1).T).reshape(*array.shape, 3)
    known = np.abs(array - 10 * points @ (1.0, 2.0, 3.0)) < 2
    assert known.mean() > share
    axes = np.reshape(image.GetDirection(), (3, 3))
    np.testing.assert_allclose(axes.T @ axes, np.eye(3), atol=1e-9)


@pytest.mark.parametrize("degrees", [5, 15, -20])
def test_a_tilted_gantry_is_made_straight_true_to_the_positions(tmp_path, degrees):
    drift = 2.0 * np.tan(np.deg2rad(degrees))
    places = lambda k: (-3.0, 4.0 + drift * k, 2.0 * k)  # noqa: E731
    image, codes = read(dicom(tmp_path, ImagePositionPatient=places, GantryDetectorTilt=degrees))
    assert codes == ["dicom-tilted", "geometry-sheared"]
    check_ramp(image, 0.45)


def test_a_tilt_in_the_orientation_with_a_straight_table(tmp_path):
    """As scanners write it: the planes are oblique, the positions go along the table."""
    cosine, sine = np.cos(0.2), np.sin(0.2)
    image, codes = read(dicom(tmp_path, ImageOrientationPatient=(1, 0, 0, 0, cosine, -sine)))
    assert codes == ["dicom-tilted", "geometry-sheared"]
    check_ramp(image, 0.45)


def test_an_oblique_volume_without_tilt_is_silent(tmp_path):
    cosine, sine = np.cos(0.2), np.sin(0.2)
    places = lambda k: (-3.0, 4.0 + 2 * sine * k, 2 * cosine * k)  # noqa: E731
    image, codes = read(
        dicom(
            tmp_path,
            ImagePositionPatient=places,
            ImageOrientationPatient=(1, 0, 0, 0, cosine, -sine),
        )
    )
    assert codes == [] and image.GetSize() == (SIDE, SIDE, 12)
    check_ramp(image, 0.99)


def test_slices_that_drift_sideways_are_refused(tmp_path):
    along_rows = lambda k: (-3.0 + 0.4 * k, 4.0, 2.0 * k)  # noqa: E731
    with pytest.raises(InputError, match=r"drift sideways along their rows by 4\.4 mm"):
        read(dicom(tmp_path / "a", ImagePositionPatient=along_rows))
    jump = lambda k: (-3.0, 4.0 + 3.0 * (k == 6), 2.0 * k)  # noqa: E731
    with pytest.raises(InputError, match=r"do not lie on one line: .*06.dcm lies 3 mm beside"):
        read(dicom(tmp_path / "b", ImagePositionPatient=jump))
    turning = lambda k: (1, 0, 0, 0, np.cos(0.01 * k), np.sin(0.01 * k))  # noqa: E731
    with pytest.raises(InputError, match="another size, spacing or orientation"):
        read(dicom(tmp_path / "c", ImageOrientationPatient=turning))


@pytest.mark.parametrize("field", ["ImagerPixelSpacing", "NominalScannedPixelSpacing"])
def test_other_spacings_are_taken_with_a_warning(tmp_path, field):
    image, codes = read(dicom(tmp_path, PixelSpacing=None, **{field: [0.5, 0.5]}))
    assert image.GetSpacing() == (0.5, 0.5, 2.0) and codes == ["dicom-imager-spacing"]
    check_ramp(image, 0.99)


@pytest.mark.parametrize(
    "field, value, words",
    [
        ("PixelSpacing", None, "has no pixel spacing"),
        ("PixelSpacing", [0, 0.5], "pixel spacing must be above zero"),
        ("ImagePositionPatient", None, "has no position"),
        ("ImageOrientationPatient", None, "has no orientation"),
    ],
)
def test_fields_that_are_needed(tmp_path, field, value, words):
    with pytest.raises(InputError, match=words):
        read(dicom(tmp_path, **{field: lambda k: value}))


def test_an_orientation_that_is_none(tmp_path):
    with pytest.raises(InputError, match="two vectors of length 1"):
        read(dicom(tmp_path, ImageOrientationPatient=(0, 0, 0, 0, 0, 0)))


def test_of_several_series_the_choice_is_said(tmp_path):
    dicom(tmp_path, 5, "1.2.8", SeriesDescription="SCOUT")
    for path in tmp_path.iterdir():
        path.rename(tmp_path / f"s{path.name}")
    dicom(tmp_path, 7, "1.2.9", SeriesDescription="THORAX 2.0")
    notices = Notices()
    assert imaging.read_image(tmp_path, notices=notices).GetSize()[2] == 7
    assert [notice.code for notice in notices] == ["dicom-series-chosen"]
    assert "(7 slices 'THORAX 2.0'); there are 1: 7 slices" in notices[0].text
    assert "2: 5 slices 'SCOUT'" in notices[0].text
    assert "PLANTED" not in notices[0].text
    assert read(tmp_path, series="2")[1] == []


def test_padding_of_a_ct_that_looks_like_tissue(tmp_path):
    folder = dicom(tmp_path, PixelPaddingValue=2500)
    for path in folder.iterdir():
        content = pydicom.dcmread(path)
        plane = content.pixel_array.copy()
        plane[:3] = 2500
        content.PixelData = plane.tobytes()
        content.save_as(path)
    image, codes = read(folder)
    assert codes == ["dicom-padding"]
    assert (imaging.to_array(image)[:, :3] == -32768).all()
    assert imaging.padding_value(image) == -32768


def multiframe(folder, places, cosines=(1, 0, 0, 0, 1, 0), shared=True, change=None):
    """Writes an enhanced CT of one file, with the ramp of `dicom`."""
    folder.mkdir(exist_ok=True)
    content = header("1.2.840.10008.5.1.4.1.1.2.1", "1.2.7", 0)
    content.NumberOfFrames = len(places)
    common, measures, plane, values = (pydicom.Dataset() for _ in range(4))
    measures.PixelSpacing, measures.SliceThickness = [0.5, 0.5], 2
    plane.ImageOrientationPatient = [float(cosine) for cosine in cosines]
    values.RescaleIntercept, values.RescaleSlope, values.RescaleType = -2000, 1, "HU"
    each, planes = [], []
    steps = 0.5 * np.reshape(cosines, (2, 3))
    j, i = np.indices((SIDE, SIDE))
    for place in places:
        frame, where = pydicom.Dataset(), pydicom.Dataset()
        where.ImagePositionPatient = [float(mm) for mm in place]
        frame.PlanePositionSequence = [where]
        if not shared:
            frame.PixelMeasuresSequence, frame.PlaneOrientationSequence = [measures], [plane]
        each.append(frame)
        points = np.array(place) + i[..., None] * steps[0] + j[..., None] * steps[1]
        planes.append(np.rint(10 * points @ (1.0, 2.0, 3.0) + 2000))
    if shared:
        common.PixelMeasuresSequence, common.PlaneOrientationSequence = [measures], [plane]
    common.PixelValueTransformationSequence = [values]
    content.SharedFunctionalGroupsSequence = [common]
    content.PerFrameFunctionalGroupsSequence = each
    content.PixelData = np.array(planes).astype(np.uint16).tobytes()
    if change:
        change(content)
    pydicom.dcmwrite(folder / "scan.dcm", content, enforce_file_format=True)
    return folder


STRAIGHT = [(-3.0, 4.0, 2.0 * k) for k in range(8)]


@pytest.mark.parametrize("shared", [True, False])
def test_many_frames_in_one_file_alone_or_in_a_folder(tmp_path, shared):
    folder = multiframe(tmp_path, STRAIGHT, shared=shared)
    for path in (folder, folder / "scan.dcm"):
        image, codes = read(path)
        assert codes == [] and image.GetSize() == (SIDE, SIDE, 8)
        np.testing.assert_allclose(image.GetSpacing(), (0.5, 0.5, 2.0))
        check_ramp(image, 0.99)
        assert image.GetMetaDataKeys() == ()


def test_frames_in_any_order_tilted_or_uneven(tmp_path):
    check_ramp(read(multiframe(tmp_path / "a", STRAIGHT[::-1]))[0], 0.99)
    mixed = [STRAIGHT[n] for n in (3, 0, 7, 1, 2, 6, 5, 4)]
    check_ramp(read(multiframe(tmp_path / "b", mixed))[0], 0.99)
    image, codes = read(multiframe(tmp_path / "c", [(x, y + 0.2 * z, z) for x, y, z in STRAIGHT]))
    assert codes == ["dicom-tilted", "geometry-sheared"]
    check_ramp(image, 0.45)
    gap = multiframe(tmp_path / "d", STRAIGHT[:3] + STRAIGHT[5:])
    with pytest.raises(InputError, match=r"missing in 1 places, the first after .*frame 3"):
        read(gap)
    image, codes = read(gap, uneven="resample")
    assert codes == ["dicom-uneven"] and image.GetSize()[2] == 8
    check_ramp(image, 0.99)
    with pytest.raises(InputError, match="show one place"):
        read(multiframe(tmp_path / "e", STRAIGHT + STRAIGHT))


def test_frames_that_do_not_say_where_they_lie(tmp_path):
    def without(content):
        del content.PerFrameFunctionalGroupsSequence

    image, codes = read(multiframe(tmp_path / "a", STRAIGHT, change=without))
    assert codes[0] == "orientation-unknown" and image.GetSize()[2] == 8

    def fewer(content):
        content.PerFrameFunctionalGroupsSequence = content.PerFrameFunctionalGroupsSequence[:5]

    with pytest.raises(InputError, match="8 frames but says where 5"):
        read(multiframe(tmp_path / "b", STRAIGHT, change=fewer))


def test_damaged_multiframe_files(tmp_path):
    content = (multiframe(tmp_path / "a", STRAIGHT) / "scan.dcm").read_bytes()
    path = tmp_path / "b.dcm"
    for length in (200, 600, 1500, len(content) - 3000):
        path.write_bytes(content[:length])
        with pytest.raises(InputError, match=r"b.dcm: "):
            read(path)


def test_one_slice_alone_is_no_scan(tmp_path):
    with pytest.raises(InputError, match="single slice; of a DICOM series the folder"):
        read(dicom(tmp_path) / "00.dcm")


def test_pixels_that_are_not_square(tmp_path):
    """PixelSpacing gives the distance of rows first, which lies along y."""
    image, codes = read(dicom(tmp_path, PixelSpacing=[0.5, 0.8]))
    assert image.GetSpacing() == (0.8, 0.5, 2.0) and codes == []
