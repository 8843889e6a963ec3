"""Pairs of a data set as tensors: batches for training, numpy pairs for evaluation."""

import functools

import numpy as np
import tensorflow as tf

from data import synthetic
from data.flows import FlowReader
from data.manifest import scan_id
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
    flows=None,
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
      flows: path of a store of teacher flows that has every pair of the subset, or None.
      images: "scans", or a style of `data.synthetic`: images painted from the segmentations.
      cache: whether to keep all scans that were read in memory.
      shard: (index, count); the dataset holds the index-th of `count` equal parts of every batch,
        so that count workers together see exactly what one would.

    Returns:
      tf.data.Dataset of {"fixed", "moving": uint8 [batch, x, y, z, 1], 0..255; "example": int64
      [batch], the pair's number in the training; with flows "teacher_flow": float16
      [batch, x, y, z, 3], voxels}, where batch is batch_size / count.

    Raises:
      InputError: at once, for an unknown or too small subset, a missing scan, a volume of
        another size or type, no segmentation to paint from, a store that lacks pairs, has another
        size or was made of other volumes, or a batch that cannot be dealt out.
    """
    part = _part(batch_size, shard)
    painted = images != "scans"
    if painted and flows is not None:
        raise InputError(f"{flows}: stored flows are those of the scans, not of painted images.")
    reader = VolumeReader(manifest, cache)
    choose = functools.partial(training_pairs, manifest, subset, batch_size, seed, paired=paired)
    choose(first_step)
    keys = [key for name in manifest.scheme(subset) for key in manifest.subsets[name]]
    keys = keys if manifest.atlas is None else [manifest.atlas] + keys
    reader.check(keys)
    if painted:
        reader.check_labels(keys)
    fill = reader.read_labels_into if painted else reader.read_volume_into
    kind = np.uint16 if painted else np.uint8
    store = None if flows is None else _open_flows(flows, manifest, subset, paired, reader)
    shape = (len(part),) + manifest.image_size

    def pairs_of(step):
        return choose(int(step))[part.start : part.stop]

    def read_volumes(step):
        batch = _two_arrays(shape + (1,), kind)
        for item, pair in enumerate(pairs_of(step)):
            for side, key in enumerate(pair):
                fill(key, batch[side][item, ..., 0])
        return batch

    def read_flows(step):
        stored = [store.read(*map(scan_id, pair)) for pair in pairs_of(step)]
        return np.stack(stored).astype(np.float16)

    def load(step):
        pair = tf.numpy_function(read_volumes, [step], [kind] * 2)
        fixed, moving = (tf.ensure_shape(side, shape + (1,)) for side in pair)
        example = step * batch_size + tf.range(part.start, part.stop, dtype=tf.int64)
        if painted:
            fixed, moving = _paint(fixed, moving, images, seed, example)
        batch = {"fixed": fixed, "moving": moving, "example": example}
        if store is not None:
            flow = tf.numpy_function(read_flows, [step], tf.float16)
            batch["teacher_flow"] = tf.ensure_shape(flow, shape + (3,))
        return batch

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


def _paint(fixed, moving, style, seed, example):
    """Paints each pair of a batch of labels by its own number in the training."""

    def paint(pair):
        images = synthetic.paint_pair(pair[0][..., 0], pair[1][..., 0], style, seed, pair[2])
        return tuple(image[..., None] for image in images)

    return tf.map_fn(paint, (fixed, moving, example), fn_output_signature=(tf.uint8, tf.uint8))


def _open_flows(path, manifest, subset, paired, reader):
    store = FlowReader(path)
    if tuple(store.about["image_size"]) != manifest.image_size:
        raise InputError(
            f"{path}: holds flows of {tuple(store.about['image_size'])}, the data set holds "
            f"{manifest.image_size}."
        )
    pairs = list_pairs(manifest, subset, paired)
    keys = {scan_id(key): key for pair in pairs for key in pair}
    ids = [tuple(map(scan_id, pair)) for pair in pairs]
    store.check(ids, digest=lambda name: reader.digest(keys[name]))
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
