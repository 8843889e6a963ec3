import numpy as np
import SimpleITK as sitk

from ldr_tf.imaging import to_image
from ldr_tf.viewing.landing import landing_points
from tests.viewing.scenes import SHIFT, field, grid_of_sides

POINTS = np.array([[0.0, 0.0, 0.0], [5.0, -6.0, 7.0]])


def test_a_shift_is_taken_back():
    found = landing_points(field(SHIFT, grid_of_sides()), None, POINTS, POINTS + SHIFT + 1.0)
    np.testing.assert_allclose(found, POINTS + 1.0, atol=1e-3)


def test_half_a_turn_of_the_affine_step_is_taken_back():
    grid, turn = grid_of_sides(), sitk.AffineTransform(3)
    turn.SetMatrix((-1.0, 0, 0, 0, -1.0, 0, 0, 0, 1.0))
    places = grid.points(np.indices(grid.size).reshape(3, -1).T)
    vectors = (places * (-2, -2, 0)).reshape(*grid.size, 3)
    found = landing_points(to_image(vectors, grid), turn, POINTS, POINTS * (-1, -1, 1) + (2, 0, 0))
    np.testing.assert_allclose(found, POINTS - (2, 0, 0), atol=1e-3)


def test_where_no_point_lands_there_is_none():
    grid = grid_of_sides()
    places = grid.points(np.indices(grid.size).reshape(3, -1).T)
    # All of space is pressed onto a plane.
    vectors = (places * (-1, 0, 0)).reshape(*grid.size, 3)
    found = landing_points(to_image(vectors, grid), None, POINTS, POINTS + (9.0, 0, 0))
    assert np.isnan(found).all()
