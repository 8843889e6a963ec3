"""One device or many: everything that training needs to know about tf.distribute."""

import tensorflow as tf

from ldr_tf.errors import InputError


def make_strategy(name):
    """Returns the strategy of a config's `optimisation.strategy`.

    "mirrored" takes the GPUs of this machine, or its logical CPUs where it has none.
    "multi_worker" reads TF_CONFIG, as TensorFlow does, and must come before any other use of
    TensorFlow in the process.
    """
    if name == "multi_worker":
        return tf.distribute.MultiWorkerMirroredStrategy()
    if name == "mirrored":
        devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
        return tf.distribute.MirroredStrategy([device.name for device in devices])
    return tf.distribute.get_strategy()


def check(strategy, config):
    """Raises InputError if the devices cannot do what an `OptimisationConfig` asks."""
    devices = strategy.num_replicas_in_sync
    shares = devices * config.accumulate
    if config.batch_size % shares:
        raise InputError(
            f"optimisation.batch_size must be a multiple of {shares} ({devices} devices, "
            f"accumulate {config.accumulate}), not {config.batch_size}."
        )
    if config.xla == "on" and devices > 1 and not tf.config.list_physical_devices("GPU"):
        raise InputError(
            "optimisation.xla must be auto or off when several CPUs train together: XLA compiles "
            "for the first of them only."
        )


def distribute(strategy, read, batch_size):
    """Returns an iterable of batches in which each device gets its share.

    Args:
      strategy: from `make_strategy`.
      read: callable; `read(shard=(index, count))` gives the tf.data.Dataset of the index-th of
        `count` equal shares of every batch.
      batch_size: pairs per batch, over all devices.
    """
    if strategy.num_replicas_in_sync == 1:
        return read(shard=(0, 1))

    def of_worker(context):
        dataset = read(shard=(context.input_pipeline_id, context.num_input_pipelines))
        return dataset.rebatch(context.get_per_replica_batch_size(batch_size))

    return strategy.distribute_datasets_from_function(of_worker)


def first_share(strategy, batch):
    """Returns the first local device's part of a distributed batch."""
    return {name: strategy.experimental_local_results(value)[0] for name, value in batch.items()}


def is_chief(strategy):
    """Whether this process writes files: of several workers only one does."""
    resolver = strategy.cluster_resolver
    if resolver is None or not resolver.task_type:
        return True
    return resolver.task_type == "chief" or (
        resolver.task_type == "worker"
        and resolver.task_id == 0
        and "chief" not in resolver.cluster_spec().jobs
    )


def worker_count(strategy):
    """Returns how many processes train together."""
    resolver = strategy.cluster_resolver
    spec = resolver.cluster_spec() if resolver is not None else None
    return max(len(spec.as_dict().get("worker", ())), 1) if spec else 1


def agree(strategy, asked):
    """Returns whether any worker has asked for something; every worker must call it."""
    if worker_count(strategy) == 1:
        return asked

    votes = strategy.experimental_distribute_values_from_function(
        lambda _: tf.constant(float(asked))
    )
    return float(strategy.reduce(tf.distribute.ReduceOp.SUM, votes, axis=None)) > 0
