import numpy as np
import pytest
import SimpleITK as sitk

from ldr_tf.imaging import (
    Grid,
    apply_displacement,
    apply_transform,
    displacement_on,
    displacement_to_flow,
    displacement_transform,
    flow_to_displacement,
    grid_of,
    to_array,
    with_affine,
)

LIA = (1.0, 0, 0, 0, 0, -1.0, 0, -1.0, 0)


def test_one_voxel_of_flow_by_hand():
    grid = Grid((3, 3, 3), (1.0, 2.0, 3.0), (5.0, 6.0, 7.0), LIA)
    flow = np.zeros((3, 3, 3, 3), np.float32)
    flow[..., :] = (1.0, 1.0, 1.0)
    # Axis 0 points to L (+x), axis 1 to I (-z), axis 2 to A (-y).
    field = flow_to_displacement(flow, grid)
    assert field.GetPixelID() == sitk.sitkVectorFloat64
    np.testing.assert_allclose(field[1, 1, 1], (1.0, -3.0, -2.0))


def oblique_grid():
    turn = sitk.Euler3DTransform()
    turn.SetRotation(0.3, -0.2, 0.1)
    direction = np.reshape(turn.GetMatrix(), (3, 3)) @ np.reshape(LIA, (3, 3))
    return Grid((8, 9, 10), (1.0, 2.0, 1.5), (5.0, -6.0, 7.0), tuple(direction.ravel()))


def test_the_field_leads_to_the_point_of_the_moved_voxel():
    grid = oblique_grid()
    flow = np.random.default_rng(0).normal(size=(8, 9, 10, 3))
    field = flow_to_displacement(flow, grid)
    for index in ((0, 0, 0), (3, 4, 5), (7, 8, 9)):
        start = field.TransformIndexToPhysicalPoint(index)
        # Independent source: SimpleITK's own index to point conversion.
        end = field.TransformContinuousIndexToPhysicalPoint(list(map(float, index + flow[index])))
        np.testing.assert_allclose(np.add(start, field[index]), end, atol=1e-9)


def test_flow_there_and_back():
    flow = np.random.default_rng(0).normal(size=(8, 9, 10, 3))
    np.testing.assert_allclose(
        displacement_to_flow(flow_to_displacement(flow, oblique_grid())), flow, atol=1e-12
    )


def test_a_field_that_is_linear_in_space_is_carried_to_any_grid_exactly():
    grid = oblique_grid()
    matrix = np.array([[0.1, 0.02, 0.0], [0.0, -0.1, 0.05], [0.03, 0.0, 0.2]])
    points = grid.points(np.indices(grid.size).reshape(3, -1).T)
    displacement = (points @ matrix.T).reshape(*grid.size, 3)
    axes = np.reshape(grid.direction, (3, 3))
    field = flow_to_displacement(displacement @ axes / grid.spacing, grid)
    inner = Grid((4, 4, 4), (0.7, 0.6, 0.8), tuple(grid.points([2.5, 3.0, 3.2])), grid.direction)
    carried = to_array(displacement_on(field, inner))
    wanted = inner.points(np.indices(inner.size).reshape(3, -1).T) @ matrix.T
    np.testing.assert_allclose(carried.reshape(-1, 3), wanted, atol=1e-9)
    assert displacement_on(field, grid) is field


def test_outside_its_grid_the_edge_goes_on_and_is_not_cut_to_zero():
    straight = (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0)
    grid = Grid((4, 5, 6), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), straight)
    flow = np.random.default_rng(0).normal(size=(4, 5, 6, 3))
    around = Grid((12, 12, 12), (1.0, 1.0, 1.0), (-3.0, -4.0, -2.0), straight)
    carried = to_array(displacement_on(flow_to_displacement(flow, grid), around))
    # Independent source: NumPy's edge padding.
    pads = [(3, 12 - 3 - 4), (4, 12 - 4 - 5), (2, 12 - 2 - 6), (0, 0)]
    np.testing.assert_allclose(carried, np.pad(flow, pads, mode="edge"), atol=1e-9)


def test_the_edge_goes_on_around_an_oblique_grid_too():
    flow = np.zeros((8, 9, 10, 3)) + (1.0, -2.0, 0.5)
    around = Grid((40, 40, 40), (1.1, 1.2, 1.3), (-20.0, -30.0, -15.0), LIA)
    carried = to_array(displacement_on(flow_to_displacement(flow, oblique_grid()), around))
    wanted = np.reshape(oblique_grid().direction, (3, 3)) @ (1.0, -4.0, 0.75)
    np.testing.assert_allclose(carried - wanted, 0.0, atol=1e-9)


def affine_by_hand():
    affine = sitk.AffineTransform(3)
    affine.SetMatrix((1.1, 0.1, 0.0, -0.1, 0.9, 0.05, 0.0, 0.02, 1.2))
    affine.SetTranslation((3.0, -2.0, 1.0))
    affine.SetCenter((5.0, 6.0, 7.0))
    return affine


def test_a_field_followed_by_an_affine_map():
    grid = oblique_grid()
    field = flow_to_displacement(np.random.default_rng(0).normal(size=(8, 9, 10, 3)), grid)
    affine = affine_by_hand()
    both = with_affine(field, affine)
    assert both.GetPixelID() == sitk.sitkVectorFloat32
    # Independent source: SimpleITK's chain, of which the last one is applied first.
    chain = sitk.CompositeTransform([affine, displacement_transform(field)])
    for index in ((0, 0, 0), (3, 4, 5), (7, 8, 9)):
        point = field.TransformIndexToPhysicalPoint(index)
        wanted = chain.TransformPoint(point)
        np.testing.assert_allclose(np.add(point, both[index]), wanted, atol=6e-4)


def test_displacements_are_rounded_to_a_1024th_of_a_mm():
    grid = oblique_grid()
    field = flow_to_displacement(np.random.default_rng(0).normal(size=(8, 9, 10, 3)), grid)
    array = to_array(with_affine(field, sitk.AffineTransform(3))).astype(np.float64)
    np.testing.assert_array_equal(array * 1024, np.rint(array * 1024))
    np.testing.assert_allclose(array, to_array(field), atol=0.5 / 1024 + 1e-6)


@pytest.mark.parametrize("orientation", ["LIA", "RAS", "PSL"])
def test_between_exchanged_and_turned_axes(orientation):
    flow = np.random.default_rng(0).normal(size=(8, 9, 10, 3))
    field = flow_to_displacement(flow, oblique_grid())
    turned = sitk.Image((11, 12, 13), sitk.sitkUInt8)
    turned.SetDirection(sitk.DICOMOrient(field, orientation).GetDirection())
    turned.SetSpacing((0.5, 0.55, 0.45))
    middle = turned.TransformContinuousIndexToPhysicalPoint((5.0, 5.5, 6.0))
    turned.SetOrigin(np.subtract(oblique_grid().centre, middle))
    carried = displacement_on(field, grid_of(turned))
    assert grid_of(carried) == grid_of(turned)
    # Independent source: SimpleITK's interpolation; all of the new grid lies inside the old one.
    nothing = sitk.Transform()
    wanted = sitk.Resample(field, turned, nothing, sitk.sitkLinear, 99.0, field.GetPixelID())
    np.testing.assert_allclose(to_array(carried), to_array(wanted), atol=1e-9)


@pytest.mark.parametrize("interpolation", ["linear", "nearest"])
def test_warping_by_a_field_is_resampling_through_its_transform(interpolation):
    rng = np.random.default_rng(0)
    field = flow_to_displacement(rng.normal(size=(8, 9, 10, 3)) * 2, oblique_grid())
    field = sitk.Cast(field, sitk.sitkVectorFloat32)
    image = sitk.GetImageFromArray(rng.integers(1, 900, (14, 13, 12)).astype(np.float32))
    image.SetOrigin((0.0, -14.0, -3.0))
    found = apply_displacement(image, field, interpolation, -5.0)
    wanted = apply_transform(image, found, displacement_transform(field), interpolation, -5.0)
    np.testing.assert_allclose(to_array(found), to_array(wanted), atol=1e-2)
    assert 0.05 < (to_array(found) == -5.0).mean() < 0.95
