"""Functions that are traced, and compiled by XLA, once per combination of argument shapes."""

import functools

import tensorflow as tf

_KEPT = 64


def compiled_by_shape(function):
    """Returns a function of tensors that runs as one fused XLA function per combination of shapes.

    As `tf.function(function, jit_compile=True)`, but a process may see scans of any number of
    sizes: TensorFlow would warn of the many traces of one function.

    Args:
      function: takes tensors; no loop or branch may depend on their values.
    """
    return _by_shape(function, True)


def traced_by_shape(function):
    """As `compiled_by_shape`, but as a TensorFlow graph, without XLA.

    A function of many operations, used often in a network, is thus built once per shape instead of
    once per use.
    """
    return _by_shape(function, None)


def _by_shape(function, compiled_by_xla):
    @functools.lru_cache(maxsize=_KEPT)
    def compiled(*shapes):
        # TensorFlow counts traces per function; every partial object has a count of its own.
        partial = functools.partial(function)
        return tf.function(partial, jit_compile=compiled_by_xla, autograph=False)

    @functools.wraps(function)
    def called(*tensors):
        tensors = [tf.convert_to_tensor(tensor) for tensor in tensors]
        return compiled(*[tuple(tensor.shape.as_list()) for tensor in tensors])(*tensors)

    return called
