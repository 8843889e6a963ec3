import numpy as np
import pytest

from ldr_tf import imaging
from ldr_tf.imaging import Grid, to_image


def disc(size, spacing):
    """A bright disc in the middle of every slice, in darkness."""
    grid = Grid(size, spacing, (0.0, 0.0, 0.0), (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0))
    x, y, _ = np.indices(size)
    inside = np.hypot(x - size[0] / 2, y - size[1] / 2) < size[0] / 4
    noise = np.random.default_rng(0).uniform(0, 5, size)
    return to_image((100 * inside + noise).astype(np.float32), grid)


@pytest.mark.parametrize("slices", [2, 3, 7])
@pytest.mark.parametrize("edge", [1.0, 0.2, 0.001])
def test_thin_and_small_scans_have_a_foreground(slices, edge):
    """Thinner than the 4 mm at which head or body are looked for."""
    image = disc((64, 64, slices), (edge, edge, edge))
    low, high = imaging.foreground_box(image)
    assert low[2] == 0 and high[2] == slices - 1
    # The disc, with a margin of a coarse voxel and its rounding.
    assert (low[:2] <= 16).all() and (low[:2] >= 0).all()
    assert (high[:2] >= 47).all()
    grid = imaging.foreground_grid(image)
    assert min(grid.size) >= 8 and np.prod(grid.size) < 2e6
