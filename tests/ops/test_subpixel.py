"""Sub-pixel convolution against TensorFlow's own transposed convolution and a case by hand."""

import numpy as np
import pytest
import tensorflow as tf

from ldr_tf.ops.subpixel import transposed_convolution


def test_one_voxel_spreads_the_kernel():
    """Stride 2, SAME, kernel 4: input voxel i reaches output voxels 2i - 1 .. 2i + 2."""
    features = np.zeros((1, 3, 3, 3, 1), "float32")
    features[0, 1, 1, 1, 0] = 1.0
    kernel = np.arange(64, dtype="float32").reshape(4, 4, 4, 1, 1)
    spread = transposed_convolution(features, tf.constant(kernel)).numpy()
    wanted = np.zeros((6, 6, 6))
    wanted[1:5, 1:5, 1:5] = kernel[..., 0, 0]
    np.testing.assert_array_equal(spread[0, ..., 0], wanted)


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("size, outputs, inputs", [((3, 4, 5), 3, 7), ((1, 2, 1), 1, 2)])
def test_equals_tensorflow_with_gradients(compiled, size, outputs, inputs):
    rng = np.random.default_rng(1)
    features = tf.constant(rng.normal(size=(2, *size, inputs)).astype("float32"))
    kernel = tf.constant(rng.normal(size=(4, 4, 4, outputs, inputs)).astype("float32"))
    shape = [2, *(2 * n for n in size), outputs]
    found = []
    for function in (
        lambda x, k: transposed_convolution(x, k, compiled),
        lambda x, k: tf.nn.conv3d_transpose(x, k, shape, [1, 2, 2, 2, 1]),
    ):
        with tf.GradientTape() as tape:
            tape.watch([features, kernel])
            result = function(features, kernel)
            loss = tf.reduce_sum(result**2)
        found.append([result, *tape.gradient(loss, [features, kernel])])
    for ours, wanted in zip(*found):
        assert ours.shape == wanted.shape
        np.testing.assert_allclose(ours, wanted, rtol=1e-4, atol=1e-3)
