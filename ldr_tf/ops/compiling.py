"""Functions that XLA compiles once for each shape of their arguments."""

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

    @functools.lru_cache(maxsize=_KEPT)
    def compiled(*shapes):
        # TensorFlow counts traces by the code that it runs; a partial object counts for itself.
        return tf.function(functools.partial(function), jit_compile=True, autograph=False)

    @functools.wraps(function)
    def called(*tensors):
        tensors = [tf.convert_to_tensor(tensor) for tensor in tensors]
        return compiled(*[tuple(tensor.shape.as_list()) for tensor in tensors])(*tensors)

    return called
