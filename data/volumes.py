"""Scans in HDF5 files: one group a scan, with `volume` and optionally `segmentation`, `point`."""

import dataclasses
import hashlib
import os
import threading
from typing import Optional

import h5py
import numpy as np

from data.manifest import scan_id
from ldr_tf.errors import InputError

_PLANES = slice(7, None, 16)
_PLACES = 4096
"""Scans whose place in the file is remembered."""


@dataclasses.dataclass(frozen=True)
class Scan:
    """One scan on the data set's grid.

    Attributes:
      id: the key with "/" as "_".
      volume: uint8 [x, y, z], intensities 0..255.
      segmentation: integers [x, y, z]: 0/255 or label values; None without one.
      point: float32 [n, 3], landmarks in voxels, negative = absent; None without any.
    """

    id: str
    volume: np.ndarray
    segmentation: Optional[np.ndarray] = None
    point: Optional[np.ndarray] = None


class VolumeReader:
    """Reads scans by key; opens each HDF5 file at its first use and keeps it open.

    Only what is asked for is in memory, unless `cache` keeps all that was read. Safe to use from
    several threads. A context manager; or call `close`.
    """

    def __init__(self, manifest, cache=False):
        self._manifest = manifest
        self._open = {}
        self._raw = {}
        self._lock = threading.Lock()
        self._kept = {} if cache else None
        self._places = {}

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def close(self):
        """Closes the files."""
        with self._lock:
            for file in self._open.values():
                file.close()
            self._open.clear()
            for file in self._raw.values():
                file.close()
            self._raw.clear()
            self._places.clear()

    def check(self, keys):
        """Looks at the headers of the scans `keys`, without reading voxels.

        Raises:
          InputError: as `read` does, but for damage inside the voxel data.
        """
        for key in keys:
            self._volume(key)

    def read_volume(self, key):
        """Returns the volume of one scan alone, uint8 [x, y, z]; raises InputError as `read`."""
        return self._load(self._volume(key), key)

    def digest(self, key):
        """Returns the SHA-256, hexadecimal, of every 16th x-plane of a volume: which scan it is."""
        planes = self._volume(key)[_PLANES]
        return hashlib.sha256(np.ascontiguousarray(planes)).hexdigest()

    def read_volume_into(self, key, array):
        """Reads a volume into a contiguous array uint8 [x, y, z]; raises InputError as `read`.

        Plainly stored volumes are read from the file itself, past HDF5 and its lock, so that
        several threads read at once.
        """
        self._fill(key, "volume", array)

    def read_labels_into(self, key, array):
        """Reads a segmentation into a contiguous array uint16 [x, y, z].

        Raises:
          InputError: as `read`; there is none, or it holds values outside 0..65535.
        """
        self._fill(key, "segmentation", array)

    def has_labels(self, key):
        """Returns whether a scan has a segmentation."""
        return "segmentation" in self._group(key)

    def is_label_map(self, key):
        """Returns whether there are only labels, of which the volume is but a picture."""
        return bool(self._group(key).attrs.get("painted", False))

    def check_labels(self, keys):
        """Looks at the headers of the segmentations of `keys`, which must all be there.

        Raises:
          InputError: a scan has none, or one of another size.
        """
        for key in keys:
            group = self._group(key)
            if "segmentation" not in group:
                raise InputError(
                    f"{self._where(key)}: has no segmentation from which an image can be painted."
                )
            self._check_size(group["segmentation"], "segmentation", key)

    def _fill(self, key, field, array):
        if self._kept is not None:
            if (key, field) not in self._kept:
                kept = np.empty_like(array)
                self._read_into(key, field, kept)
                self._kept[key, field] = kept
            array[...] = self._kept[key, field]
        else:
            self._read_into(key, field, array)

    def _read_into(self, key, field, array):
        if field == "segmentation":
            labels = self._segmentation(self._group(key), key)
            if labels.min() < 0 or labels.max() > np.iinfo(array.dtype).max:
                raise InputError(
                    f"{self._where(key)}: labels must lie in 0..{np.iinfo(array.dtype).max} to be "
                    f"painted, not in {labels.min()}..{labels.max()}."
                )
            array[...] = labels
            return
        file, offset = self._place(key)
        if offset is None:
            array[...] = self._load(self._volume(key), key)
        elif os.preadv(file.fileno(), [array], offset) != array.nbytes:
            raise InputError(f"{self._where(key)} cannot be read (the file is too short).")

    def _place(self, key):
        """Returns (file, offset of the volume in it), or (None, None) where it is not plain."""
        place = self._places.get(key)
        if place is None:
            if len(self._places) >= _PLACES:
                self._places.clear()
            place = self._places[key] = self._find(key)
        return place

    def _find(self, key):
        volume = self._volume(key)
        offset = volume.id.get_offset()
        if offset is None:  # chunked, packed, or in another file
            return None, None
        name, _ = self._manifest.locate(key)
        with self._lock:
            if name not in self._raw:
                self._raw[name] = open(  # noqa: SIM115 (closed by `close`)
                    volume.file.filename, "rb", buffering=0
                )
            return self._raw[name], offset + volume.file.userblock_size

    def read(self, key):
        """Reads one scan with all it has.

        Raises:
          InputError: the file is missing, truncated or no HDF5, it lacks the key or its volume,
            or volume, segmentation or point is of another size or type than the form wants.
        """
        group = self._group(key)
        return Scan(
            id=scan_id(key),
            volume=self.read_volume(key),
            segmentation=self._segmentation(group, key) if "segmentation" in group else None,
            point=self._point(group, key) if "point" in group else None,
        )

    def _file(self, name):
        with self._lock:
            if name not in self._open:
                path = self._manifest.file_path(name)
                try:
                    self._open[name] = h5py.File(path, "r")
                except OSError as error:
                    raise InputError(f"{path}: cannot be read as HDF5 ({error}).") from error
            return self._open[name]

    def _group(self, key):
        name, inside = self._manifest.locate(key)
        file = self._file(name)
        group = file.get(inside)
        if not isinstance(group, h5py.Group):
            raise InputError(f"{file.filename}: has no scan {inside!r} (key {key!r}).")
        return group

    def _where(self, key):
        return f"{self._manifest.path}: scan {key!r}"

    def _volume(self, key):
        volume = self._group(key).get("volume")
        if not isinstance(volume, h5py.Dataset):
            raise InputError(f"{self._where(key)} has no data set 'volume'.")
        if volume.dtype != np.uint8:
            raise InputError(f"{self._where(key)}: volume must be uint8, not {volume.dtype}.")
        self._check_size(volume, "volume", key)
        return volume

    def _check_size(self, dataset, field, key):
        size = self._manifest.image_size
        if dataset.shape != size:
            raise InputError(
                f"{self._where(key)}: {field} must have image_size {size}, not {dataset.shape}."
            )

    def _load(self, dataset, key):
        try:
            return dataset[()]
        except OSError as error:
            raise InputError(f"{self._where(key)} cannot be read ({error}).") from error

    def _segmentation(self, group, key):
        self._check_size(group["segmentation"], "segmentation", key)
        labels = self._load(group["segmentation"], key)
        if labels.dtype.kind == "f" and np.array_equal(labels, np.rint(labels)):
            labels = labels.astype(np.int32)
        if labels.dtype.kind not in "iub":
            raise InputError(
                f"{self._where(key)}: segmentation must hold whole numbers, not {labels.dtype}."
            )
        return labels

    def _point(self, group, key):
        point = np.asarray(self._load(group["point"], key))
        if point.ndim != 2 or point.shape[1] != 3 or point.dtype.kind not in "fiu":
            raise InputError(
                f"{self._where(key)}: point must be numbers of shape (n, 3), not {point.shape}."
            )
        return point.astype(np.float32)


def write_scan(file, key, volume, segmentation=None, point=None, attributes=None):
    """Writes one scan as the group `key` of an open HDF5 file.

    Volumes are stored plain: training reads them again and again, and noise hardly compresses.

    Args:
      file: h5py.File open for writing.
      key: the group's name, without the file's prefix.
      volume: uint8 [x, y, z].
      segmentation: integers [x, y, z].
      point: [n, 3] voxels.
      attributes: name -> value, kept as attributes of the group.
    """
    if volume.dtype != np.uint8:
        raise ValueError(f"volume must be uint8, not {volume.dtype}.")
    group = file.create_group(key)
    group.create_dataset("volume", data=volume)
    if segmentation is not None:
        group.create_dataset("segmentation", data=segmentation, compression="gzip", chunks=True)
    if point is not None:
        group.create_dataset("point", data=np.asarray(point, np.float32))
    for name, value in (attributes or {}).items():
        group.attrs[name] = value
