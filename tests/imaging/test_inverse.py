import numpy as np
import SimpleITK as sitk

from ldr_tf.imaging import (
    Grid,
    displacement_on,
    displacement_transform,
    flow_to_displacement,
    grid_of,
    invert,
    to_array,
    with_affine,
)

LIA = (1.0, 0, 0, 0, 0, -1.0, 0, -1.0, 0)
RAS = (-1.0, 0, 0, 0, -1.0, 0, 0, 0, 1.0)


def test_there_and_back_is_where_one_was():
    grid = Grid((28, 28, 28), (2.0, 2.0, 2.0), (-27.0, 27.0, 27.0), LIA)
    places = np.stack(np.meshgrid(*[np.linspace(0, 3, 28)] * 3, indexing="ij"), -1)
    field = flow_to_displacement(1.2 * np.sin(places[..., [1, 2, 0]] + places), grid)
    affine = sitk.AffineTransform(3)
    affine.SetMatrix((1.1, 0.05, 0, -0.05, 0.95, 0, 0, 0.02, 1.0))
    affine.SetTranslation((10.0, -4.0, 5.0))
    fixed = sitk.Image(56, 56, 56, sitk.sitkUInt8)
    fixed.SetOrigin((-27.5, -27.5, -27.5))
    moving = sitk.Image(30, 24, 26, sitk.sitkUInt8)
    moving.SetOrigin((23.0, 10.0, -8.0))
    moving.SetDirection(RAS)
    whole = with_affine(displacement_on(field, grid_of(fixed)), affine)
    inverse, residual = invert(field, affine, whole, moving)
    assert grid_of(inverse) == grid_of(moving)
    assert np.isfinite(residual).mean() > 0.9 and np.nanmax(residual) < 0.05
    # Independent source: SimpleITK carries single points there and back.
    there, back = displacement_transform(whole), displacement_transform(inverse)
    for index in ((3, 4, 5), (15, 12, 13), (28, 20, 22)):
        start = moving.TransformIndexToPhysicalPoint(index)
        between = back.TransformPoint(start)
        assert np.linalg.norm(np.subtract(between, start)) > 3
        assert np.linalg.norm(np.subtract(there.TransformPoint(between), start)) < 0.05


def test_a_shift_by_hand():
    grid = Grid((12, 12, 12), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0))
    field = flow_to_displacement(np.zeros((12, 12, 12, 3)) + (1.0, 0.0, -2.0), grid)
    image = sitk.Image(12, 12, 12, sitk.sitkUInt8)
    whole = with_affine(field, sitk.AffineTransform(3))
    inverse, residual = invert(field, sitk.AffineTransform(3), whole, image)
    np.testing.assert_allclose(to_array(inverse) - (-1.0, 0.0, 2.0), 0, atol=1e-3)
    assert np.isnan(residual[0]).all()  # these come from outside the fixed scan
