"""The moving average of the weights, against values by hand."""

import numpy as np
import pytest
import tensorflow as tf

from ldr_tf.config import NetworkConfig, OptimisationConfig, RunConfig
from ldr_tf.runs import checkpoints
from ldr_tf.training.state import TrainingState


def state(**options):
    network = NetworkConfig(image_size=(16, 16, 16), channels=2, cascades=1)
    return TrainingState(RunConfig(network=network, optimisation=OptimisationConfig(**options)))


def set_all(network, value):
    for variable in network.variables:
        variable.assign(tf.fill(variable.shape, value))


def test_without_an_average_the_result_is_the_network():
    plain = state()
    assert plain.result is plain.network
    plain.follow(1)


def test_the_average_by_hand():
    averaged = state(average=0.5)
    for mean, weight in zip(averaged.result.variables, averaged.network.variables):
        np.testing.assert_array_equal(mean, weight)  # it starts where the network starts
    set_all(averaged.result, 0.0)
    set_all(averaged.network, 1.0)
    averaged.follow(1)  # decay 2 / 11, the shorter memory
    expected = 1 - 2 / 11
    assert np.unique(averaged.result.variables[0]) == pytest.approx(expected)
    averaged.follow(100)  # decay 0.5
    expected = 0.5 * expected + 0.5
    for mean in averaged.result.variables:
        assert np.unique(mean) == pytest.approx(expected)
    assert np.unique(averaged.network.variables[0]) == 1.0


def test_a_run_is_loaded_with_its_average_and_resumes_with_both(tmp_path):
    averaged = state(average=0.9)
    set_all(averaged.result, 0.25)
    set_all(averaged.network, 0.5)
    checkpoints.write_config(str(tmp_path), averaged.config)
    checkpoints.manager(averaged.checkpoint, str(tmp_path), keep=1).save(checkpoint_number=1)
    loaded = checkpoints.load_run(str(tmp_path))
    assert {float(np.unique(v)[0]) for v in loaded.variables} == {0.25}
    again = state(average=0.9)
    checkpoints.restore(again.checkpoint, checkpoints.latest_checkpoint(str(tmp_path)))
    assert np.unique(again.network.variables[0]) == 0.5
    assert np.unique(again.result.variables[0]) == 0.25
