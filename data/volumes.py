"""Scans in HDF5 files: one group a scan, with `volume` and optionally `segmentation`, `point`."""

import dataclasses
import hashlib
import os
import threading
from typing import Optional

import h5py
import numpy as np

from data.manifest import scan_id
from data.values import check_points_shape, finite_points, whole_labels
from ldr_tf import hdf5
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
        """Opens nothing yet.

        Args:
          manifest: a Manifest.
          cache: whether all that was read stays in memory.
        """
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
        return self._has(self._group(key), "segmentation", key)

    def is_label_map(self, key):
        """Returns whether there are only labels, of which the volume is but a picture."""
        painted = hdf5.attribute(self._group(key), "painted", self._where(key), False)
        return bool(np.any(painted))

    def check_labels(self, keys):
        """Looks at the headers of the segmentations of `keys`, which must all be there.

        Raises:
          InputError: a scan has none, or one of another size.
        """
        for key in keys:
            group = self._group(key)
            if not self._has(group, "segmentation", key):
                raise InputError(
                    f"{self._where(key)}: has no segmentation from which an image can be painted."
                )
            self._sized(group, "segmentation", key)

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
        elif self._raw_bytes(file, array, offset) != array.nbytes:
            raise InputError(f"{self._where(key)} cannot be read (the file is too short).")

    @staticmethod
    def _raw_bytes(file, array, offset):
        try:
            return os.preadv(file.fileno(), [array], offset)
        except (OSError, OverflowError):  # an offset that is none
            return -1

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
        with hdf5.damage_named(self._where(key)):
            offset, name = volume.id.get_offset(), volume.file.filename
            # None: chunked, packed, or in another file.
            if offset is None or volume.id.get_storage_size() != volume.nbytes:
                return None, None
            offset += volume.file.userblock_size
        with self._lock:
            if name not in self._raw:
                self._raw[name] = open(name, "rb", buffering=0)  # noqa: SIM115 (see `close`)
            return self._raw[name], offset

    def read(self, key):
        """Reads one scan with all it has.

        Raises:
          InputError: the file is missing, truncated or no HDF5, it lacks the key or its volume,
            volume, segmentation or point is of another size or type than the form wants, or one of
            them leads out of the file and the manifest does not allow it.
        """
        group = self._group(key)
        return Scan(
            id=scan_id(key),
            volume=self.read_volume(key),
            segmentation=self._segmentation(group, key)
            if self._has(group, "segmentation", key)
            else None,
            point=self._point(group, key) if self._has(group, "point", key) else None,
        )

    def _file(self, name):
        with self._lock:
            if name not in self._open:
                self._open[name] = hdf5.open_file(self._manifest.file_path(name))
            return self._open[name]

    def _group(self, key):
        name, inside = self._manifest.locate(key)
        file = self._file(name)
        group = hdf5.find(file, inside, self._where(key), self._manifest.allow_external)
        if not isinstance(group, h5py.Group):
            raise InputError(f"{file.filename}: has no scan {inside!r} (key {key!r}).")
        return group

    def _where(self, key):
        return f"{self._manifest.path}: scan {key!r}"

    def _has(self, group, field, key):
        with hdf5.damage_named(self._where(key)):
            return group.get(field, getlink=True) is not None

    def _dataset(self, group, field, key):
        return hdf5.dataset(
            group, field, f"{self._where(key)}: {field}", self._manifest.allow_external
        )

    def _sized(self, group, field, key):
        """Returns the data set `field`, which has the manifest's size."""
        found, size = self._dataset(group, field, key), self._manifest.image_size
        if found.shape != size:
            raise InputError(
                f"{self._where(key)}: {field} must have image_size {size}, not {found.shape}."
            )
        return found

    def _volume(self, key):
        group = self._group(key)
        if not self._has(group, "volume", key):
            raise InputError(f"{self._where(key)} has no data set 'volume'.")
        volume = self._sized(group, "volume", key)
        if volume.dtype != np.uint8:
            raise InputError(f"{self._where(key)}: volume must be uint8, not {volume.dtype}.")
        return volume

    def _load(self, dataset, key):
        return hdf5.read(dataset, self._where(key))

    def _segmentation(self, group, key):
        labels = self._load(self._sized(group, "segmentation", key), key)
        return whole_labels(labels, f"{self._where(key)}: segmentation")

    def _point(self, group, key):
        found, name = self._dataset(group, "point", key), f"{self._where(key)}: point"
        check_points_shape(found, name)
        return finite_points(self._load(found, key), name)


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
