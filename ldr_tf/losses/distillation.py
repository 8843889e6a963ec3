"""Plain distillation: the student's flow regressed to the teacher's."""

import tensorflow as tf

from ldr_tf.conventions import AXES, check_flow, check_same_grid


def flow_regression_loss(student, teacher):
    """Mean squared length of the difference of two flows, voxels squared, [batch]."""
    _check(student, teacher)
    return tf.reduce_mean(tf.reduce_sum(tf.math.squared_difference(student, teacher), -1), AXES)


def end_point_error(student, teacher):
    """Mean length of the difference of two flows, voxels, [batch]."""
    _check(student, teacher)
    return tf.reduce_mean(tf.norm(student - teacher, axis=-1), AXES)


def _check(student, teacher):
    check_flow(student, "student")
    check_flow(teacher, "teacher")
    check_same_grid(student, teacher, "student", "teacher")
