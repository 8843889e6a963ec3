import numpy as np
import pytest

from ldr_tf.imaging import Grid, to_array, to_image
from ldr_tf.imaging.affine.core import core_of

SIZE = (56, 56, 56)
GRID = Grid(SIZE, (4.0,) * 3, (-110.0,) * 3, (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0))


def ball(radius, low=-np.inf):
    """A ball of intensity 100 about the middle, cut off below z = low by the field of view."""
    points = GRID.points(np.indices(SIZE).reshape(3, -1).T)
    inside = np.linalg.norm(points, axis=1) < radius
    image = to_image(np.float32(100 * inside).reshape(SIZE), GRID)
    return image[:, :, int(max(0, np.ceil((low + 110) / 4))) :] if np.isfinite(low) else image


def test_the_core_of_a_ball_is_a_smaller_ball():
    core = core_of(ball(80))
    assert core.radius == pytest.approx(80, abs=4)
    volume = to_array(core.mask).sum() * 4.0**3
    assert volume == pytest.approx(4 / 3 * np.pi * 68**3, rel=0.1)  # 12 mm below the surface
    assert core.range == (100.0, 100.0)


def test_the_end_of_the_field_of_view_is_no_scalp():
    core = core_of(ball(90, low=-60))
    assert to_array(core.mask)[28, 28, 0] == 1


@pytest.mark.parametrize("radius", [60, 104])
def test_brains_and_trunks_have_none(radius):
    assert core_of(ball(radius)) is None


def test_a_ct_has_none():
    assert core_of(ball(80) * 10.0 - 1000.0) is None
