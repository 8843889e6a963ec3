"""Pairs of a data set as tensors: the batches of a training."""

import functools

import numpy as np
import tensorflow as tf

from data import synthetic
from data.flows import FlowReader
from data.manifest import scan_id
from data.pairs import list_pairs, training_pairs
from data.volumes import VolumeReader
from ldr_tf.errors import InputError

_READERS = 2
_READ_AHEAD = 2
_MASK = 255
_ALIGNMENT = 64
"""Bytes; TensorFlow takes arrays aligned to it without a copy."""


class TrainingData:
    """The endless sequence of training batches of a data set's subset.

    Which pairs a step gets depends on the seed and the step alone, so the step is the pipeline's
    whole state, and a resumed training sees what it would have seen. Volumes are read from disk by
    a few threads, a few batches ahead, and stay uint8 until they reach the device; without
    `data.cache` memory does not grow with the data set.

    Attributes:
      classes: number of label classes, see `label_classes`.
    """

    def __init__(self, manifest, config, batch_size, seed, labels=False, flows=None):
        """Opens the data set; reads no volumes.

        Args:
          manifest: a Manifest.
          config: `ldr_tf.config.DataConfig`: which scans, and which of them are painted.
          batch_size: pairs per batch, over all shards.
          seed: 0 or more.
          labels: whether batches hold segmentations, as class numbers, see `label_classes`.
          flows: path of a store of teacher flows that has every pair of the subset, or None.

        Raises:
          InputError: an unknown or too small subset, a missing scan, a volume of another size or
            type, no segmentation to paint from, a store that lacks pairs, has another size or was
            made of other volumes.
        """
        self._manifest, self._config = manifest, config
        self._batch_size, self._seed = batch_size, seed
        self.classes = len(label_classes(manifest))
        self._reader = reader = VolumeReader(manifest, config.cache)
        self._pairs(0)
        keys = [key for name in manifest.scheme(config.subset) for key in manifest.subsets[name]]
        keys = keys if manifest.atlas is None else [manifest.atlas] + keys
        reader.check(keys)
        self._painted = {key for key in keys if self._is_painted(key)}
        self._labelled = {key for key in keys if reader.has_labels(key)} if labels else set()
        if labels and not self._labelled:
            raise InputError(
                f"{manifest.path}: no scan of {config.subset!r} has a segmentation to learn from."
            )
        reader.check_labels(self._painted | self._labelled)
        self._table = _class_table(manifest) if labels else None
        # Labels to paint do not fit one byte.
        self._kind = np.uint16 if self._painted else np.uint8
        self._store = None
        if flows is not None:
            self._store = _open_flows(flows, manifest, config, reader)

    @classmethod
    def of_run(cls, manifest, config):
        """Opens the data of a RunConfig."""
        return cls(
            manifest,
            config.data,
            config.optimisation.batch_size,
            config.optimisation.seed,
            labels=config.loss.label_weight > 0,
            flows=config.distillation.teacher_flows,
        )

    def pair_names(self, step):
        """Returns the keys of a step's pairs as text, fixed before moving."""
        return ", ".join(f"{fixed} {moving}" for fixed, moving in self._pairs(step))

    def batches(self, first_step=0, shard=(0, 1)):
        """Returns the batches, starting at a step.

        Args:
          first_step: step of the first batch.
          shard: (index, count); the dataset holds the index-th of `count` equal parts of every
            batch, so that `count` workers together see exactly what one would.

        Returns:
          tf.data.Dataset of {"fixed", "moving": uint8 [batch, x, y, z, 1], 0..255; "example": int64
          [batch], the pair's number in the training; with flows "teacher_flow": float16
          [batch, x, y, z, 3], voxels; with labels "fixed_labels", "moving_labels": uint16
          [batch, x, y, z, 1], 0 for values that are no class and scans without segmentation}, where
          batch is batch_size / count.

        Raises:
          InputError: the batch cannot be divided evenly.
        """
        part = _part(self._batch_size, shard)
        steps = tf.data.Dataset.range(first_step, np.iinfo(np.int64).max)
        load = functools.partial(self._load, part=part)
        return steps.map(load, num_parallel_calls=_READERS, deterministic=True).prefetch(
            _READ_AHEAD
        )

    def _pairs(self, step):
        config = self._config
        return training_pairs(
            self._manifest,
            config.subset,
            self._batch_size,
            self._seed,
            int(step),
            paired=config.paired,
        )

    def _is_painted(self, key):
        if self._config.images == "scans":
            return False
        return self._config.painted == "all" or self._reader.is_label_map(key)

    def _load(self, step, part):
        """Returns the pairs at the places `part`, a range, of a step's batch."""
        shape = (len(part), *self._manifest.image_size)

        def read(function, kinds, shapes):
            """Calls a method with the step's pairs, from a thread of the pipeline."""
            tensors = tf.numpy_function(
                lambda step: function(self._pairs(step)[part.start : part.stop]), [step], kinds
            )
            return [tf.ensure_shape(tensor, size) for tensor, size in zip(tensors, shapes)]

        sides = [(*shape, 1)] * 2
        fixed, moving = read(self._read_volumes, [self._kind] * 2, sides)
        example = step * self._batch_size + tf.range(part.start, part.stop, dtype=tf.int64)
        if self._painted or self._config.images == "synthetic_any":
            (which,) = read(self._which_are_painted, [tf.bool], [(len(part), 2)])
            fixed, moving = _paint(fixed, moving, which, self._config.images, self._seed, example)
        batch = {"fixed": fixed, "moving": moving, "example": example}
        if self._table is not None:
            labels = read(self._read_labels, [np.uint16] * 2, sides)
            batch["fixed_labels"], batch["moving_labels"] = labels
        if self._store is not None:
            (batch["teacher_flow"],) = read(self._read_flows, [tf.float16], [(*shape, 3)])
        return batch

    def _read_volumes(self, pairs):
        batch = _two_arrays((len(pairs), *self._manifest.image_size, 1), self._kind)
        for item, pair in enumerate(pairs):
            for side, key in enumerate(pair):
                self._read_into(key, batch[side][item, ..., 0])
        return batch

    def _read_into(self, key, array):
        if key in self._painted:
            self._reader.read_labels_into(key, array)
        elif array.dtype == np.uint8:
            self._reader.read_volume_into(key, array)
        else:
            volume = np.empty(array.shape, np.uint8)
            self._reader.read_volume_into(key, volume)
            array[...] = volume

    def _which_are_painted(self, pairs):
        return (np.array([[key in self._painted for key in pair] for pair in pairs]),)

    def _read_labels(self, pairs):
        batch = np.zeros((2, len(pairs), *self._manifest.image_size, 1), np.uint16)
        for item, pair in enumerate(pairs):
            for side, key in enumerate(pair):
                if key in self._labelled:
                    self._reader.read_labels_into(key, batch[side, item, ..., 0])
        return tuple(self._table[batch])

    def _read_flows(self, pairs):
        stored = [self._store.read(*map(scan_id, pair)) for pair in pairs]
        return (np.stack(stored).astype(np.float16),)


def _part(batch_size, shard):
    """Returns the places in a batch that belong to a shard, a range."""
    index, count = shard
    if not 0 <= index < count:
        raise ValueError(f"shard must be (index, count) with 0 <= index < count, not {shard}.")
    if batch_size % count:
        raise InputError(
            f"a batch of {batch_size} pairs cannot be divided evenly among {count} workers; "
            f"batch_size must be a multiple of {count}."
        )
    share = batch_size // count
    return range(index * share, (index + 1) * share)


def _two_arrays(shape, kind):
    """Returns two aligned arrays in one block of memory: large blocks come in large pages."""
    size = int(np.prod(shape)) * np.dtype(kind).itemsize
    stride = -(-size // _ALIGNMENT) * _ALIGNMENT
    room = np.empty(2 * stride + _ALIGNMENT, np.uint8)
    start = -room.ctypes.data % _ALIGNMENT
    starts = (start, start + stride)
    return [room[begin : begin + size].view(kind).reshape(shape) for begin in starts]


def _paint(fixed, moving, which, style, seed, example):
    """Paints those sides of a batch that are labels, each pair by its own number in the training.

    `which`, [batch, 2], tells which fixed and moving sides these are; the others are images, which
    get other contrasts where the style is any.
    """

    def paint(pair):
        given = (pair[0][..., 0], pair[1][..., 0])
        images = tf.cond(
            tf.reduce_any(pair[2]),
            lambda: synthetic.paint_pair(*given, style, seed, pair[3]),
            lambda: tuple(tf.cast(side, tf.uint8) for side in given),
        )
        scans = given
        if style == "synthetic_any":
            scans = tf.cond(
                tf.reduce_all(pair[2]),
                lambda: tuple(tf.zeros(side.shape, tf.uint8) for side in given),
                lambda: synthetic.recolour_pair(*given, seed, pair[3]),
            )
        chosen = [
            tf.where(pair[2][side], images[side], tf.cast(scans[side], tf.uint8))
            for side in range(2)
        ]
        return tuple(image[..., None] for image in chosen)

    sides = (fixed, moving, which, example)
    return tf.map_fn(paint, sides, fn_output_signature=(tf.uint8, tf.uint8))


def label_classes(manifest):
    """Returns the label values that are a data set's classes 1, 2, ..., in order.

    They are listed in `segmentation_class_value`; without it segmentations are masks of 0 and 255.
    """
    if manifest.segmentation_class_value is None:
        return (_MASK,)
    return tuple(sorted(set(manifest.segmentation_class_value.values()) - {0}))


def _class_table(manifest):
    """Returns every label value's class number, uint16; 0 for values that are no class."""
    table = np.zeros(synthetic.LARGEST_LABEL + 1, np.uint16)
    for number, value in enumerate(label_classes(manifest), 1):
        if not 0 <= value < len(table):
            raise InputError(
                f"{manifest.path}: segmentation_class_value must lie in 0..{len(table) - 1} for "
                f"labels to be learned from, not be {value}."
            )
        table[value] = number
    return table


def _open_flows(path, manifest, config, reader):
    store = FlowReader(path, manifest.allow_external)
    if tuple(store.about["image_size"]) != manifest.image_size:
        raise InputError(
            f"{path}: holds flows of {tuple(store.about['image_size'])}, the data set holds "
            f"{manifest.image_size}."
        )
    pairs = list_pairs(manifest, config.subset, config.paired)
    keys = {scan_id(key): key for pair in pairs for key in pair}
    ids = [tuple(map(scan_id, pair)) for pair in pairs]
    store.check(ids, digest=lambda name: reader.digest(keys[name]))
    return store
