"""A data set from many scans: several processes, resumable, one bad scan beside good ones.

Each scan is prepared into a file of its own in OUTPUT/.parts, renamed when it is whole; at the end
all become one HDF5 file. Whatever stops the work, the same call goes on, and a call on a finished
data set prepares only what has changed.
"""

import contextlib
import dataclasses
import json
import multiprocessing
import os
import shutil
import time
import urllib.parse
from concurrent import futures
from concurrent.futures.process import BrokenProcessPool
from typing import Optional

import h5py
import numpy as np
import SimpleITK as sitk

from data.hdf5 import check_space, small_file
from data.manifest import write_manifest
from data.preparation import fingerprint, prepare_scan
from data.volumes import write_scan
from ldr_tf import files
from ldr_tf.errors import InputError
from ldr_tf.notices import Notice

VOLUMES_NAME = "volumes.h5"
JSON_NAME = "dataset.json"
SCHEMES = {"1": "train", "2": "validation"}
"""Schemes of a prepared data set: scheme -> the subset it takes whole, where there is one."""

_PARTS = ".parts"
_FINGERPRINT = "fingerprint"
_POINTS = "points"


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


def assemble(sources, output, settings, workers=1, structures=None):
    """Prepares scans into output/volumes.h5 and output/dataset.json.

    A generator, so that the caller shows progress: yields an Outcome for each source, in order.
    The files appear when it has run to its end; they stay as they were where no scan went well.

    Args:
      sources: list of Source.
      output: folder, made when missing.
      settings: `data.preparation.Settings`.
      workers: processes; 1 does all in this one.
      structures: name -> label value of the structures that Dice is measured over; None: all label
        values that are found.

    Raises:
      InputError: the folder cannot be made or written, or another process writes there; no scan
        went well.
    """
    parts = os.path.join(output, _PARTS)
    try:
        os.makedirs(parts, exist_ok=True)
    except OSError as error:
        raise InputError(f"{output}: this folder cannot be made ({error.strerror}).") from error
    with files.only_writer(parts):
        prints = {source.name: fingerprint(source, settings) for source in sources}
        finished = _finished(os.path.join(output, VOLUMES_NAME), prints)
        good = []
        for outcome in _outcomes(sources, settings, parts, prints, finished, workers):
            if outcome.problem is None:
                good.append(outcome.source)
            yield outcome
        if not good:
            shutil.rmtree(parts)
            raise InputError(f"{output}: no scan could be prepared, so nothing is written.")
        values = _merge(good, output, parts, finished)
        found = {str(value): value for value in sorted(values - {0})}
        _write_json(good, output, settings, structures or found or None)
        shutil.rmtree(parts)


def _finished(path, prints):
    """Returns the names of scans that a finished file holds as they would be made again."""
    try:
        with h5py.File(path, "r") as file:
            return {n for n in prints if n in file and file[n].attrs[_FINGERPRINT] == prints[n]}
    except (OSError, KeyError):
        return set()


def _outcomes(sources, settings, parts, prints, finished, workers):
    jobs = {}
    with contextlib.ExitStack() as stack:
        pool = None
        if workers > 1:
            context = multiprocessing.get_context("spawn")
            pool = futures.ProcessPoolExecutor(workers, context, _start_worker)
            stack.callback(pool.shutdown, cancel_futures=True)
        for source in sources:
            path, digest = _part(parts, source), prints[source.name]
            if source.name not in finished and not _is_whole(path, digest):
                arguments = (_make_part, source, settings, path, digest)
                jobs[source.name] = pool.submit(*arguments) if pool else arguments
        for source in sources:
            problem, seconds, notices = None, 0.0, ()
            if source.name in jobs:
                job = jobs.pop(source.name)
                try:
                    problem, seconds, notices = job.result() if pool else job[0](*job[1:])
                except BrokenProcessPool as error:
                    raise InputError(
                        f"{source.path}: a worker process died, perhaps for want of memory; the "
                        "same command with fewer --workers goes on."
                    ) from error
            yield Outcome(source, problem, seconds, notices)


def _start_worker():
    # The processes share the cores; SimpleITK's threads on top of them would be too many.
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)


def _part(parts, source):
    return os.path.join(parts, urllib.parse.quote(source.name, safe="") + ".h5")


def _is_whole(path, digest):
    try:
        with h5py.File(path, "r") as file:
            return file["scan"].attrs.get(_FINGERPRINT) == digest
    except (OSError, KeyError):
        return False


def _make_part(source, settings, path, digest):
    """Prepares one scan into its file; returns (problem or None, seconds, notices).

    Raises:
      InputError: the file cannot be written; nothing could be, then.
    """
    start = time.perf_counter()
    try:
        scan = prepare_scan(source, settings)
    except InputError as error:
        return str(error), time.perf_counter() - start, ()
    except (RuntimeError, ValueError, OSError, MemoryError) as error:
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
    notices = tuple(Notice(**notice) for notice in json.loads(scan.attributes["notices"]))
    return None, time.perf_counter() - start, notices


def _merge(good, output, parts, finished):
    """Writes the one file; returns the label values found."""
    values, points = set(), {}
    path = os.path.join(output, VOLUMES_NAME)
    fresh = [_part(parts, source) for source in good if source.name not in finished]
    kept = os.path.getsize(path) if finished else 0
    check_space(path, kept + sum(map(os.path.getsize, fresh)))
    with contextlib.ExitStack() as stack:
        temporary = stack.enter_context(files.atomic_path(path))
        file = stack.enter_context(h5py.File(temporary, "w"))
        earlier = stack.enter_context(h5py.File(path, "r")) if finished else None
        for source in good:
            if source.name in finished:
                earlier.copy(source.name, file)
            else:
                with h5py.File(_part(parts, source), "r") as part:
                    part.copy("scan", file, source.name)
            group = file[source.name]
            if "segmentation" in group:
                values.update(np.unique(group["segmentation"]).tolist())
            points[source.name] = json.loads(group.attrs[_POINTS])
        _write_points(file, points)
    return values


def _write_points(file, points):
    """Writes `point` for every scan that has any, all with the same landmarks in one order."""
    names = list(dict.fromkeys(name for own in points.values() for name in own))
    file.attrs["point_names"] = json.dumps(names)
    for scan, own in points.items():
        if "point" in file[scan]:
            del file[scan]["point"]
        if own:
            absent = [-1.0] * 3
            file[scan]["point"] = np.array([own.get(name, absent) for name in names], np.float32)


def _write_json(good, output, settings, structures):
    subsets = {}
    for source in good:
        subsets.setdefault(source.subset, []).append(f"volumes/{source.name}")
    write_manifest(
        os.path.join(output, JSON_NAME),
        {"volumes": VOLUMES_NAME},
        subsets,
        {scheme: {name: 1.0} for scheme, name in SCHEMES.items() if name in subsets},
        settings.size,
        image=settings.image,
        task="registration",
        segmentation_class_value=structures,
    )
