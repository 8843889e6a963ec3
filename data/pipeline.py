"""Pairs of a data set as tensors: batches for training, numpy pairs for evaluation."""

import functools
import time

import numpy as np
import tensorflow as tf

from data import synthetic
from data.pairs import list_pairs, training_pairs
from data.volumes import VolumeReader
from ldr_tf.errors import InputError
from ldr_tf.evaluation import Pair

_READERS = 2
_READ_AHEAD = 2
_ALIGNMENT = 64
"""Bytes; TensorFlow takes arrays that begin at multiples of it without a copy."""


def training_dataset(
    manifest,
    subset,
    batch_size,
    seed,
    first_step=0,
    paired=False,
    images="scans",
    cache=False,
    shard=(0, 1),
):
    """Builds the endless sequence of training batches.

    Which pairs a step gets depends on `seed` and the step alone, so a resumed training goes on
    with `first_step` and sees what it would have seen: the step is the pipeline's whole position.
    Volumes are read from disk by a few threads, a few batches ahead; without `cache` memory does
    not grow with the data set. They stay uint8 until the device.

    Args:
      manifest: a Manifest.
      subset: a scheme's name, else a subset's.
      batch_size: pairs a batch, of all shards together.
      seed: 0 or more.
      first_step: step of the first batch.
      paired: see `data.pairs.list_pairs`.
      images: "scans", or a style of `data.synthetic`: images painted from the segmentations.
      cache: whether to keep all that was read in memory.
      shard: (index, count): only the index-th of count equal parts of every batch, so that count
        workers together see exactly what one would.

    Returns:
      tf.data.Dataset of {"fixed", "moving": uint8 [batch, x, y, z, 1], 0..255, "step": int64},
      where batch is batch_size / count.

    Raises:
      InputError: at once, for an unknown or too small subset, a missing scan, a volume of another
        size or type, no segmentation to paint from, or a batch that does not fall into the parts.
    """
    part = _part(batch_size, shard)
    reader = VolumeReader(manifest, cache)
    choose = functools.partial(training_pairs, manifest, subset, batch_size, seed, paired=paired)
    choose(first_step)
    keys = [key for name in manifest.scheme(subset) for key in manifest.subsets[name]]
    keys = keys if manifest.atlas is None else [manifest.atlas] + keys
    reader.check(keys)
    painted = images != "scans"
    if painted:
        reader.check_labels(keys)
    fill = reader.read_labels_into if painted else reader.read_volume_into
    kind = np.uint16 if painted else np.uint8
    shape = (len(part),) + manifest.image_size + (1,)

    def read(step):
        batch = _two_arrays(shape, kind)
        pairs = choose(int(step))
        for item, place in enumerate(part):
            for side, key in enumerate(pairs[place]):
                fill(key, batch[side][item, ..., 0])
        return batch

    def load(step):
        pair = [
            tf.ensure_shape(side, shape) for side in tf.numpy_function(read, [step], [kind] * 2)
        ]
        if painted:
            pair = _paint(pair, images, seed, step * batch_size + part.start)
        return {"fixed": pair[0], "moving": pair[1], "step": step}

    steps = tf.data.Dataset.range(first_step, np.iinfo(np.int64).max)
    return steps.map(load, num_parallel_calls=_READERS, deterministic=True).prefetch(_READ_AHEAD)


def _part(batch_size, shard):
    """Returns the places in a batch that belong to a shard, a range."""
    index, count = shard
    if not 0 <= index < count:
        raise ValueError(f"shard must be (index, count) with 0 <= index < count, not {shard}.")
    if batch_size % count:
        raise InputError(
            f"a batch of {batch_size} pairs cannot be dealt out to {count} workers evenly; "
            f"batch_size must be a multiple of {count}."
        )
    share = batch_size // count
    return range(index * share, (index + 1) * share)


def _two_arrays(shape, kind):
    """Returns two aligned arrays in one piece of memory: large pieces come in large pages."""
    size = int(np.prod(shape)) * np.dtype(kind).itemsize
    stride = -(-size // _ALIGNMENT) * _ALIGNMENT
    room = np.empty(2 * stride + _ALIGNMENT, np.uint8)
    start = -room.ctypes.data % _ALIGNMENT
    starts = (start, start + stride)
    return [room[begin : begin + size].view(kind).reshape(shape) for begin in starts]


def _paint(pair, style, seed, first_number):
    """Paints each pair of a batch of labels by its own number in the run."""
    images = [
        synthetic.paint_pair(fixed[..., 0], moving[..., 0], style, seed, first_number + item)
        for item, (fixed, moving) in enumerate(zip(*map(tf.unstack, pair)))
    ]
    return [tf.stack(side)[..., None] for side in zip(*images)]


class Waiting:
    """Iterates over batches and measures how long they were waited for.

    Attributes:
      seconds: waited so far, the first batch aside, which fills the pipeline.
      batches: taken so far.
    """

    def __init__(self, batches):
        """Wraps an iterable of batches."""
        self._batches = batches
        self._since = None
        self.seconds, self.batches = 0.0, 0

    def __iter__(self):
        iterator = iter(self._batches)
        while True:
            start = time.perf_counter()
            try:
                batch = next(iterator)
            except StopIteration:
                return
            now = time.perf_counter()
            if self._since is None:
                self._since = now
            else:
                self.seconds += now - start
            self.batches += 1
            yield batch

    @property
    def share(self):
        """Waiting as a share of the time since the first batch, 0..1."""
        if self._since is None:
            return 0.0
        return self.seconds / max(time.perf_counter() - self._since, 1e-9)


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
