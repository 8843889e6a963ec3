"""Losses that keep flows smooth and affine maps nearly rigid; each returns [batch]."""

import tensorflow as tf

from ldr_tf.conventions import AXES, check_flow

_ORTHOGONALITY_EPSILON = 1e-5


def flow_smoothness(flow):
    """Sum over axes of half the squared forward differences, divided by x * y * z * 3.

    Source: the regularisation loss of the VTN and RCN code.

    Args:
      flow: [batch, x, y, z, 3], voxels.

    Returns:
      [batch].
    """
    return _smoothness(check_flow(flow, "flow"))


@tf.custom_gradient
def _smoothness(flow):
    """The loss with a one-pass gradient: a voxel's backward differences less its forward ones."""
    share = 1.0 / tf.cast(tf.reduce_prod(tf.shape(flow)[1:]), flow.dtype)
    total = sum(tf.reduce_sum(tf.square(d), (*AXES, 4)) for d in _differences(flow)) / 2.0

    def gradient(upstream):
        return _difference_of_differences(flow) * (share * upstream)[:, None, None, None, None]

    return total * share, gradient


@tf.function(jit_compile=True, autograph=False)
def _difference_of_differences(flow):
    result = 0.0
    for axis, difference in zip(AXES, _differences(flow)):
        before, after = [[0, 0] for _ in range(5)], [[0, 0] for _ in range(5)]
        before[axis], after[axis] = [1, 0], [0, 1]
        result += tf.pad(difference, before) - tf.pad(difference, after)
    return result


def _differences(flow):
    return (
        flow[:, 1:] - flow[:, :-1],
        flow[:, :, 1:] - flow[:, :, :-1],
        flow[:, :, :, 1:] - flow[:, :, :, :-1],
    )


def determinant_loss(matrix):
    """`(det A - 1)^2 / 2` of A = W + I; `matrix` is W, [batch, 3, 3]."""
    return tf.square(tf.linalg.det(matrix + tf.eye(3)) - 1.0) / 2.0


def orthogonality_loss(matrix):
    """How far A = W + I is from a rotation (zero if it is one); `matrix` is W, [batch, 3, 3].

    `s1 + (1 + e)^2 s2 / s3 - 6 (1 + e)` with the elementary symmetric polynomials s1, s2, s3 of
    the eigenvalues of A'A + e I, e = 1e-5. Source: VTN's affine stem.
    """
    e = _ORTHOGONALITY_EPSILON
    a = matrix + tf.eye(3)
    gram = tf.matmul(a, a, transpose_a=True) + e * tf.eye(3)
    # Traces and the determinant give these polynomials without an eigendecomposition.
    s1 = tf.linalg.trace(gram)
    s2 = (tf.square(s1) - tf.linalg.trace(tf.matmul(gram, gram))) / 2.0
    s3 = tf.linalg.det(gram)
    return s1 + (1.0 + e) ** 2 * s2 / s3 - 6.0 * (1.0 + e)


def affine_loss(matrix):
    """`0.1 det + 0.1 ortho` of an affine stem's W, [batch, 3, 3]."""
    return 0.1 * determinant_loss(matrix) + 0.1 * orthogonality_loss(matrix)
