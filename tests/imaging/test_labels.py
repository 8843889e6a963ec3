import numpy as np
import pytest
import SimpleITK as sitk

from ldr_tf.imaging import looks_like_labels


def blocks(size=24, values=5):
    """Labels in cubes of four voxels a side, and background."""
    labels = np.random.default_rng(0).integers(0, values, (size // 4,) * 3)
    labels = labels.repeat(4, 0).repeat(4, 1).repeat(4, 2)
    labels[:, :6] = 0
    return labels


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.int32, np.float32])
def test_labels(kind):
    assert looks_like_labels(sitk.GetImageFromArray(blocks().astype(kind)))
    assert looks_like_labels(sitk.GetImageFromArray((blocks() > 0).astype(kind)))


def test_scans():
    rng = np.random.default_rng(0)
    smooth = sitk.GetImageFromArray(blocks().astype(np.float32) * 50)
    smooth = sitk.GetArrayFromImage(sitk.SmoothingRecursiveGaussian(smooth, 2.0))
    scan = smooth + rng.normal(0, 3, smooth.shape)
    for array in (scan, scan.astype(np.int16), scan.clip(0, 255).astype(np.uint8), scan * 0):
        assert not looks_like_labels(sitk.GetImageFromArray(array))
    assert not looks_like_labels(sitk.GetImageFromArray(blocks() + 0.5))
