"""Batches of a data set in one call, for tests."""

from data.pipeline import TrainingData
from ldr_tf.config import DataConfig


def training_batches(
    manifest, subset, batch_size, seed, first_step=0, shard=(0, 1), flows=None, labels=False, **data
):
    """Returns the batches of `TrainingData` from a step on; `data` are fields of its DataConfig."""
    config = DataConfig(subset=subset, **data)
    opened = TrainingData(manifest, config, batch_size, seed, labels=labels, flows=flows)
    return opened.batches(first_step, shard)
