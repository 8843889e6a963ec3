"""Pairs of a data set as tensors: batches for training, numpy pairs for evaluation."""

import functools

import numpy as np
import tensorflow as tf

from data.flows import FlowReader
from data.manifest import scan_id
from data.pairs import list_pairs, training_pairs
from data.volumes import VolumeReader
from ldr_tf.errors import InputError
from ldr_tf.evaluation import Pair

_READERS = 2
_READ_AHEAD = 2


def training_dataset(
    manifest,
    subset,
    batch_size,
    seed,
    first_step=0,
    paired=False,
    flows=None,
    shard=(0, 1),
):
    """Builds the endless sequence of training batches.

    Which pairs a step gets depends on `seed` and the step alone, so a resumed training goes on
    with `first_step` and sees what it would have seen. Volumes are read from disk by a few
    threads, a few batches ahead; memory does not grow with the data set.

    Args:
      manifest: a Manifest.
      subset: a scheme's name, else a subset's.
      batch_size: pairs a batch.
      seed: 0 or more.
      first_step: step of the first batch.
      paired: see `data.pairs.list_pairs`.
      flows: path of a store of teacher flows that has every pair of the subset, or None.
      shard: (index, count); the dataset holds the index-th of `count` equal parts of every batch.

    Returns:
      tf.data.Dataset of {"fixed", "moving": uint8 [batch, x, y, z, 1], 0..255; "example": int64
      [batch], the pair's number in the training; with flows "teacher_flow": float16
      [batch, x, y, z, 3], voxels}.

    Raises:
      InputError: at once, for an unknown or too small subset, a missing scan, a volume of
        another size or type, or a store that lacks pairs or has another size.
    """
    reader = VolumeReader(manifest)
    choose = functools.partial(training_pairs, manifest, subset, batch_size, seed, paired=paired)
    choose(first_step)
    keys = [key for name in manifest.scheme(subset) for key in manifest.subsets[name]]
    reader.check(keys if manifest.atlas is None else [manifest.atlas] + keys)
    store = None if flows is None else _open_flows(flows, manifest, subset, paired)
    share = batch_size // shard[1]
    first_item = shard[0] * share
    shape = (share,) + manifest.image_size

    def pairs_of(step):
        return choose(int(step))[first_item : first_item + share]

    def read_volumes(step):
        batch = np.empty((2,) + shape + (1,), np.uint8)
        for item, pair in enumerate(pairs_of(step)):
            for side, key in enumerate(pair):
                batch[side, item, ..., 0] = reader.read_volume(key)
        return batch

    def read_flows(step):
        stored = [store.read(*map(scan_id, pair)) for pair in pairs_of(step)]
        return np.stack(stored).astype(np.float16)

    def load(step):
        volumes = tf.numpy_function(read_volumes, [step], tf.uint8)
        volumes = tf.ensure_shape(volumes, (2,) + shape + (1,))
        batch = {
            "fixed": volumes[0],
            "moving": volumes[1],
            "example": step * batch_size + tf.range(first_item, first_item + share, dtype=tf.int64),
        }
        if store is not None:
            flow = tf.numpy_function(read_flows, [step], tf.float16)
            batch["teacher_flow"] = tf.ensure_shape(flow, shape + (3,))
        return batch

    steps = tf.data.Dataset.range(first_step, np.iinfo(np.int64).max)
    return steps.map(load, num_parallel_calls=_READERS, deterministic=True).prefetch(_READ_AHEAD)


def _open_flows(path, manifest, subset, paired):
    store = FlowReader(path)
    if tuple(store.about["image_size"]) != manifest.image_size:
        raise InputError(
            f"{path}: holds flows of {tuple(store.about['image_size'])}, the data set holds "
            f"{manifest.image_size}."
        )
    pairs = list_pairs(manifest, subset, paired)
    store.check([tuple(map(scan_id, pair)) for pair in pairs])
    return store


def evaluation_pairs(manifest, subset, paired=False):
    """Returns an iterator over the pairs of an evaluation, as ldr_tf.evaluation.Pair, in order.

    Raises:
      InputError: at once, for an unknown or too small subset, a missing scan, or a volume of
        another size or type; while iterating, for a bad segmentation or point.
    """
    pairs = list_pairs(manifest, subset, paired)
    reader = VolumeReader(manifest)
    reader.check(dict.fromkeys(key for pair in pairs for key in pair))
    # The fixed scan stays the same over many pairs.
    read = functools.lru_cache(maxsize=2)(reader.read)

    def iterate():
        with reader:
            for fixed_key, moving_key in pairs:
                fixed, moving = read(fixed_key), read(moving_key)
                yield Pair(
                    fixed_id=fixed.id,
                    moving_id=moving.id,
                    fixed=fixed.volume,
                    moving=moving.volume,
                    fixed_labels=fixed.segmentation,
                    moving_labels=moving.segmentation,
                    fixed_points=fixed.point,
                    moving_points=moving.point,
                )

    return iterate()
