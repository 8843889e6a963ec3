"""Which pairs a training sees."""

import dataclasses

from ldr_tf.records import Record, setting

IMAGES = ("scans", "synthetic", "synthetic_t1", "synthetic_any")
PAINTED = ("all", "label_maps")


@dataclasses.dataclass(frozen=True)
class DataConfig(Record):
    """Which pairs a training sees, and which ones judge it."""

    PREFIX = "data."

    dataset: str = setting("", "the JSON manifest of the data set, as given")
    subset: str = setting("1", "the scheme or subset to train on")
    validation: str = setting(
        "2", "the scheme or subset to validate on; empty for none", changeable=True
    )
    validation_pairs: int = setting(
        20, "validation pairs, spread evenly over its scans", least=1, changeable=True
    )
    images: str = setting(
        "scans",
        "scans: the data set's volumes; synthetic: images painted from its segmentations; "
        "synthetic_t1: the same, looking like T1; synthetic_any: each image of a pair in a random "
        "contrast of its own, scans that are not painted included, for losses of labels alone",
        choices=IMAGES,
    )
    painted: str = setting(
        "all",
        "which scans are painted: all, or label_maps, those that have no image, so that real and "
        "painted images train together",
        choices=PAINTED,
    )
    paired: bool = setting(
        False, "whether to pair only disjoint neighbours in the data set, not every two scans"
    )
    cache: bool = setting(False, "whether to keep scans in memory once read", changeable=True)
    allow_external: bool = setting(
        False,
        "whether the HDF5 files of the data set and of teacher_flows may refer to other files, by "
        "external links or external storage",
        changeable=True,
    )
