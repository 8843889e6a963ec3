import numpy as np
import pytest
from scipy import ndimage

from ldr_tf.imaging.depth import depth_in

BOX = np.zeros((9, 8, 7), bool)
BOX[2:7, 2:6, 1:6] = True


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.5, 2.0, 1.5)])
def test_the_depth_is_the_distance_to_the_nearest_voxel_outside(spacing):
    # SciPy's transform is another implementation.
    wanted = ndimage.distance_transform_edt(np.pad(BOX, 1), sampling=spacing)[1:-1, 1:-1, 1:-1]
    np.testing.assert_allclose(depth_in(BOX, np.array(spacing)), wanted, atol=1e-5)
    assert depth_in(BOX, np.array((1.0, 1.0, 1.0)))[4, 3, 3] == pytest.approx(2.0)


def test_the_end_of_the_volume_is_a_surface_or_not():
    body, spacing = np.zeros((6, 5, 5), bool), np.ones(3)
    body[2:] = True  # reaches the end
    assert depth_in(body, spacing)[:, 2, 2] == pytest.approx([0, 0, 1, 2, 2, 1])
    assert depth_in(body, spacing, cut=False)[:, 2, 2] == pytest.approx([0, 0, 1, 2, 3, 4])


def test_all_and_nothing():
    everything, spacing = np.ones((5, 5, 5), bool), np.ones(3)
    assert np.isinf(depth_in(everything, spacing, cut=False)).all()
    assert depth_in(everything, spacing)[2, 2, 2] == pytest.approx(3.0)
    assert not depth_in(~everything, spacing).any()
    assert not depth_in(~everything, spacing, cut=False).any()
