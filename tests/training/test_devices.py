"""What training needs to know of devices, on the one that is there."""

import pytest
import tensorflow as tf

from ldr_tf.config import OptimisationConfig
from ldr_tf.errors import InputError
from ldr_tf.training import devices


class ManyDevices:
    num_replicas_in_sync = 2


def test_one_device_is_chief_and_alone():
    strategy = devices.make_strategy("one")
    assert devices.is_chief(strategy) and devices.worker_count(strategy) == 1
    assert devices.agree(strategy, True) is True and devices.agree(strategy, False) is False


def test_a_single_device_takes_whole_batches():
    strategy = devices.make_strategy("one")
    asked = []
    devices.distribute(strategy, lambda shard: asked.append(shard), 4)
    assert asked == [(0, 1)]
    batch = {"fixed": tf.ones([2, 3])}
    assert devices.first_share(strategy, batch)["fixed"].shape == (2, 3)


@pytest.mark.parametrize(
    "values, words",
    [
        ({"batch_size": 3}, r"multiple of 2 \(2 devices, accumulate 1\), not 3"),
        ({"batch_size": 6, "accumulate": 2}, r"multiple of 4 \(2 devices, accumulate 2\), not 6"),
        ({"batch_size": 2, "xla": "on"}, "optimisation.xla must be auto or off"),
    ],
)
def test_what_devices_cannot_do_is_refused(values, words):
    with pytest.raises(InputError, match=words):
        devices.check(ManyDevices(), OptimisationConfig(**values))
    devices.check(devices.make_strategy("one"), OptimisationConfig(**values))
