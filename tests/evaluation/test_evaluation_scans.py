"""Measures in physical space: fields on oblique grids, whose figures are known in voxels."""

import numpy as np
import pytest
import SimpleITK as sitk

from ldr_tf.evaluation import scans
from ldr_tf.imaging import (
    Grid,
    Points,
    flow_to_displacement,
    slabs,
    to_array,
    to_image,
    with_affine,
)
from ldr_tf.metrics import folding, jacobian

SIZE = (8, 9, 10)


def oblique_grid():
    turn = sitk.Euler3DTransform()
    turn.SetRotation(0.3, -0.2, 0.1)
    mirrored = np.reshape(turn.GetMatrix(), (3, 3)) @ np.diag([1, -1, 1])
    return Grid(SIZE, (1.0, 2.0, 1.5), (5.0, -6.0, 7.0), tuple(mirrored.ravel()))


def noise(deviation=0.6):
    return np.random.default_rng(0).normal(0, deviation, (*SIZE, 3))


def test_the_jacobian_of_an_affine_map_is_its_determinant():
    field = flow_to_displacement(np.zeros((*SIZE, 3)), oblique_grid())
    affine = sitk.AffineTransform(3)
    affine.SetMatrix((1.1, 0.1, 0.0, -0.1, 0.9, 0.05, 0.0, 0.02, 1.2))
    determinant = scans.jacobian_determinant(with_affine(field, affine))
    assert determinant.shape == (7, 8, 9) and determinant.dtype == np.float32
    wanted = np.linalg.det(np.reshape(affine.GetMatrix(), (3, 3)))
    np.testing.assert_allclose(determinant, wanted, atol=3e-3)


def test_jacobian_and_folds_in_mm_are_those_in_voxels():
    field = flow_to_displacement(noise(), oblique_grid())
    determinant = scans.jacobian_determinant(field)
    np.testing.assert_allclose(determinant, jacobian.jacobian_determinant(noise()), atol=1e-9)
    described = folding.describe(determinant)
    found = scans.folding(field)
    assert found["folds_percent"] == pytest.approx(described.percent)
    assert found["std_jacobian"] == pytest.approx(described.std_jacobian)
    assert found["folds_any_percent"] == pytest.approx(folding.folds_any_percent(noise()))
    assert 5 < described.percent < 0.5 * found["folds_any_percent"]


@pytest.mark.parametrize("voxels", [1, 150, 250, 1000])
def test_folds_and_jacobian_do_not_depend_on_the_slabs(monkeypatch, voxels):
    field = flow_to_displacement(noise(), oblique_grid())
    whole, image = scans.folding(field), to_array(scans.jacobian_image(field))
    np.testing.assert_allclose(image[:-1, :-1, :-1], scans.jacobian_determinant(field), rtol=1e-4)
    np.testing.assert_array_equal(image[:, :, -1], image[:, :, -2])
    monkeypatch.setitem(slabs.__globals__, "_VOXELS", voxels)
    assert scans.folding(field) == pytest.approx(whole)


def test_correlation_inside_the_foreground_as_far_as_it_is_known():
    rng = np.random.default_rng(1)
    fixed = np.zeros((12, 12, 12))
    fixed[3:9, 3:9, 3:9] = rng.uniform(50, 100, (6, 6, 6))
    moving = 300 - 2 * fixed
    moving[:3] = rng.normal(size=(3, 12, 12))  # outside the foreground: does not count
    moving[3:6] = np.nan
    unknown, constant = np.full(fixed.shape, np.nan), np.ones(fixed.shape)
    found = scans.foreground_correlation(fixed, moving, fixed + 7, unknown, constant)
    assert found == [pytest.approx(-1), pytest.approx(1), None, None]


def test_landmarks_are_carried_by_the_field_and_measured_in_mm():
    grid = oblique_grid()
    flow = np.zeros((*SIZE, 3)) + (1.0, 0.0, 0.0)
    fixed = grid.points(np.array([[2.0, 3.0, 4.0], [1.5, 2.5, 3.5]]))
    moving = grid.points(np.array([[3.0, 3.0, 4.0], [1.5, 4.5, 3.5]]))
    points = Points(("a", "b"), fixed), Points(("b", "a"), moving[::-1])
    before, after = scans.landmark_errors(*points, flow_to_displacement(flow, grid))
    assert before == {"a": pytest.approx(1), "b": pytest.approx(4)}  # voxels of 1 and 2 mm
    assert after == {"a": pytest.approx(0, abs=1e-5), "b": pytest.approx(np.sqrt(17))}
    assert scans.landmark_errors(points[0], None, None) == (None, None)


def test_dice_of_labels_before_and_after():
    grid = Grid(SIZE, (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), tuple(np.eye(3).ravel()))
    arrays = np.zeros((3, *SIZE), np.uint8)
    arrays[0, 2:4], arrays[1, 3:5], arrays[2, 2:4] = 1, 1, 1
    arrays[0, 6:, :, :5] = 2  # in the fixed labels alone
    fixed, moving, warped = [to_image(array, grid) for array in arrays]
    before, after = scans.label_dices(fixed, fixed, moving, warped)
    assert (before, after) == ({1: 0.5, 2: 0.0}, {1: 1.0, 2: 0.0})
    assert scans.label_dices(fixed, None, moving, warped) == (None, None)
