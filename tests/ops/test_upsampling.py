"""Upsampling by two: by hand at voxel centres, and against the resizing of any sizes."""

import numpy as np
import pytest
import tensorflow as tf

from ldr_tf.ops.flow import resize
from ldr_tf.ops.upsampling import half_size, upsample


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_between_centres_by_hand(axis):
    """Coarse centres lie at 0.5 and 2.5: voxels 1 and 2 a quarter and three of the way."""
    shape, size = [1, 1, 1, 1, 2], [2, 2, 2]
    shape[axis + 1], size[axis] = 2, 4
    field = np.reshape(np.float32([[0.0, 1.0], [4.0, -3.0]]), shape)
    found = np.moveaxis(upsample(field, tuple(size)).numpy(), axis + 1, 1)
    for other in (0, 1):
        np.testing.assert_allclose(found[0, :, other, 0, 0], [0.0, 1.0, 3.0, 4.0])
        np.testing.assert_allclose(found[0, :, 0, other, 1], [1.0, 0.0, -2.0, -3.0])


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("size", [(8, 6, 10), (2, 4, 2), (7, 5, 1)])
def test_equals_resizing_with_gradients(compiled, size):
    rng = np.random.default_rng(1)
    half = half_size(size)
    field = tf.constant(rng.normal(size=(2, *half, 3)).astype("float32"))
    weights = rng.normal(size=(2, *size, 3)).astype("float32")

    def resized(field):
        whole = resize(field, [2 * n for n in half])
        return whole[:, : size[0], : size[1], : size[2]]

    found = []
    for function in (lambda field: upsample(field, size, compiled), resized):
        with tf.GradientTape() as tape:
            tape.watch(field)
            whole = function(field)
            loss = tf.reduce_sum(weights * whole**2)
        found.append([whole, tape.gradient(loss, field)])
    for ours, wanted in zip(*found):
        assert ours.shape == wanted.shape
        np.testing.assert_allclose(ours, wanted, atol=1e-5)


def test_refusals():
    with pytest.raises(ValueError, match=r"half the voxels of \(8, 8, 8\)"):
        upsample(tf.zeros([1, 4, 4, 5, 3]), (8, 8, 8))
    with pytest.raises(ValueError, match="known before"):
        unknown = tf.TensorSpec([1, None, 4, 4, 3])
        tf.function(lambda field: upsample(field, (8, 8, 8))).get_concrete_function(unknown)
