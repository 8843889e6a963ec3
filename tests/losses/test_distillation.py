"""Plain distillation, by hand."""

import numpy as np
import tensorflow as tf

from ldr_tf.losses import distillation


def test_flow_regression_by_hand():
    student, teacher = tf.zeros([1, 2, 2, 2, 3]), tf.fill([1, 2, 2, 2, 3], 2.0)
    np.testing.assert_allclose(distillation.flow_regression_loss(student, teacher), [12.0])
    np.testing.assert_allclose(distillation.end_point_error(student, teacher), [12.0**0.5])
