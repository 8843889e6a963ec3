"""Pairs of a data set as tensors: batches for training, numpy pairs for evaluation."""

import functools

import numpy as np
import tensorflow as tf

from data.pairs import list_pairs, training_pairs
from data.volumes import VolumeReader
from ldr_tf.evaluation import Pair

_READERS = 2
_READ_AHEAD = 2


def training_dataset(manifest, subset, batch_size, seed, first_step=0, paired=False):
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

    Returns:
      tf.data.Dataset of {"fixed", "moving": uint8 [batch, x, y, z, 1], 0..255, "step": int64}.

    Raises:
      InputError: at once, for an unknown or too small subset, a missing scan, or a volume of
        another size or type.
    """
    reader = VolumeReader(manifest)
    choose = functools.partial(training_pairs, manifest, subset, batch_size, seed, paired=paired)
    choose(first_step)
    keys = [key for name in manifest.scheme(subset) for key in manifest.subsets[name]]
    reader.check(keys if manifest.atlas is None else [manifest.atlas] + keys)
    shape = (batch_size,) + manifest.image_size + (1,)

    def read(step):
        batch = np.empty((2,) + shape, np.uint8)
        for item, pair in enumerate(choose(int(step))):
            for side, key in enumerate(pair):
                batch[side, item, ..., 0] = reader.read_volume(key)
        return batch

    def load(step):
        batch = tf.ensure_shape(tf.numpy_function(read, [step], tf.uint8), (2,) + shape)
        return {"fixed": batch[0], "moving": batch[1], "step": step}

    steps = tf.data.Dataset.range(first_step, np.iinfo(np.int64).max)
    return steps.map(load, num_parallel_calls=_READERS, deterministic=True).prefetch(_READ_AHEAD)


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
