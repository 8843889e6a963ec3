"""FreeSurfer volumes, written by nibabel."""

import nibabel
import numpy as np
import pytest

from ldr_tf import imaging
from ldr_tf.errors import InputError

# FreeSurfer's conformed axes, L I A as letters of where they point; RAS in the header.
AFFINE = np.array([[-1.0, 0, 0, 10], [0, 0, 2, 20], [0, -1, 0, 30], [0, 0, 0, 1]])


def test_geometry_and_voxels(tmp_path):
    array = np.random.default_rng(0).integers(0, 99, (5, 6, 7)).astype(np.int16)
    nibabel.save(nibabel.MGHImage(array, AFFINE), str(tmp_path / "a.mgz"))
    image = imaging.read_image(tmp_path / "a.mgz")
    np.testing.assert_array_equal(imaging.to_array(image), array)
    np.testing.assert_allclose(image.GetSpacing(), (1, 1, 2))
    assert imaging.orientation_of(image.GetDirection()) == "LIA"
    # voxel (1, 2, 3): RAS (9, 26, 28)
    np.testing.assert_allclose(image.TransformIndexToPhysicalPoint((1, 2, 3)), (-9, -26, 28))


def test_damaged(tmp_path):
    nibabel.save(nibabel.MGHImage(np.ones((9, 9, 9), np.int16), AFFINE), str(tmp_path / "a.mgh"))
    content = (tmp_path / "a.mgh").read_bytes()
    for length in (10, 600):
        (tmp_path / "a.mgh").write_bytes(content[:length])
        with pytest.raises(InputError, match=r"a.mgh: .*damaged"):
            imaging.read_image(tmp_path / "a.mgh")
