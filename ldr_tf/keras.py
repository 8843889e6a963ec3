"""The seam between the two supported stacks: everything imports `keras` from here.

TensorFlow up to 2.15 carries Keras 2 as `tf.keras`. Later versions carry Keras 3, whose
subclassed models differ; there Keras 2 lives on in the package tf_keras.
"""

import contextlib
import threading

import tensorflow as tf


def _keras_two():
    major, minor = (int(part) for part in tf.__version__.split(".")[:2])
    if (major, minor) <= (2, 15):
        return tf.keras
    import tf_keras

    return tf_keras


keras = _keras_two()

_POLICY = threading.RLock()


@contextlib.contextmanager
def precision(policy):
    """Context in which new layers get a precision policy, such as "mixed_float16".

    The policy is the process's: one thread at a time is in such a context.
    """
    with _POLICY:
        before = keras.mixed_precision.global_policy()
        keras.mixed_precision.set_global_policy(policy)
        try:
            yield
        finally:
            keras.mixed_precision.set_global_policy(before)


__all__ = ["keras", "precision"]
