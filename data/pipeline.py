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
_MASK = 255
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
    painted="all",
    labels=False,
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
      painted: whether "all" are then painted or only those that are "label_maps" without a scan.
      labels: whether to bring the segmentations along, as numbers of `label_classes`.
      cache: whether to keep all scans that were read in memory.
      shard: (index, count); the dataset holds the index-th of `count` equal parts of every batch,
        so that count workers together see exactly what one would.

    Returns:
      tf.data.Dataset of {"fixed", "moving": uint8 [batch, x, y, z, 1], 0..255; "example": int64
      [batch], the pair's number in the training; with flows "teacher_flow": float16
      [batch, x, y, z, 3], voxels; with labels "fixed_labels", "moving_labels": uint16
      [batch, x, y, z, 1], 0 for what is no class and where a scan has no segmentation}, where batch
      is batch_size / count.

    Raises:
      InputError: at once, for an unknown or too small subset, a missing scan, a volume of
        another size or type, no segmentation to paint from, a store that lacks pairs, has another
        size or was made of other volumes, or a batch that cannot be dealt out.
    """
    part = _part(batch_size, shard)
    if images != "scans" and flows is not None:
        raise InputError(f"{flows}: stored flows are those of the scans, not of painted images.")
    reader = VolumeReader(manifest, cache)
    choose = functools.partial(training_pairs, manifest, subset, batch_size, seed, paired=paired)
    choose(first_step)
    keys = [key for name in manifest.scheme(subset) for key in manifest.subsets[name]]
    keys = keys if manifest.atlas is None else [manifest.atlas] + keys
    reader.check(keys)
    to_paint = {
        key for key in keys if images != "scans" and (painted == "all" or reader.is_label_map(key))
    }
    labelled = {key for key in keys if reader.has_labels(key)} if labels else set()
    if labels and not labelled:
        raise InputError(
            f"{manifest.path}: no scan of {subset!r} has a segmentation to learn from."
        )
    reader.check_labels(to_paint | labelled)
    classes = _class_table(manifest) if labels else None
    kind = np.uint16 if to_paint else np.uint8
    store = None if flows is None else _open_flows(flows, manifest, subset, paired, reader)
    shape = (len(part),) + manifest.image_size

    def pairs_of(step):
        return choose(int(step))[part.start : part.stop]

    def read_volumes(step):
        batch = _two_arrays(shape + (1,), kind)
        for item, pair in enumerate(pairs_of(step)):
            for side, key in enumerate(pair):
                read_into(key, batch[side][item, ..., 0])
        return batch

    def read_into(key, array):
        if key in to_paint:
            reader.read_labels_into(key, array)
        elif kind == np.uint8:
            reader.read_volume_into(key, array)
        else:
            volume = np.empty(array.shape, np.uint8)
            reader.read_volume_into(key, volume)
            array[...] = volume

    def read_labels(step):
        batch = np.zeros((2,) + shape + (1,), np.uint16)
        for item, pair in enumerate(pairs_of(step)):
            for side, key in enumerate(pair):
                if key in labelled:
                    reader.read_labels_into(key, batch[side, item, ..., 0])
        return tuple(classes[batch])

    def read_flows(step):
        stored = [store.read(*map(scan_id, pair)) for pair in pairs_of(step)]
        return np.stack(stored).astype(np.float16)

    def are_painted(step):
        return np.array([[key in to_paint for key in pair] for pair in pairs_of(step)])

    def load(step):
        fixed, moving = _volumes(read_volumes, step, kind, shape)
        example = step * batch_size + tf.range(part.start, part.stop, dtype=tf.int64)
        if to_paint:
            which = tf.ensure_shape(
                tf.numpy_function(are_painted, [step], tf.bool), shape[:1] + (2,)
            )
            fixed, moving = _paint(fixed, moving, which, images, seed, example)
        batch = {"fixed": fixed, "moving": moving, "example": example}
        if labels:
            sides = _volumes(read_labels, step, np.uint16, shape)
            batch["fixed_labels"], batch["moving_labels"] = sides
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


def _volumes(read, step, kind, shape):
    """Returns both sides of a step's pairs, [batch, x, y, z, 1], as `read(step)` gives them."""
    pair = tf.numpy_function(read, [step], [kind] * 2)
    return [tf.ensure_shape(side, shape + (1,)) for side in pair]


def _paint(fixed, moving, which, style, seed, example):
    """Paints those sides of a batch that are labels, each pair by its own number in the training.

    `which` is [batch, 2], for the fixed and the moving sides; the others are images already.
    """

    def paint(pair):
        given = (pair[0][..., 0], pair[1][..., 0])
        images = tf.cond(
            tf.reduce_any(pair[2]),
            lambda: synthetic.paint_pair(*given, style, seed, pair[3]),
            lambda: tuple(tf.cast(side, tf.uint8) for side in given),
        )
        chosen = [
            tf.where(pair[2][side], images[side], tf.cast(given[side], tf.uint8))
            for side in range(2)
        ]
        return tuple(image[..., None] for image in chosen)

    sides = (fixed, moving, which, example)
    return tf.map_fn(paint, sides, fn_output_signature=(tf.uint8, tf.uint8))


def label_classes(manifest):
    """Returns the label values that make a data set's classes 1, 2, ...: those of its list.

    Segmentations without a list are masks of 0 and 255.
    """
    if manifest.segmentation_class_value is None:
        return (_MASK,)
    return tuple(sorted(set(manifest.segmentation_class_value.values()) - {0}))


def _class_table(manifest):
    """Returns the class of every label value, uint16; 0 for values that are no class."""
    table = np.zeros(synthetic.LARGEST_LABEL + 1, np.uint16)
    for number, value in enumerate(label_classes(manifest), 1):
        if not 0 <= value < len(table):
            raise InputError(
                f"{manifest.path}: segmentation_class_value must lie in 0..{len(table) - 1} for "
                f"labels to be learned from, not be {value}."
            )
        table[value] = number
    return table


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
