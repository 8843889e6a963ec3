"""The least time that a machine needs: operations divided by its matrix-product rate, bytes by its
copy bandwidth."""

import time

import numpy as np
import tensorflow as tf

from ldr_tf.training import plan

_SIDE = 2048
_COPIED = 2**26


def machine_rates(rounds=9, dtype=tf.float32):
    """Measures a large matrix product's multiply-adds per second and a copy's bytes per second."""
    matrix = tf.cast(tf.random.stateless_normal((_SIDE, _SIDE), [1, 2]), dtype)
    product = tf.function(lambda: tf.linalg.matmul(matrix, matrix))
    numbers = tf.ones([_COPIED])
    copy = tf.function(lambda: -numbers)
    return _SIDE**3 / _seconds(product, rounds), 8 * _COPIED / _seconds(copy, rounds)


def multiply_adds(function, *tensors):
    """Counts the convolutions' multiply-adds in a function of tensors, as Keras computes them."""
    graph = tf.function(function, autograph=False).get_concrete_function(*tensors).graph
    return plan.multiply_adds(graph)


def _seconds(function, rounds):
    function()
    found = []
    for _ in range(rounds):
        start = time.perf_counter()
        function()
        found.append(time.perf_counter() - start)
    return float(np.median(found))
