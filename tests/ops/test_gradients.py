"""Spatial derivatives of a quadratic field, by hand."""

import numpy as np

from ldr_tf.ops.gradients import laplacian, spatial_gradient

X, Y, Z = np.meshgrid(*map(np.arange, (6, 7, 8)), indexing="ij")
FIELD = (X**2 - 3.0 * Y + X * Z)[None, ..., None].astype("float32")


def test_gradient():
    found = spatial_gradient(FIELD)
    assert found.shape == (1, 6, 7, 8, 3)
    wanted = np.stack([2 * X + Z, np.full(X.shape, -3), X], -1)
    np.testing.assert_allclose(found[0, 1:-1, 1:-1, 1:-1], wanted[1:-1, 1:-1, 1:-1], atol=1e-5)
    # The outermost voxels are repeated, so half of the one difference is left.
    np.testing.assert_allclose(found[0, 2, 0, 3, 1], -1.5, atol=1e-6)


def test_laplacian():
    found = laplacian(np.concatenate([FIELD, -FIELD], -1))
    np.testing.assert_allclose(found[0, 1:-1, 1:-1, 1:-1, 0], 2.0, atol=1e-5)
    np.testing.assert_allclose(found[..., 1], -found[..., 0])
    # At x = 0 only the voxel ahead counts: along x 1 + z, along y and z nothing is bent.
    np.testing.assert_allclose(found[0, 0, 2, 1:-1, 0], 1.0 + np.arange(1, 7), atol=1e-5)
