"""Runs a network on pairs and times it."""

import time
import typing

import numpy as np
import tensorflow as tf

from ldr_tf.conventions import INTENSITY_MAX


class Prediction(typing.NamedTuple):
    """Attributes:
    flow: float32 [x, y, z, 3], voxels.
    warped: the moving image on the fixed one's grid, float32 [x, y, z], 0..1.
    seconds: wall-clock time from the two input tensors to flow and warped image in memory.
    """

    flow: np.ndarray
    warped: np.ndarray
    seconds: float


class Predictor:
    """A network as one timed `tf.function`; None stands for the identity, which takes 0 seconds.

    The function is traced once for each size of volume. The first pair of a size is run twice and
    timed the second time, so that tracing and compiling are never counted. Keep the object to
    evaluate one network repeatedly: weights that change in between are seen.
    """

    def __init__(self, network):
        self._sizes = set()
        self._run = None if network is None else _compiled(network)

    def __call__(self, fixed, moving):
        """Returns the Prediction for two volumes [x, y, z], 0..255."""
        inputs = [_batch_of_one(volume) for volume in (fixed, moving)]
        if self._run is None:
            warped = inputs[1].numpy()[0, ..., 0]
            return Prediction(np.zeros(warped.shape + (3,), np.float32), warped, 0.0)
        self._warm_up(inputs)
        return self._measured(inputs)

    def _warm_up(self, inputs):
        size = tuple(inputs[0].shape)
        if size not in self._sizes:
            self._measured(inputs)
            self._sizes.add(size)

    def _measured(self, inputs):
        start = time.perf_counter()
        flow, warped = [tensor.numpy() for tensor in self._run(*inputs)]
        return Prediction(flow[0], warped[0, ..., 0], time.perf_counter() - start)


def _compiled(network):
    @tf.function
    def run(fixed, moving):
        out = network(fixed, moving)
        return out.flow, out.warped

    return run


def _batch_of_one(volume):
    return tf.constant(np.asarray(volume, np.float32)[None, ..., None] / np.float32(INTENSITY_MAX))
