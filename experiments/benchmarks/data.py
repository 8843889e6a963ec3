"""How fast training batches are read from HDF5, against one thread of plain h5py.

    python -m experiments.benchmark data --size=128 --scans=20

The files are made in a temporary folder and read before they are timed, so that they lie in the
system's cache.
"""

import os
import tempfile

import h5py
import numpy as np
from absl import flags

from experiments.benchmarks.common import interleaved, timing_rows


def define(flag_values):
    """Defines the benchmark's flags."""
    flags.DEFINE_integer("size", 128, "voxels a side", 16, flag_values=flag_values)
    flags.DEFINE_integer("scans", 20, "scans in the data set", 2, flag_values=flag_values)
    flags.DEFINE_integer("batch_size", 1, "pairs a batch", 1, flag_values=flag_values)
    flags.DEFINE_integer("pairs", 60, "pairs a round", 1, flag_values=flag_values)
    flags.DEFINE_integer("rounds", 5, "timed rounds", 1, flag_values=flag_values)


def run(size=128, scans=20, batch_size=1, pairs=60, rounds=5):
    """Measures; returns the rows of the table."""
    from data.pipeline import training_dataset

    with tempfile.TemporaryDirectory() as folder:
        manifest = write_noise(folder, scans, size)
        path = manifest.file_path("volumes")
        steps = max(1, pairs // batch_size)
        batches = iter(training_dataset(manifest, "1", batch_size, seed=1))
        functions = {
            "h5py, one thread": lambda: _read_plainly(path, 2 * steps * batch_size),
            "pipeline": lambda: _take(batches, steps),
        }
        seconds = interleaved(functions, rounds)
    rows = timing_rows(seconds, steps * batch_size, "h5py, one thread")
    return [{**row, "unit": "pair"} for row in rows]


def write_noise(folder, scans, size):
    """Writes a data set of noise volumes of `size` voxels a side; returns its Manifest."""
    from data.manifest import write_manifest
    from data.volumes import write_scan

    generator = np.random.default_rng(0)
    names = [f"{index:05d}" for index in range(scans)]
    with h5py.File(os.path.join(folder, "volumes.h5"), "w") as file:
        for name in names:
            write_scan(file, name, generator.integers(0, 256, (size,) * 3, np.uint8))
    return write_manifest(
        os.path.join(folder, "dataset.json"),
        {"volumes": "volumes.h5"},
        {"train": [f"volumes/{name}" for name in names]},
        {"1": {"train": 1.0}},
        (size,) * 3,
    )


def _read_plainly(path, count):
    with h5py.File(path, "r") as file:
        names = list(file)
        for index in range(count):
            file[names[index % len(names)]]["volume"][()]


def _take(batches, count):
    for _ in range(count):
        next(batches)
