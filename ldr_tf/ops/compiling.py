"""Functions that are traced, and compiled by XLA, once for each shape of their arguments."""

import functools

import tensorflow as tf

_KEPT = 64


def compiled_by_shape(function):
    """Returns a function of tensors as one fused XLA function for each combination of shapes.

    As `tf.function(function, jit_compile=True)`, but scans of any number of sizes may pass through
    one process: TensorFlow would take the traces of one function for a mistake and warn of them.

    Args:
      function: takes tensors; without loops or branches that depend on their values.
    """
    return _by_shape(function, True)


def traced_by_shape(function):
    """As `compiled_by_shape`, but a TensorFlow graph, which XLA does not compile."""
    return _by_shape(function, None)


def _by_shape(function, compiled_by_xla):
    @functools.lru_cache(maxsize=_KEPT)
    def compiled(*shapes):
        # TensorFlow counts traces by the code that it runs; a partial object counts for itself.
        partial = functools.partial(function)
        return tf.function(partial, jit_compile=compiled_by_xla, autograph=False)

    @functools.wraps(function)
    def called(*tensors):
        tensors = [tf.convert_to_tensor(tensor) for tensor in tensors]
        return compiled(*[tuple(tensor.shape.as_list()) for tensor in tensors])(*tensors)

    return called
