import numpy as np
import pytest
import SimpleITK as sitk
from scipy.spatial.transform import Rotation

from ldr_tf.errors import InputError
from ldr_tf.imaging import Grid, align, to_array, to_image

LIA = (1.0, 0, 0, 0, 0, -1.0, 0, -1.0, 0)
RAS = (-1.0, 0, 0, 0, -1.0, 0, 0, 0, 1.0)


def body(transform=None, direction=LIA, size=(40, 44, 48), spacing=(2.0, 2.0, 2.0)):
    """A lopsided body about the origin, looked up at transformed points: body(T)(p) = body(T(p))"""
    axes = np.reshape(direction, (3, 3))
    origin = -axes @ ((np.array(size) - 1) / 2 * spacing)
    grid = Grid(size, spacing, tuple(origin), direction)
    points = grid.points(np.indices(size).reshape(3, -1).T)
    if transform is not None:
        matrix = np.reshape(transform.GetMatrix(), (3, 3))
        points = points @ matrix.T + transform.GetTranslation()
    array = np.zeros(len(points))
    balls = [((0, 0, 0), (24, 30, 26), 300), ((8, 10, 4), 7, 250), ((-9, -6, 12), 9, -200)]
    for centre, radii, height in [*balls, ((5, -12, -10), 6, 300), ((-10, 12, -6), 5, 200)]:
        distance = np.linalg.norm((points - centre) / radii, axis=1)
        array += height / (1 + np.exp(12 * (distance - 1)))
    return to_image(array.reshape(size).astype(np.float32), grid)


IDENTITY = np.eye(3)


def affine(matrix=IDENTITY, shift=(0.0, 0.0, 0.0)):
    transform = sitk.AffineTransform(3)
    transform.SetMatrix(np.ravel(matrix).tolist())
    transform.SetTranslation(shift)
    return transform


MATRIX = [[1.05, 0.12, 0.0], [-0.1, 0.95, 0.08], [0.03, -0.06, 1.04]]
POINTS = [(0.0, 0.0, 0.0), (20.0, 10.0, -15.0), (-15.0, -20.0, 10.0), (5.0, -20.0, -20.0)]


def long_body():
    """A cylinder along z with balls of several sizes in it."""
    size = (40, 40, 90)
    grid = Grid(size, (2.0, 2.0, 2.0), (-39.0, -39.0, -89.0), (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0))
    points = grid.points(np.indices(size).reshape(3, -1).T)
    array = 200.0 * (np.linalg.norm(points[:, :2], axis=1) < 30)
    for index in range(12):
        centre = (
            14 * np.sin(5 * index),
            14 * np.cos(7 * index),
            -85 + 24 * (index // 2) + 5 * np.sin(3 * index),
        )
        radius = 6 + 4 * np.sin(11 * index)
        array += 300 * (np.linalg.norm(points - centre, axis=1) < radius)
    return to_image(array.reshape(size).astype(np.float32), grid)


def error(found, truth):
    """Greatest distance in mm of what two transforms make of points in the body."""
    return max(
        np.linalg.norm(np.subtract(found.TransformPoint(p), truth.TransformPoint(p)))
        for p in POINTS
    )


def test_a_known_affine_map_is_found():
    truth = affine(MATRIX, (14.0, -9.0, 12.0))
    found = align(body(truth), body(direction=RAS))  # fixed(p) = moving(T(p))
    assert found.method == "full"
    assert error(affine(), truth) > 15
    assert error(found.transform, truth) < 2.5
    assert found.overlap_after > 0.95 > 0.85 > found.overlap_before
    assert "mutual information" in found.note


def test_the_same_at_every_call_and_for_every_orientation():
    truth = affine(MATRIX, (14.0, -9.0, 12.0))
    fixed, moving = body(truth), body(direction=RAS)
    first = align(fixed, moving).transform
    assert align(fixed, moving).transform.GetParameters() == first.GetParameters()
    turned = align(sitk.DICOMOrient(fixed, "PIR"), sitk.DICOMOrient(moving, "LSA")).transform
    assert error(turned, first) < 1.0


def test_auto_leaves_aligned_scans_alone():
    found = align(body(affine(shift=(1.0, 0.0, 1.0))), body())
    assert found.method == "none" and "none needed" in found.note
    assert found.transform.GetParameters() == affine().GetParameters()
    assert found.overlap_before == found.overlap_after > 0.9


def test_auto_judges_by_the_common_field_of_view():
    slab = body()[:, 14:30, :]
    assert align(slab, body()).method == "none"
    assert align(body(), slab).method == "none"


def test_auto_notices_a_body_shifted_along_itself():
    """A slab of a long body fills the field of view wherever it lies: overlap alone is blind."""

    def slab(start):
        cut = long_body()[:, :, start : start + 40]
        cut.SetOrigin(long_body().GetOrigin())
        return cut

    found = align(slab(20), slab(24))
    assert found.overlap_before > 0.85
    assert found.method == "full"
    # The content lies 4 voxels of 2 mm further up in the first: T(p) = p - (0, 0, 8).
    np.testing.assert_allclose(found.transform.TransformPoint((0, 0, 0))[2], -8, atol=2.0)


def test_moments_bring_the_centres_together():
    moving = body(direction=RAS)
    moving.SetOrigin(np.add(moving.GetOrigin(), (300.0, 200.0, -100.0)))
    found = align(body(), moving, "moments")
    np.testing.assert_allclose(found.transform.GetTranslation(), (300, 200, -100), atol=1.0)
    assert found.overlap_before == 0 and found.overlap_after > 0.95


def test_full_starts_from_the_centres_where_nothing_overlaps():
    moving = body(affine(np.linalg.inv(MATRIX)))
    moving.SetOrigin(np.add(moving.GetOrigin(), (300.0, 200.0, -100.0)))
    # The content of `moving` at q lies in body() at M^-1 (q - shift).
    truth = affine(MATRIX, (300.0, 200.0, -100.0))
    assert error(align(body(), moving, "full").transform, truth) < 1.5


@pytest.mark.parametrize("method", ["auto", "none"])
def test_scans_far_from_each_other_are_refused(method):
    moving = body()
    moving.SetOrigin(np.add(moving.GetOrigin(), (900.0, 0.0, 0.0)))
    with pytest.raises(InputError, match=r"do not overlap in physical space.*moments"):
        align(body(), moving, method)


def turned(axis, degrees, shift=(0.0, 0.0, 0.0)):
    turn = Rotation.from_rotvec(np.deg2rad(degrees) * np.eye(3)[axis]).as_matrix()
    return affine(turn, shift)


@pytest.mark.parametrize("degrees", [60, 180])
@pytest.mark.parametrize("axis", range(3))
def test_a_scan_that_lies_the_wrong_way_round_is_found(axis, degrees):
    truth = turned(axis, degrees, (6.0, -4.0, 5.0))
    found = align(body(truth), body(direction=RAS), "auto")
    assert found.searched and found.tried > 72
    assert found.shape.rotation == pytest.approx(degrees, abs=3)
    assert error(found.transform, truth) < 4.0  # two voxels; unturned it is tens of mm
    assert "starts" in found.note
    assert found.likeness_after.information > 2 * found.likeness_before.information


def test_a_good_first_answer_is_not_searched_further():
    found = align(body(affine(MATRIX, (14.0, -9.0, 12.0))), body(direction=RAS))
    assert not found.searched and found.refused_scales is None


def test_a_slab_finds_its_place_in_a_long_body():
    slab = long_body()[:, :, 5:30]
    origin = slab.GetOrigin()
    slab.SetOrigin((origin[0], origin[1], origin[2] + 90.0))  # says to lie 90 mm further up
    down = align(slab, long_body())
    np.testing.assert_allclose(down.transform.TransformPoint(origin)[2], origin[2] - 90, atol=2)
    up = align(long_body(), slab)
    np.testing.assert_allclose(up.transform.TransformPoint(origin)[2], origin[2] + 90, atol=2)
    assert min(down.shape.scales + up.shape.scales) > 0.9


def test_padding_does_not_count():
    truth = affine(IDENTITY, (8.0, -6.0, 7.0))
    arrays = [to_array(body(transform)) * 4 - 1024 for transform in (truth, None)]
    arrays[0][:9], arrays[0][-9:] = -32768, -32768
    fixed, moving = (to_image(array, body()) for array in arrays)
    assert error(align(fixed, moving, "full").transform, truth) < 1.5
    assert error(align(moving, fixed, "full").transform, affine(shift=(-8.0, 6.0, -7.0))) < 1.5


def test_another_contrast_does_not_matter():
    truth = turned(2, 15, (9.0, -7.0, 6.0))
    array = to_array(body())
    inverted = to_image(np.where(array > 50, 700 - array, 0).astype(np.float32), body())
    found = align(body(truth), inverted, "full")
    assert error(found.transform, truth) < 2.5


def test_scales_stay_within_what_people_differ_by():
    """A body half as high, as from a wrong slice thickness, is not stretched to fit."""
    moving = body()
    moving.SetSpacing((2.0, 2.0, 1.0))
    moving.SetOrigin(np.multiply(moving.GetOrigin(), (1, 0.5, 1)))  # LIA: the third axis is A
    found = align(body(), moving, "full")
    assert found.refused_scales is not None and found.refused_scales[-1] < 0.7
    assert found.kind == "similarity"
    assert found.shape.plausible
    # All three scales of a similarity are the same.
    np.testing.assert_allclose(found.shape.scales, found.shape.scales[0], rtol=1e-6)


def test_a_body_in_metres_is_not_shrunk():
    moving = body()
    moving.SetSpacing((2000.0,) * 3)
    found = align(body(), moving, "full")
    assert found.refused_scales == pytest.approx((1000.0,) * 3, rel=0.1)
    assert found.shape.plausible and found.kind == "shift"


@pytest.mark.parametrize("swapped", [False, True])
def test_three_slices_are_aligned_as_the_moving_scan_too(swapped):
    pair = [body(), body()[:, 20:23, :]]
    found = align(*(pair[::-1] if swapped else pair))
    assert found.method == "none" and found.overlap_before > 0.9


def test_none_changes_nothing():
    found = align(body(), body(affine(shift=(20.0, 0, 0))), "none")
    assert found.transform.GetParameters() == affine().GetParameters() and found.method == "none"


def test_an_unknown_method_and_an_empty_scan():
    with pytest.raises(ValueError, match="rigid"):
        align(body(), body(), "rigid")
    empty = to_image(
        np.full((20, 20, 20), 3.0, np.float32), Grid((20,) * 3, (2.0,) * 3, (0.0,) * 3, LIA)
    )
    with pytest.raises(InputError, match="moving scan shows nothing"):
        align(body(), empty, "full")


def test_scans_and_the_number_of_threads_stay_as_they_were():
    fixed, moving = body(), body(affine(MATRIX))
    before = to_array(fixed).copy()
    threads = sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()
    align(fixed, moving, "full")
    np.testing.assert_array_equal(to_array(fixed), before)
    assert sitk.ProcessObject.GetGlobalDefaultNumberOfThreads() == threads
