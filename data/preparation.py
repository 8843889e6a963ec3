"""Scans as they come from a scanner or a study, brought to HDF5 and JSON in RCN's form.

Each scan goes through ldr_tf.imaging, as in registration, so that training and use see the same.
"""

import dataclasses
import os
from typing import Optional

import h5py
import numpy as np

from data.manifest import write_manifest
from data.volumes import write_scan
from ldr_tf import files, imaging
from ldr_tf.errors import InputError

VOLUMES_NAME = "volumes.h5"
JSON_NAME = "dataset.json"
SCHEMES = {"1": "train", "2": "validation"}
"""Schemes of a prepared data set: scheme -> the subset it takes whole, where there is one."""


@dataclasses.dataclass(frozen=True)
class Prepared:
    """A scan on the data set's grid: uint8 [x, y, z], integers [x, y, z] or None, attributes."""

    volume: np.ndarray
    labels: Optional[np.ndarray]
    attributes: dict


def prepare_scan(source, size, image_config):
    """Brings one scan and its labels to the grid.

    Args:
      source: a Source.
      size: voxels along x, y, z.
      image_config: an ImageConfig.

    Returns:
      a Prepared. Its attributes say where grid and source lie (mm, LPS): spacing, origin,
      direction, source_size, source_spacing, source_origin, source_direction, source.

    Raises:
      InputError: as ldr_tf.imaging's reading; labels on another grid than the scan.
    """
    image = imaging.read_scan(source.image)
    grid = imaging.network_grid(image, image_config, size)
    volume = imaging.prepare_image(image, grid, image_config).astype(np.uint8)
    labels = None
    if source.labels is not None:
        label_image = imaging.read_labels(source.labels)
        if not imaging.same_grid(image, label_image):
            raise InputError(f"{source.labels}: lies on another grid than {source.image}.")
        labels = _smallest_type(
            imaging.to_array(imaging.resample(label_image, grid, "nearest")), source.labels
        )
    attributes = {"source": os.path.basename(os.path.normpath(source.image))}
    for prefix, where in (("", grid), ("source_", imaging.grid_of(image))):
        for field in ("size", "spacing", "origin", "direction"):
            attributes[prefix + field] = getattr(where, field)
    return Prepared(volume, labels, attributes)


def prepare_dataset(sources, output, size, image_config):
    """Prepares scans one after another into output/volumes.h5 and output/dataset.json.

    A generator, so that the caller shows progress: yields (source, None) after each scan that
    went well and (source, sentence) for each that did not and was left out. The files appear
    when it has run to its end; nothing is written where no scan went well.

    Args:
      sources: list of Source.
      output: folder, made when missing.
      size: voxels along x, y, z.
      image_config: an ImageConfig; recorded in the JSON.

    Raises:
      InputError: the folder cannot be made; no scan went well.
    """
    try:
        os.makedirs(output, exist_ok=True)
    except OSError as error:
        raise InputError(f"{output}: this folder cannot be made ({error.strerror}).") from error
    subsets, values = {}, set()
    path = os.path.join(output, VOLUMES_NAME)
    with files.atomic_path(path) as temporary:
        with h5py.File(temporary, "w") as file:
            for source in sources:
                try:
                    scan = prepare_scan(source, size, image_config)
                except InputError as error:
                    yield source, str(error)
                    continue
                write_scan(file, source.name, scan.volume, scan.labels, None, scan.attributes)
                subsets.setdefault(source.subset, []).append(f"volumes/{source.name}")
                if scan.labels is not None:
                    values.update(np.unique(scan.labels).tolist())
                yield source, None
        if not subsets:
            raise InputError(f"{output}: no scan could be prepared, so nothing is written.")
    write_manifest(
        os.path.join(output, JSON_NAME),
        {"volumes": VOLUMES_NAME},
        subsets,
        {scheme: {name: 1.0} for scheme, name in SCHEMES.items() if name in subsets},
        size,
        image=image_config,
        task="registration",
        segmentation_class_value={str(v): v for v in sorted(values - {0})} or None,
    )


def _smallest_type(labels, path):
    """Returns labels as uint8 or uint16 where they fit, as int32 otherwise."""
    low, high = int(labels.min()), int(labels.max())
    for kind in (np.uint8, np.uint16, np.int32):
        if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max:
            return labels.astype(kind)
    raise InputError(f"{path}: labels must fit 32 bits, not lie in {low}..{high}.")
