import base64
import gzip

import nibabel
import numpy as np
import pytest

from ldr_tf.viewing.packing import pack, reduced_grid
from tests.viewing.scenes import grid_of_sides


def unpacked(text):
    """The NIfTI image of a packed volume, in the way that any reader sees it."""
    return nibabel.Nifti1Image.from_bytes(gzip.decompress(base64.b64decode(text)))


def test_axes_point_to_right_front_and_head():
    grid = reduced_grid(grid_of_sides(), 160)
    # Of L, I, A the first turns round; the second and the third change places.
    assert grid.size == (24, 36, 30) and grid.spacing == (2.0, 1.5, 1.0)
    np.testing.assert_array_equal(np.reshape(grid.direction, (3, 3)), np.diag([-1, -1, 1]))
    np.testing.assert_allclose(grid.centre, 0, atol=1e-12)


def test_no_side_is_longer_and_coarse_axes_stay():
    # 48, 30 and 54 mm: no voxel below 5.4 mm a side of 10 voxels.
    grid = reduced_grid(grid_of_sides(), 10)
    assert grid.size == (9, 10, 6)
    np.testing.assert_allclose(grid.extent, (48, 54, 30))
    thick = reduced_grid(grid_of_sides((50, 50, 4), (1.0, 1.0, 10.0)), 25)
    assert thick.size == (25, 4, 25) and thick.spacing == (2.0, 10.0, 2.0)


@pytest.mark.parametrize("kind", [np.uint8, np.int16])
def test_a_reader_finds_values_and_places(kind):
    grid = reduced_grid(grid_of_sides(), 160)
    array = np.zeros(grid.size, kind)
    array[3, 5, 7] = 100
    image = unpacked(pack(array, grid, 0.5, -10.0))
    assert image.get_data_dtype() == kind
    assert image.get_fdata()[3, 5, 7] == 40.0 and image.get_fdata()[0, 0, 0] == -10.0
    right, front, up = image.affine[:3] @ (3, 5, 7, 1)
    left, back, head = grid.points([3, 5, 7])
    np.testing.assert_allclose((right, front, up), (-left, -back, head), atol=1e-5)
    assert "".join(nibabel.aff2axcodes(image.affine)) == "RAS"


def test_the_same_volume_is_packed_the_same():
    grid = reduced_grid(grid_of_sides(), 160)
    array = np.arange(np.prod(grid.size)).reshape(grid.size).astype(np.uint8)
    assert pack(array, grid) == pack(array, grid)
