import logging

import numpy as np
import pytest
import tensorflow as tf

from ldr_tf.ops.compiling import compiled_by_shape, traced_by_shape


@pytest.mark.parametrize("by_shape", [compiled_by_shape, traced_by_shape])
def test_many_shapes_are_no_cause_of_warnings(by_shape, caplog):
    traced = []

    def double(first, second):
        traced.append(first.shape)
        return 2 * first + second

    built = by_shape(double)
    logger = tf.get_logger()
    logger.addHandler(caplog.handler)
    try:
        for _ in range(2):
            for size in range(1, 8):
                one = np.ones(size, np.float32)
                np.testing.assert_array_equal(built(one, 3 * one), 5 * one)
    finally:
        logger.removeHandler(caplog.handler)
    assert len(traced) == 7  # once for each shape
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
