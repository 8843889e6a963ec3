"""Where scans lie, against nibabel and against numbers known by hand."""

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk

from ldr_tf import imaging
from ldr_tf.errors import InputError
from ldr_tf.imaging.geometry import affine_of, place
from ldr_tf.notices import Notices

TO_RAS = np.diag([-1.0, -1.0, 1.0])
SIZE = (20, 22, 24)
PLAIN = np.array([[0, 0, 2.0, -20], [1.0, 0, 0, -10], [0, 1.5, 0, 5], [0, 0, 0, 1]])


def turned(degrees):
    matrix = np.eye(4)
    cosine, sine = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    matrix[:2, :2] = [[cosine, -sine], [sine, cosine]]
    return matrix


def sheared(share):
    matrix = np.eye(4)
    matrix[0, 1] = share
    return matrix


def write(path, sform=None, scode=0, qform=None, qcode=0, pixdim=None, unit="mm", ramp=None):
    """Writes noise, or the height along a RAS vector `ramp` by the sform, with nibabel."""
    array = np.random.default_rng(0).uniform(0, 100, SIZE)
    if ramp is not None:
        points = nibabel.affines.apply_affine(sform, np.indices(SIZE).reshape(3, -1).T)
        array = (points @ ramp).reshape(SIZE)
    image = nibabel.Nifti1Image(array.astype(np.float32), None)
    if pixdim is not None:
        image.header.set_zooms(pixdim)
    image.set_qform(qform, qcode)
    image.set_sform(sform, scode)
    image.header["qform_code"], image.header["sform_code"] = qcode, scode
    if pixdim is None and qform is None:
        image.header["pixdim"][1:4] = nibabel.affines.voxel_sizes(sform)
    image.header.set_xyzt_units(unit)
    nibabel.save(image, str(path))
    return path


def read(path, reader=imaging.read_scan):
    notices = Notices()
    return reader(path, notices=notices), notices


def ras(image):
    return TO_RAS @ affine_of(image)


def codes(notices):
    return [(notice.level, notice.code) for notice in notices]


@pytest.mark.parametrize("forms", [(1, 1), (2, 0), (0, 3)])
def test_agreeing_forms_lie_as_nibabel_says_and_are_silent(tmp_path, forms):
    affine = turned(17) @ PLAIN
    path = write(tmp_path / "a.nii.gz", affine, forms[0], affine, forms[1])
    image, notices = read(path)
    np.testing.assert_allclose(ras(image), nibabel.load(path).affine[:3], atol=1e-4)
    assert codes(notices) == []


def test_any_qform_lies_as_nibabel_and_itk_say(tmp_path):
    rng = np.random.default_rng(0)
    for _ in range(20):
        affine = np.eye(4)
        affine[:3, :3] = np.linalg.qr(rng.normal(size=(3, 3)))[0] * rng.uniform(0.5, 3, 3)
        affine[:3, 3] = rng.uniform(-100, 100, 3)
        path = write(tmp_path / "a.nii", None, 0, affine, 1)
        image, notices = read(path)
        np.testing.assert_allclose(ras(image), nibabel.load(path).affine[:3], atol=1e-4)
        assert imaging.same_grid(image, sitk.ReadImage(str(path))) and not notices


def test_of_two_forms_the_sform_rules_with_a_warning(tmp_path):
    path = write(tmp_path / "a.nii", PLAIN, 2, turned(12) @ PLAIN, 1)
    image, notices = read(path)
    np.testing.assert_allclose(ras(image), PLAIN[:3], atol=1e-5)
    np.testing.assert_allclose(ras(image), nibabel.load(path).affine[:3], atol=1e-5)
    assert codes(notices) == [("warning", "geometry-forms-differ")]
    assert str(path) in notices[0].text and "sform (code 2)" in notices[0].text
    assert "qform (code 1)" in notices[0].text


@pytest.mark.parametrize("shift, said", [(0.1, False), (0.5, True)])
def test_forms_may_differ_by_a_quarter_of_a_voxel(tmp_path, shift, said):
    other = PLAIN.copy()
    other[1, 3] += shift  # the smallest edge is 1 mm
    _, notices = read(write(tmp_path / "a.nii", PLAIN, 1, other, 1))
    assert bool(notices) == said


def test_a_warped_scan_lies_on_its_fixed_scan_for_nibabel_and_itk(tmp_path):
    """The whole way: what is written on the grid of a scan with two forms."""
    path = write(tmp_path / "fixed.nii", turned(30) @ PLAIN, 2, PLAIN, 1)
    fixed, _ = read(path)
    imaging.write_image(fixed, tmp_path / "warped.nii.gz")
    warped = nibabel.load(tmp_path / "warped.nii.gz")
    sform = nibabel.load(path).get_sform()
    np.testing.assert_allclose(warped.get_sform(), sform, atol=1e-4)
    np.testing.assert_allclose(warped.get_qform(), sform, atol=1e-4)
    by_itk = sitk.ReadImage(str(tmp_path / "warped.nii.gz"))
    np.testing.assert_allclose(ras(by_itk), sform[:3], atol=1e-4)


def test_a_singular_sform_yields_to_the_qform(tmp_path):
    flat = np.zeros((4, 4))
    flat[3, 3] = 1
    image, notices = read(write(tmp_path / "a.nii", flat, 1, PLAIN, 1))
    np.testing.assert_allclose(ras(image), PLAIN[:3], atol=1e-5)
    assert codes(notices) == [("warning", "geometry-forms-differ")]
    with pytest.raises(InputError, match=r"b.nii: the orientation \(sform\)"):
        imaging.read_scan(write(tmp_path / "b.nii", flat, 1, pixdim=(1, 1, 1)))


def test_no_form_is_an_unknown_orientation(tmp_path):
    image, notices = read(write(tmp_path / "a.nii", pixdim=(1, 2, 3)))
    assert imaging.orientation_of(image.GetDirection()) == "LPS"
    assert image.GetSpacing() == (1, 2, 3) and image.GetOrigin() == (0, 0, 0)
    assert codes(notices) == [("warning", "orientation-unknown")]
    array = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
    analyze = nibabel.AnalyzeImage(array, np.diag([-2.0, 2, 2, 1]))
    nibabel.save(analyze, str(tmp_path / "b.img"))
    for name in ("b.img", "b.hdr"):
        image, notices = read(tmp_path / name)
        np.testing.assert_array_equal(imaging.to_array(image), array)
        assert codes(notices) == [("warning", "orientation-unknown")]


def test_scales_of_the_sform_against_pixdim(tmp_path):
    path = write(tmp_path / "a.nii", PLAIN, 1, pixdim=(1, 1, 1))
    image, notices = read(path)
    np.testing.assert_allclose(image.GetSpacing(), (1, 1.5, 2))
    assert codes(notices) == [("warning", "geometry-spacing-differs")]
    assert "1 x 1.5 x 2 mm by the header's sform" in notices[0].text


def test_nearly_right_angles_are_repaired(tmp_path):
    affine = sheared(0.008) @ PLAIN
    image, notices = read(write(tmp_path / "a.nii", affine, 1))
    axes = np.reshape(image.GetDirection(), (3, 3))
    np.testing.assert_allclose(axes.T @ axes, np.eye(3), atol=1e-12)
    assert image.GetSize() == SIZE
    assert codes(notices) == [("notice", "geometry-repaired")]
    middle = (np.array(SIZE) - 1) / 2
    grid = imaging.grid_of(image)
    expected = TO_RAS @ nibabel.affines.apply_affine(affine, middle)
    np.testing.assert_allclose(grid.centre, expected, atol=1e-4)
    corners = np.array([(0, 0, 0), np.array(SIZE) - 1])
    shift = grid.points(corners) - nibabel.affines.apply_affine(affine, corners) @ TO_RAS
    assert 0.01 < np.abs(shift).max() < 0.1  # half of 0.8 percent of some 20 mm


@pytest.mark.parametrize("share", [0.02, 0.12, -0.4])
def test_shear_is_resampled_true_to_the_sform(tmp_path, share):
    """A ramp along any direction of space is still that ramp on the straight grid."""
    ramp = np.array([1.0, -2.0, 0.5])
    affine = sheared(share) @ PLAIN
    path = write(tmp_path / "a.nii", affine, 4, ramp=ramp)
    image, notices = read(path)
    axes = np.reshape(image.GetDirection(), (3, 3))
    np.testing.assert_allclose(axes.T @ axes, np.eye(3), atol=1e-12)
    assert codes(notices) == [("notice", "geometry-sheared")]
    array, grid = imaging.to_array(image), imaging.grid_of(image)
    points = grid.points(np.indices(array.shape).reshape(3, -1).T).reshape(*array.shape, 3)
    expected = (points @ TO_RAS) @ ramp
    source = nibabel.affines.apply_affine(np.linalg.inv(affine), points @ TO_RAS)
    inside = ((source >= 0) & (source <= np.array(SIZE) - 1)).all(axis=-1)
    assert inside.mean() > 0.5
    np.testing.assert_allclose(array[inside], expected[inside], atol=1e-3)


def test_labels_with_shear_stay_labels_on_their_scans_grid(tmp_path):
    affine = sheared(0.1) @ PLAIN
    scan, _ = read(write(tmp_path / "a.nii", affine, 1))
    labels = np.zeros(SIZE, np.uint8)
    labels[5:15, 5:15, 5:15] = 7
    image = nibabel.Nifti1Image(labels, affine)
    nibabel.save(image, str(tmp_path / "l.nii.gz"))
    read_back, _ = read(tmp_path / "l.nii.gz", imaging.read_labels)
    assert imaging.same_grid(scan, read_back)
    assert set(np.unique(imaging.to_array(read_back))) == {0, 7}
    share = np.prod(scan.GetSpacing()) / abs(np.linalg.det(affine))
    assert np.count_nonzero(imaging.to_array(read_back)) * share == pytest.approx(1000, rel=0.05)


def test_shear_of_other_formats(tmp_path):
    image = sitk.GetImageFromArray(np.random.default_rng(0).uniform(0, 9, (8, 9, 10)))
    image.SetDirection((1, 0.2, 0, 0, 1, 0, 0, 0, 1))
    for name in ("a.mha", "a.nrrd"):
        sitk.WriteImage(image, str(tmp_path / name))
        _, notices = read(tmp_path / name)
        assert codes(notices) == [("notice", "geometry-sheared")]


@pytest.mark.parametrize(
    "unit, factor, spacing, code",
    [
        ("meter", 1.0, 1.0, "units-implausible"),  # 1 m a voxel: meant are mm
        ("meter", 1e-3, 1.0, "units-converted"),
        ("micron", 1000.0, 1.0, "units-converted"),
        ("micron", 1.0, 1.0, "units-implausible"),  # 24 microns in all
    ],
)
def test_units_of_length(tmp_path, unit, factor, spacing, code):
    affine = np.diag([factor, factor, factor, 1.0])
    affine[0, 3] = 3 * factor
    image, notices = read(write(tmp_path / "a.nii", affine, 1, unit=unit))
    np.testing.assert_allclose(image.GetSpacing(), spacing, rtol=1e-6)
    np.testing.assert_allclose(image.GetOrigin(), (-3 * spacing, 0, 0), rtol=1e-6)
    assert codes(notices) == [("warning", code)]


def test_units_of_metaimage_and_nrrd(tmp_path):
    image = sitk.GetImageFromArray(np.random.default_rng(0).uniform(0, 9, (8, 9, 10)))
    image.SetSpacing((500, 500, 500))
    for name, old, new in (
        ("a.mha", b"ElementType", b"DistanceUnits = um\nElementType"),
        ("a.nrrd", b"endian", b'space units: "um" "um" "um"\nendian'),
    ):
        sitk.WriteImage(image, str(tmp_path / name))
        content = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(content.replace(old, new, 1))
        read_back, notices = read(tmp_path / name)
        np.testing.assert_allclose(read_back.GetSpacing(), 0.5)
        assert ("warning", "units-converted") in codes(notices)


def test_orientation_that_metaimage_and_nrrd_do_not_give(tmp_path):
    image = sitk.GetImageFromArray(np.random.default_rng(0).uniform(0, 9, (8, 9, 10)))
    sitk.WriteImage(image, str(tmp_path / "a.mha"))
    sitk.WriteImage(image, str(tmp_path / "a.nrrd"))
    for name, old, new in (
        ("a.mha", b"TransformMatrix = 1 0 0 0 1 0 0 0 1\n", b""),
        ("a.nrrd", b"space: left-posterior-superior\n", b"space dimension: 3\n"),
    ):
        assert codes(read(tmp_path / name)[1]) == []
        content = (tmp_path / name).read_bytes()
        assert old in content
        (tmp_path / name).write_bytes(content.replace(old, new))
        assert codes(read(tmp_path / name)[1]) == [("warning", "orientation-unknown")]


@pytest.mark.parametrize("edge", [60.0, 1e-6, 1e30, 2000.0])
def test_sizes_that_no_scan_has_are_refused(tmp_path, edge):
    affine = np.diag([edge, edge, edge, 1.0])
    with pytest.raises(InputError, match=r"a.nii: .*(no scan has this size|flat|finite)"):
        imaging.read_scan(write(tmp_path / "a.nii", affine, 1))


def test_very_small_scans_are_a_warning(tmp_path):
    _, notices = read(write(tmp_path / "a.nii", np.diag([0.01, 0.01, 0.01, 1.0]), 1))
    assert codes(notices) == [("warning", "size-implausible")]


def test_axes_that_are_no_volume():
    image = sitk.Image(4, 5, 6, sitk.sitkFloat32)
    affine = np.hstack([np.eye(3), np.zeros((3, 1))])
    for column, value, words in (
        (1, (1, 0, 0), "point alike"),
        (1, (0, 0, 0), "above zero"),
        (3, (np.nan, 0, 0), "finite"),
        (3, (1e9, 0, 0), "within 100 m"),
    ):
        wrong = affine.copy()
        wrong[:, column] = value
        with pytest.raises(InputError, match=f"x.nii: .*{words}"):
            place(image, wrong, "x.nii")
    wild = affine.copy()
    wild[:, 2] = (0, 30, 1)
    with pytest.raises(InputError, match="too far from right angles"):
        place(image, wild, "x.nii")
