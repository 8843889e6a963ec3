"""A data set from many scans: several processes, resumable, one bad scan beside good ones.

Each scan is prepared into a file of its own in OUTPUT/.parts, renamed when it is whole; at the end
all become one HDF5 file. Whatever stops the work, the same call goes on, and a call on a finished
data set prepares only what has changed. Scans are read in processes of their own: one that crashes
the reader is named, and the rest goes on.
"""

import contextlib
import dataclasses
import functools
import hashlib
import json
import os
import time
import urllib.parse
from typing import Optional

import h5py
import numpy as np
import SimpleITK as sitk

from data.hdf5 import check_space, small_file
from data.manifest import manifest_content
from data.preparation import fingerprint, prepare_scan
from data.volumes import write_scan
from ldr_tf import files, hdf5
from ldr_tf.errors import InputError
from ldr_tf.json_text import json_of, parse_json
from ldr_tf.notices import Notice
from ldr_tf.workers import FAILURES, Crash, results

VOLUMES_NAME = "volumes.h5"
JSON_NAME = "dataset.json"
SCHEMES = {"1": "train", "2": "validation"}
"""Schemes of a prepared data set: scheme -> the subset it takes whole, where there is one."""

_PARTS = ".parts"
_FINGERPRINT = "fingerprint"
_POINTS = "points"
_POINT_NAMES = "point_names"
_JSON_DIGESTS = "dataset_json_sha256"
"""Attribute of the file: digests of the JSON that belongs to it, and of the one it replaced."""
_LOCK = ".lock"
_LONGEST_NAME = 200


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of a scan.

    Attributes:
      source: the Source.
      problem: one sentence; None where all went well.
      seconds: that it took; 0 where an earlier call had done it.
      notices: what its reading had to decide or assume, each a `ldr_tf.notices.Notice`; none where
        an earlier call had done it.
    """

    source: object
    problem: Optional[str]
    seconds: float
    notices: tuple = ()


one_process = functools.partial(results, workers=1)


def assemble(sources, output, settings, structures=None, share=one_process):
    """Prepares scans into output/volumes.h5 and output/dataset.json.

    A generator, so that the caller shows progress: yields an Outcome for each source, in order.
    The files appear when it has run to its end; they stay as they were where no scan went well.

    Args:
      sources: list of Source.
      output: folder, made when missing.
      settings: `data.preparation.Settings`.
      structures: name -> label value of the structures that Dice is measured over; None: all label
        values that are found.

    Raises:
      InputError: the folder cannot be made or written, or another process writes there; it holds
        files of these names that are not from here or were changed since; no scan went well.
    """
    names = [source.name for source in sources]
    parts = os.path.join(output, _PARTS)
    try:
        os.makedirs(parts, exist_ok=True)
    except OSError as error:
        raise InputError(f"{output}: this folder cannot be made ({error.strerror}).") from error
    with files.only_writer(parts, _LOCK):
        check_foreign(output)
        prints = {source.name: fingerprint(source, settings) for source in sources}
        finished = _finished(os.path.join(output, VOLUMES_NAME), prints)
        own = [os.path.basename(_part(parts, name)) for name in names] + [_LOCK]
        good = []
        for outcome in _outcomes(sources, settings, parts, prints, finished, share):
            if outcome.problem is None:
                good.append(outcome.source)
            yield outcome
        if not good:
            files.remove_folder_of(parts, own)
            raise InputError(f"{output}: no scan could be prepared, so nothing is written.")
        _merge(good, output, parts, finished, settings, structures)
        files.remove_folder_of(parts, own)


def check_foreign(output):
    """Refuses, with InputError, a folder in which a prepared data set would replace other files.

    That is: an HDF5 file or a JSON of the same name that was not prepared here, or a JSON that was
    changed since.
    """
    volumes, path = (os.path.join(output, name) for name in (VOLUMES_NAME, JSON_NAME))
    digests = None
    if os.path.lexists(volumes):
        try:
            with hdf5.open_file(volumes) as file:
                ours = hdf5.attribute(file, _POINT_NAMES, volumes) is not None
                digests = hdf5.attribute(file, _JSON_DIGESTS, volumes)
        except InputError:
            ours = False
        if not ours:
            raise InputError(f"{volumes}: is there, but was not prepared here; move it away.")
    if not os.path.lexists(path) or (os.path.lexists(volumes) and digests is None):
        return  # None: prepared by an earlier version
    if digests is None or _digest(files.read_bytes(path)) not in np.ravel(digests).tolist():
        raise InputError(
            f"{path}: was changed since it was prepared, or not prepared here; move it away to "
            "have it written anew."
        )


def _digest(content):
    return hashlib.sha256(content).hexdigest()


def _finished(path, prints):
    """Returns the names of scans that a finished file holds as they would be made again."""
    found = set()
    if not os.path.isfile(path):
        return found
    with hdf5.open_file(path) as file:
        for name, digest in prints.items():
            with contextlib.suppress(InputError):
                if _print_of(hdf5.find(file, name, path), path) == digest:
                    found.add(name)
    return found


def _print_of(group, path):
    """Returns the fingerprint of a scan's group, None where it has none."""
    if not isinstance(group, h5py.Group):
        return None
    digest = hdf5.attribute(group, _FINGERPRINT, path)
    return digest if isinstance(digest, str) else None


def _outcomes(sources, settings, parts, prints, finished, share):
    """Yields an Outcome for each source, in order, whatever the order in which they finish."""
    jobs, places, done = [], {}, {}
    for source in sources:
        path, digest = _part(parts, source.name), prints[source.name]
        if source.name not in finished and not _is_whole(path, digest):
            places[source.name] = len(jobs)
            jobs.append((source, settings, path, digest))
    with contextlib.closing(share(_make_part, jobs)) as running:
        for source in sources:
            place = places.get(source.name)
            while place is not None and place not in done:
                index, result = next(running)
                done[index] = result
            result = (None, 0.0, ()) if place is None else done.pop(place)
            if isinstance(result, Crash):
                words = f"reading it ended its process: {result.reason}"
                result = f"{source.path}: cannot be prepared ({words}).", 0.0, ()
            yield Outcome(source, *result)


def _part(parts, name):
    quoted = urllib.parse.quote(name, safe="")
    if len(quoted) > _LONGEST_NAME:
        quoted = hashlib.sha256(name.encode()).hexdigest()
    return os.path.join(parts, quoted + ".h5")


def _is_whole(path, digest):
    if not os.path.isfile(path):
        return False
    try:
        with hdf5.open_file(path) as file:
            return _print_of(hdf5.find(file, "scan", path), path) == digest
    except InputError:
        return False


def _make_part(source, settings, path, digest):
    """Prepares one scan into its file; returns (problem or None, seconds, notices).

    Raises:
      InputError: the file cannot be written; nothing could be, then.
    """
    # The processes share the cores; SimpleITK's threads on top of them would be too many.
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    start = time.perf_counter()
    try:
        scan = prepare_scan(source, settings)
    except InputError as error:
        return str(error), time.perf_counter() - start, ()
    except FAILURES as error:  # anything else ends the process and is told as that
        words = str(error).splitlines() or [type(error).__name__]
        problem = f"{source.path}: cannot be prepared ({words[-1]})."
        return problem, time.perf_counter() - start, ()
    attributes = {
        **scan.attributes,
        _FINGERPRINT: digest,
        _POINTS: json.dumps({name: list(place) for name, place in scan.points.items()}),
    }
    with small_file(path) as file:
        write_scan(file, "scan", scan.volume, scan.labels, None, attributes)
    notices = tuple(
        Notice(**notice) for notice in parse_json(scan.attributes["notices"], source.path)
    )
    return None, time.perf_counter() - start, notices


def _merge(good, output, parts, finished, settings, structures):
    """Writes the HDF5 file and the JSON."""
    values, points = set(), {}
    path, json_path = (os.path.join(output, name) for name in (VOLUMES_NAME, JSON_NAME))
    fresh = [_part(parts, source.name) for source in good if source.name not in finished]
    kept = os.path.getsize(path) if finished else 0
    check_space(path, kept + sum(map(os.path.getsize, fresh)))
    with contextlib.ExitStack() as stack:
        temporary = stack.enter_context(files.atomic_path(path))
        stack.enter_context(hdf5.damage_named(path))
        file = stack.enter_context(h5py.File(temporary, "w"))
        earlier = stack.enter_context(hdf5.open_file(path)) if finished else None
        for source in good:
            if source.name in finished:
                earlier.copy(source.name, file)
            else:
                with hdf5.open_file(_part(parts, source.name)) as part:
                    part.copy("scan", file, source.name)
            group = file[source.name]
            if "segmentation" in group:
                values.update(np.unique(group["segmentation"]).tolist())
            points[source.name] = parse_json(group.attrs[_POINTS], path)
        _write_points(file, points)
        found = {str(value): value for value in sorted(values - {0})}
        text = json_of(_json_content(good, settings, structures or found or None)).encode()
        # Whatever stops the process between the two files, each of them is known again.
        digests = {_digest(text)}
        if os.path.exists(json_path):
            digests.add(_digest(files.read_bytes(json_path)))
        file.attrs[_JSON_DIGESTS] = sorted(digests)
    with files.atomic_path(json_path) as temporary, open(temporary, "wb") as out:
        out.write(text)


def _write_points(file, points):
    """Writes `point` for every scan that has any, all with the same landmarks in one order."""
    names = list(dict.fromkeys(name for own in points.values() for name in own))
    file.attrs[_POINT_NAMES] = json.dumps(names)
    for scan, own in points.items():
        if "point" in file[scan]:
            del file[scan]["point"]
        if own:
            absent = [-1.0] * 3
            file[scan]["point"] = np.array([own.get(name, absent) for name in names], np.float32)


def _json_content(good, settings, structures):
    subsets = {}
    for source in good:
        subsets.setdefault(source.subset, []).append(f"volumes/{source.name}")
    return manifest_content(
        {"volumes": VOLUMES_NAME},
        subsets,
        {scheme: {name: 1.0} for scheme, name in SCHEMES.items() if name in subsets},
        settings.size,
        image=settings.image,
        task="registration",
        segmentation_class_value=structures,
    )
