"""Jacobian determinants by NumPy: by hand, and against one voxel after the other."""

import itertools

import numpy as np
import pytest

from ldr_tf.metrics.jacobian import (
    folded_among,
    folded_voxels,
    jacobian_determinant,
    surely_unfolded,
)

CORNERS = list(itertools.product((0, 1), repeat=3))
TURNED = np.array([[0.0, -0.5, 0.1], [1.2, 0.0, 0.2], [0.0, 0.3, -3.0]])


def noise(size=(5, 6, 7), deviation=0.5):
    return np.random.default_rng(0).normal(0, deviation, (*size, 3))


def one_by_one(flow, corner, steps):
    """|J| of every voxel towards a corner by NumPy's own determinant, NaN without neighbours."""
    found = np.full(flow.shape[:3], np.nan)
    for voxel in np.ndindex(flow.shape[:3]):
        columns = []
        for axis, ahead in enumerate(corner):
            other = list(voxel)
            other[axis] += 1 if ahead else -1
            if 0 <= other[axis] < flow.shape[axis]:
                way = flow[tuple(other)] - flow[voxel]
                columns.append((way if ahead else -way) + steps[:, axis])
        if len(columns) == 3:
            found[voxel] = np.linalg.det(np.transpose(columns)) / np.linalg.det(steps)
    return found


def test_a_linear_map_has_one_determinant_everywhere_and_towards_every_corner():
    points = np.moveaxis(np.indices((4, 5, 6)).astype(float), 0, -1)
    matrix = np.array([[0.1, 0.2, 0.0], [0.0, -0.3, 0.0], [0.0, 0.1, 0.5]])
    expected = 1.1 * 0.7 * 1.5  # by hand: the first column of I + matrix has one entry
    for corner in CORNERS:
        found = jacobian_determinant(points @ matrix.T, corner)
        assert found.shape == (3, 4, 5)
        np.testing.assert_allclose(found, expected)


@pytest.mark.parametrize("corner", CORNERS)
@pytest.mark.parametrize("steps", [None, TURNED])
def test_any_corner_and_any_axes_one_by_one(corner, steps):
    flow = noise()
    wanted = one_by_one(flow, corner, np.eye(3) if steps is None else steps)
    there = tuple(slice(None, -1) if ahead else slice(1, None) for ahead in corner)
    assert np.isfinite(wanted).sum() == 4 * 5 * 6
    found = jacobian_determinant(flow, corner, steps)
    np.testing.assert_allclose(found, wanted[there], atol=1e-12)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("steps", [np.eye(3), TURNED])
def test_folds_are_the_union_over_the_corners_whatever_the_order_in_memory(order, steps):
    flow = np.ascontiguousarray(noise().transpose(*order, 3)).transpose(*np.argsort(order), 3)
    dets = np.array([one_by_one(flow, corner, steps) for corner in CORNERS])
    wanted = (dets <= 0).any(axis=0)
    np.testing.assert_array_equal(folded_voxels(flow, steps), wanted)
    places = np.argwhere(np.random.default_rng(3).random(wanted.shape) < 0.5)
    among = folded_among(flow, steps, places)
    np.testing.assert_array_equal(among, wanted[tuple(places.T)])
    for corner, of_corner in zip(CORNERS, dets):
        among = folded_among(flow, steps, places, [corner])
        np.testing.assert_array_equal(among, of_corner[tuple(places.T)] <= 0)
    forward = dets[CORNERS.index((1, 1, 1))] <= 0
    assert 0.1 < forward.mean() < 0.5 * wanted.mean() < 0.5


def test_a_fold_towards_one_backward_corner_alone():
    # One voxel goes back by d = (-1/2, -1/2, -1/2). Towards a corner its |J| is that of e_k + d for
    # axes looked back along and e_k - d for the others: 1 - 3/2 where all three look back, else
    # at least 1/2. Its neighbours have 1 - 1/2 or 1 + 1/2.
    flow = np.zeros((4, 5, 6, 3))
    flow[2, 3, 3] = -0.5
    backward = jacobian_determinant(flow, (0, 0, 0))
    assert backward[1, 2, 2] == pytest.approx(-0.5) and (backward <= 0).sum() == 1
    others = [jacobian_determinant(flow, corner) for corner in CORNERS[1:]]
    assert min(other.min() for other in others) == pytest.approx(0.5)
    assert np.argwhere(folded_voxels(flow)).tolist() == [[2, 3, 3]]


def test_no_folds():
    rng = np.random.default_rng(1)
    points = np.moveaxis(np.indices((6, 7, 8)).astype(float), 0, -1)
    # Ways to all neighbours differ from the axes by less than 0.3 in length: |J| stays above 0.
    small = rng.uniform(-0.08, 0.08, points.shape)
    assert not folded_voxels(small).any()
    assert not folded_voxels(0.5 * points).any()
    assert folded_voxels(points * [-2, 0, 0]).all()  # a reflection


def test_a_step_back_is_seen_from_both_of_its_sides():
    flow = np.zeros((6, 4, 4, 3), np.float32)
    flow[3:, ..., 0] = -1.5  # from 2 to 3: one voxel ahead, one and a half back
    np.testing.assert_array_equal(folded_voxels(flow).all(axis=(1, 2)), [0, 0, 1, 1, 0, 0])
    forward = jacobian_determinant(flow) <= 0
    np.testing.assert_array_equal(forward.all(axis=(1, 2)), [0, 0, 1, 0, 0])
    assert forward.dtype == bool and jacobian_determinant(flow).dtype == np.float32


def test_nan_is_a_fold_and_so_is_zero():
    flow = np.zeros((5, 5, 5, 3), np.float32)
    flow[2, 2, 2, 0] = np.nan
    expected = np.zeros((5, 5, 5), bool)
    for axis in range(3):  # itself and what has it as a neighbour
        for place in (1, 2, 3):
            voxel = [2, 2, 2]
            voxel[axis] = place
            expected[tuple(voxel)] = True
    np.testing.assert_array_equal(folded_voxels(flow), expected)
    points = np.moveaxis(np.indices((4, 4, 4)).astype(float), 0, -1)
    assert folded_voxels(points * [-1, 0, 0]).all()


def test_what_is_surely_unfolded_does_not_fold():
    rng, spacing = np.random.default_rng(5), np.array([1.0, 2.0, 1.5])
    sure = []
    for strength in np.linspace(0.02, 1.0, 40):
        field = rng.normal(0, strength, (5, 6, 7, 3)) * spacing.min()
        steps = np.diag(spacing) if strength < 0.5 else np.diag(spacing)[[1, 2, 0]]
        sure.append(surely_unfolded(field, spacing))
        if sure[-1]:
            assert not folded_voxels(field, steps).any()
    assert any(sure) and not all(sure)
    mirrored = np.zeros((5, 6, 7, 3))
    mirrored[..., 2] = -1.2 * 1.5 * np.arange(7)
    assert (
        not surely_unfolded(mirrored, spacing) and folded_voxels(mirrored, np.diag(spacing)).all()
    )
    field[2, 2, 2] = np.nan
    assert not surely_unfolded(field * 0, spacing)
