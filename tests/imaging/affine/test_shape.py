import numpy as np
import pytest
import SimpleITK as sitk

from ldr_tf.imaging.affine.shape import affine_of, shape_of


def affine(matrix, shift=(0.0, 0.0, 0.0), centre=(0.0, 0.0, 0.0)):
    transform = sitk.AffineTransform(3)
    transform.SetCenter(centre)
    transform.SetMatrix(np.ravel(matrix).tolist())
    transform.SetTranslation(shift)
    return transform


QUARTER = [[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]


def test_scales_and_rotation_by_hand():
    shape = shape_of(affine(QUARTER @ np.diag([2.0, 1.0, 0.5])))
    assert shape.scales == pytest.approx((2.0, 1.0, 0.5))
    assert shape.rotation == pytest.approx(90.0)
    assert shape.shear == pytest.approx(0.0)
    assert not shape.mirrored and not shape.plausible


def test_shear_is_the_cosine_between_the_axes():
    # The second axis leans by 45 degrees.
    assert shape_of(affine([[1, 1, 0], [0, 1, 0], [0, 0, 1]])).shear == pytest.approx(0.5**0.5)


@pytest.mark.parametrize(
    "scales, plausible",
    [((1.39, 1, 0.71), True), ((1.41, 1, 1), False), ((1, 1, 0.69), False), ((1, 1, -1), False)],
)
def test_plausible_scales_lie_in_their_bounds_and_do_not_mirror(scales, plausible):
    shape = shape_of(affine(np.diag(scales)))
    assert shape.plausible is plausible
    assert shape.mirrored is (min(scales) < 0)


def test_maps_are_chained_first_one_first():
    first = affine(QUARTER, (1.0, 2.0, 3.0), centre=(5.0, -4.0, 2.0))
    second = affine(np.diag([1.1, 0.9, 1.0]), (-7.0, 0.0, 4.0), centre=(1.0, 1.0, 1.0))
    point = (11.0, -3.0, 6.0)
    expected = second.TransformPoint(first.TransformPoint(point))
    np.testing.assert_allclose(affine_of(first, second).TransformPoint(point), expected)
