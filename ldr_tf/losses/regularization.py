"""Losses that keep flows smooth and affine maps nearly rigid; each returns [batch]."""

import tensorflow as tf

from ldr_tf.conventions import AXES, check_flow
from ldr_tf.ops.gradients import laplacian

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


def smoothness_gradient(flow):
    """Returns the gradient of each flow's `flow_smoothness`, in the shape of the flow.

    Minus the Laplacian, the outermost values repeated beyond the volume, divided by x * y * z * 3:
    linear in the flow, whose smoothness is half of the product of both. TensorFlow's own gradient
    of the differences takes twice as long.
    """
    return -laplacian(flow) * _share(flow)


_compiled_gradient = tf.function(smoothness_gradient, jit_compile=True, autograph=False)


@tf.custom_gradient
def _smoothness(flow):
    total = sum(tf.reduce_sum(tf.square(d), (*AXES, 4)) for d in _differences(flow)) / 2.0

    def gradient(upstream):
        return _compiled_gradient(flow) * upstream[:, None, None, None, None]

    return total * _share(flow), gradient


def _share(flow):
    return 1.0 / tf.cast(tf.reduce_prod(tf.shape(flow)[1:]), flow.dtype)


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
