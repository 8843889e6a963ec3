"""Landmarks: distances known by hand, and SciPy's interpolation."""

import numpy as np
import pytest
from scipy import ndimage

from ldr_tf.metrics.landmarks import (
    landmark_distance,
    landmark_distances,
    original_landmark_distance,
)

SIZE = (12, 13, 14)
ABSENT = [-1, -1, -1]


def constant_flow(vector):
    return np.broadcast_to(np.float32(vector), SIZE + (3,))


def test_points_travel_with_the_flow():
    # Fixed point plus flow, not minus: exact hit, then off by (3, 0, 4).
    flow = constant_flow([1, 2, -1])
    fixed = np.float32([[4, 5, 6], [2, 2, 2]])
    moving = np.float32([[5, 7, 5], [6, 4, 5]])
    np.testing.assert_allclose(landmark_distances(flow, fixed, moving), [0, 5], atol=1e-6)
    assert landmark_distance(flow, fixed, moving) == pytest.approx(2.5)
    assert original_landmark_distance(flow, fixed, moving) == pytest.approx(2.5)


def test_absent_points_are_left_out():
    flow = constant_flow([0, 0, 0])
    fixed = np.float32([[4, 5, 6], ABSENT, [1, 1, 1], [3, 3, 3]])
    moving = np.float32([[4, 5, 9], [2, 2, 2], ABSENT, [3, 4, 3]])
    np.testing.assert_allclose(landmark_distances(flow, fixed, moving), [3, np.nan, np.nan, 1])
    assert landmark_distance(flow, fixed, moving) == pytest.approx(2)


def test_original_counts_absent_points():
    # The absent fixed point becomes (0, 0, 0): sqrt(12) from (2, 2, 2). The absent moving point
    # stays (-1, -1, -1): sqrt(12) from (1, 1, 1).
    flow = constant_flow([0, 0, 0])
    fixed = np.float32([[4, 5, 6], ABSENT, [1, 1, 1]])
    moving = np.float32([[4, 5, 9], [2, 2, 2], ABSENT])
    expected = (3 + 2 * np.sqrt(12)) / 3
    assert original_landmark_distance(flow, fixed, moving) == pytest.approx(expected)


def test_one_side_without_any_point():
    flow = constant_flow([0, 0, 0])
    present, absent = np.full((6, 3), 3, np.float32), np.full((6, 3), -1, np.float32)
    assert np.isnan(landmark_distance(flow, present, absent))
    assert np.isnan(landmark_distance(flow, absent, present))
    assert original_landmark_distance(flow, present, absent) == 0
    assert original_landmark_distance(flow, absent, present) == 0


def test_broken_flow_is_not_taken_for_an_absent_point():
    points = np.float32([[3, 3, 3], [5, 5, 5]])
    assert np.isnan(landmark_distance(constant_flow([np.nan] * 3), points, points))


@pytest.mark.parametrize(
    "distance, mode",
    [(landmark_distance, "nearest"), (original_landmark_distance, "grid-constant")],
)
def test_sampling_equals_scipy(distance, mode):
    # Off the voxel grid, and beyond the last voxel: clamped here, fading to zero in the originals.
    rng = np.random.default_rng(5)
    flow = rng.normal(size=SIZE + (3,)).astype(np.float32)
    fixed = rng.uniform(0, 14, (40, 3)).astype(np.float32)
    assert np.any(fixed > np.array(SIZE) - 1)
    moving = rng.uniform(0, 11, (40, 3)).astype(np.float32)
    sampled = np.stack(
        [ndimage.map_coordinates(flow[..., c], fixed.T, order=1, mode=mode) for c in range(3)], -1
    )
    expected = np.linalg.norm(fixed + sampled - moving, axis=-1).mean()
    assert distance(flow, fixed, moving) == pytest.approx(expected, rel=1e-5)


def test_errors_in_mm():
    # Off by (3, 0, 4) voxels of 0.5 x 1 x 2 mm: sqrt(1.5^2 + 8^2).
    fixed, moving = np.float32([[4, 5, 6]]), np.float32([[7, 5, 10]])
    flow = constant_flow([0, 0, 0])
    error = landmark_distance(flow, fixed, moving, spacing=(0.5, 1, 2))
    assert error == pytest.approx(np.hypot(1.5, 8))


def test_presence_may_be_told():
    # A grid's own coordinates may be negative where scans lie apart.
    flow = constant_flow([0, 0, 0])
    fixed, moving = np.float32([[1, 1, 1], [2, 2, 2]]), np.float32([[-2, 1, 1], [2, 2, 2]])
    assert landmark_distance(flow, fixed, moving) == 0
    assert landmark_distance(flow, fixed, moving, present=[True, True]) == pytest.approx(1.5)
