"""Pairs of a data set as arrays: what an evaluation and a training's validation measure."""

import functools

from data.volumes import VolumeReader
from ldr_tf.evaluation import VolumePair


def evaluation_pairs(manifest, pairs):
    """Returns an iterator over pairs as `ldr_tf.evaluation.VolumePair`, in order.

    Args:
      manifest: a Manifest.
      pairs: [(fixed key, moving key)], see `data.pairs.list_pairs` and `spread_pairs`.

    Raises:
      InputError: immediately, for a missing scan or a volume of another size or type; while
        iterating, for a bad segmentation or point.
    """
    reader = VolumeReader(manifest)
    reader.check(dict.fromkeys(key for pair in pairs for key in pair))
    # Successive pairs often share the fixed scan.
    read = functools.lru_cache(maxsize=2)(reader.read)

    def iterate():
        with reader:
            for fixed_key, moving_key in pairs:
                yield volume_pair(read(fixed_key), read(moving_key))

    return iterate()


def volume_pair(fixed, moving, **known):
    """Returns two scans of a data set, see `data.volumes.VolumeReader.read`, as a VolumePair.

    Args:
      fixed, moving: the scans.
      **known: other fields of the VolumePair, such as `spacing`.
    """
    return VolumePair(
        fixed_id=fixed.id,
        moving_id=moving.id,
        fixed=fixed.volume,
        moving=moving.volume,
        fixed_labels=fixed.segmentation,
        moving_labels=moving.segmentation,
        fixed_points=fixed.point,
        moving_points=moving.point,
        **known,
    )
