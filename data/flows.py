"""The teacher flow store: one HDF5 file, one data set a pair, half precision.

The data set `fixed id/moving id` holds a flow, float16 [x, y, z, 3], voxels, chunked and packed;
half precision is exact to 0.008 voxel up to 32 voxels. Attributes of the file say what made it,
those of a data set which volumes it is a flow of (digests, see `VolumeReader.digest`).

While a store is being made, each pair is a file of its own in the folder `STORE.partial`, renamed
when it is whole: whatever stops the writer, what is there can be read, and the next call goes on.
"""

import contextlib
import hashlib
import json
import os
import re
import urllib.parse

import h5py
import numpy as np

from data.hdf5 import check_space, small_file
from ldr_tf import hdf5
from ldr_tf.errors import InputError
from ldr_tf.files import atomic_path, only_writer, read_json, remove_folder_of, write_json
from ldr_tf.json_text import parse_json

_FORMAT = 1
_ABOUT = "about.json"
_SHOWN = 5
_LONGEST_SIDE = 4096
_LONGEST_NAMES, _LONGEST_START = 220, 100
_PART = re.compile(r".+%%.+\.h5")
_DIGESTS = ("fixed_sha256", "moving_sha256")


class FlowWriter:
    """Makes a store pair by pair; a context manager that finishes it unless it was interrupted."""

    def __init__(self, path, size, about):
        """Starts, or goes on with, the store `path`.

        Args:
          path: the HDF5 file to make.
          size: voxels along x, y, z.
          about: what makes the flows, a dictionary of words and numbers.

        Raises:
          InputError: the store is there already, was begun with something else, or is being made
            by another process.
        """
        self._path, self._size = os.fspath(path), tuple(size)
        self._folder = self._path + ".partial"
        self._about = {"format": _FORMAT, "image_size": list(self._size), **about}
        self._check_absent()
        try:
            os.makedirs(self._folder, exist_ok=True)
        except OSError as error:
            raise InputError(f"{self._folder}: cannot be made ({error.strerror}).") from error
        with contextlib.ExitStack() as lock:
            lock.enter_context(only_writer(self._folder))
            self._check_absent()  # another process may have finished it meanwhile
            begun = os.path.join(self._folder, _ABOUT)
            if not os.path.exists(begun):
                write_json(begun, self._about)
            elif read_json(begun) != self._about:
                raise InputError(
                    f"{self._folder}: was begun with another teacher, data set or refinement; "
                    "delete it or write elsewhere."
                )
            self._lock = lock.pop_all()

    def _check_absent(self):
        if os.path.lexists(self._path):
            raise InputError(f"{self._path}: exists already.")

    def __enter__(self):
        return self

    def __exit__(self, exception, *_):
        with self._lock:
            if exception is None:
                self._finish()

    def has(self, fixed_id, moving_id):
        """Tells whether the pair's flow is written already."""
        return os.path.exists(self._part(fixed_id, moving_id))

    def write(self, fixed_id, moving_id, flow, digests=("", "")):
        """Writes a pair's flow, [x, y, z, 3] in voxels, and the digests of its two volumes.

        Raises:
          InputError: another size, or numbers that are not finite.
        """
        with np.errstate(over="ignore"):  # what half precision cannot hold is refused below
            flow = np.asarray(flow, np.float16)
        if flow.shape != (*self._size, 3):
            raise InputError(
                f"flow of {fixed_id}, {moving_id}: must be {(*self._size, 3)}, not {flow.shape}."
            )
        if not np.isfinite(flow).all():
            raise InputError(f"flow of {fixed_id}, {moving_id}: must be finite numbers.")
        part = self._part(fixed_id, moving_id)
        with small_file(part) as file:
            chunks = (min(16, flow.shape[0]), *flow.shape[1:])
            stored = file.create_dataset(
                "flow", data=flow, chunks=chunks, compression="lzf", shuffle=True
            )
            for name, digest in zip(_DIGESTS, digests):
                stored.attrs[name] = digest
            file.attrs["fixed"], file.attrs["moving"] = fixed_id, moving_id

    def discard(self):
        """Deletes what was written; a file that is not the writer's stays, with its folder."""
        remove_folder_of(self._folder, [*self._parts(), _ABOUT, ".lock"])

    def _parts(self):
        return sorted(name for name in os.listdir(self._folder) if _PART.fullmatch(name))

    def _part(self, fixed_id, moving_id):
        # Quoted names hold no "%%", so no two pairs share a file.
        names = [urllib.parse.quote(name, safe="") for name in (fixed_id, moving_id)]
        if sum(map(len, names)) > _LONGEST_NAMES:
            joined = "/".join((fixed_id, moving_id)).encode()
            names = [names[0][:_LONGEST_START], hashlib.sha256(joined).hexdigest()]
        return os.path.join(self._folder, "%%".join(names) + ".h5")

    def _finish(self):
        parts = [os.path.join(self._folder, name) for name in self._parts()]
        check_space(self._path, sum(map(os.path.getsize, parts)))
        with atomic_path(self._path) as temporary, h5py.File(temporary, "w") as store:
            store.attrs["about"] = json.dumps(self._about)
            for path in parts:
                with hdf5.open_file(path) as part, hdf5.damage_named(path):
                    group = store.require_group(part.attrs["fixed"])
                    part.copy("flow", group, part.attrs["moving"])
        self.discard()


class FlowReader:
    """Reads flows of a store by pair; a context manager.

    Attributes:
      about: what made the store, as given to the writer, with "image_size".
    """

    def __init__(self, path, allow_external=False):
        """Opens a store.

        Args:
          path: the HDF5 file.
          allow_external: whether its links and values may lead to other files.

        Raises:
          InputError: the file is none, or of another format.
        """
        self._path, self._allow_external = os.fspath(path), allow_external
        with contextlib.ExitStack() as opened:
            self._file = opened.enter_context(hdf5.open_file(self._path))
            self.about = self._read_about()
            opened.pop_all()
        self._shape = (*self.about["image_size"], 3)

    def _read_about(self):
        text = hdf5.attribute(self._file, "about", self._path)
        about = parse_json(text, self._path) if isinstance(text, str) else None
        size = about.get("image_size") if isinstance(about, dict) else None
        fits = isinstance(size, list) and len(size) == 3 and about.get("format") == _FORMAT
        if not fits or not all(type(n) is int and 0 < n <= _LONGEST_SIDE for n in size):
            raise InputError(f"{self._path}: is no store of teacher flows of format {_FORMAT}.")
        return about

    def _find(self, pair):
        name = f"{self._path}: the flow of {', '.join(pair)}"
        return hdf5.find(self._file, "/".join(pair), name, self._allow_external)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._file.close()

    def check(self, pairs, digest=None):
        """Refuses a store that does not belong to the pairs [(fixed id, moving id), ...].

        Args:
          pairs: list of pairs of ids.
          digest: callable that gives the digest of a scan's volume by its id, or None. Each scan
            is looked at once, where the store has digests.

        Raises:
          InputError: it lacks some of the pairs, or was made of other volumes of these names.
        """
        lacking = [pair for pair in pairs if self._find(pair) is None]
        if lacking:
            names = ", ".join(f"{fixed} {moving}" for fixed, moving in lacking[:_SHOWN])
            more = " ..." if len(lacking) > _SHOWN else ""
            raise InputError(f"{self._path}: lacks {len(lacking)} pairs ({names}{more}).")
        if digest is not None:
            self._check_digests(pairs, digest)

    def _check_digests(self, pairs, digest):
        seen = set()
        for pair in pairs:
            for name, scan in zip(_DIGESTS, pair):
                if scan in seen:
                    continue
                seen.add(scan)
                stored = hdf5.attribute(self._find(pair), name, self._path)
                if isinstance(stored, str) and stored and stored != digest(scan):
                    raise InputError(
                        f"{self._path}: was made of another volume called {scan}; the store does "
                        "not match the data set."
                    )

    def read(self, fixed_id, moving_id):
        """Returns a pair's flow, float32 [x, y, z, 3], voxels.

        Raises:
          InputError: it is lacking, damaged, of another size than the store's, or not finite.
        """
        self.check([(fixed_id, moving_id)])
        name = f"{self._path}: the flow of {fixed_id}, {moving_id}"
        inside = f"{fixed_id}/{moving_id}"
        dataset = hdf5.dataset(self._file, inside, name, self._allow_external)
        if dataset.shape != self._shape or dataset.dtype.kind != "f":
            raise InputError(f"{name} must be floats of size {self._shape}.")
        with np.errstate(over="ignore"):
            flow = hdf5.read(dataset, name).astype(np.float32)
        if not np.isfinite(flow).all():
            raise InputError(f"{name} must be finite numbers.")
        return flow
