"""Speed of training batches: against plain h5py, with growing data sets, to a student.

    python -m experiments.benchmark data --size=128 --scans=20

Rows: pairs per second of one thread of plain h5py and of the pipeline, from files in the system's
cache; the peak memory of a process that reads every scan of a small and of a large data set; how
long a student's step waits for its batch, for scans and for images painted from labels; the time of
painting beside that of a step. All files are made in a temporary folder.
"""

import json
import os
import subprocess
import sys
import tempfile

import h5py
import numpy as np
from absl import flags

from experiments.benchmarks.common import interleaved, timing_rows
from ldr_tf.training.observer import Observer

_MEMORY_SIZE = 48
_LABELS = 40


def define(flag_values):
    """Defines the benchmark's flags."""
    flags.DEFINE_integer("size", 128, "voxels a side", 16, flag_values=flag_values)
    flags.DEFINE_integer("scans", 20, "scans in the data set", 2, flag_values=flag_values)
    flags.DEFINE_integer("batch_size", 1, "pairs per batch", 1, flag_values=flag_values)
    flags.DEFINE_integer("pairs", 60, "pairs per round", 1, flag_values=flag_values)
    flags.DEFINE_integer("rounds", 5, "timed rounds", 1, flag_values=flag_values)
    flags.DEFINE_integer(
        "many",
        2000,
        "scans in the large data set, 0 to skip memory",
        flag_values=flag_values,
    )
    flags.DEFINE_integer(
        "student_size", 64, "voxels a side for the student, 0 to skip it", flag_values=flag_values
    )


def run(size=128, scans=20, batch_size=1, pairs=60, rounds=5, many=2000, student_size=64):
    """Measures; returns the rows of the table."""
    rows = _throughput(size, scans, batch_size, pairs, rounds)
    if many:
        rows += _memory((scans, many))
    if student_size:
        rows += _waiting(student_size, rounds)
    return rows


def write_noise(folder, scans, size):
    """Writes a data set of noise volumes and labels, `size` voxels a side; returns its Manifest."""
    from data.manifest import write_manifest
    from data.volumes import write_scan

    generator = np.random.default_rng(0)
    names = [f"{index:05d}" for index in range(scans)]
    labels = np.kron(generator.integers(0, _LABELS, (4, 4, 4)), np.ones([-(-size // 4)] * 3))
    labels = labels[:size, :size, :size].astype(np.uint8)
    with h5py.File(os.path.join(folder, "volumes.h5"), "w") as file:
        for name in names:
            write_scan(file, name, generator.integers(0, 256, (size,) * 3, np.uint8), labels)
    return write_manifest(
        os.path.join(folder, "dataset.json"),
        {"volumes": "volumes.h5"},
        {"train": [f"volumes/{name}" for name in names]},
        {"1": {"train": 1.0}},
        (size,) * 3,
    )


def _throughput(size, scans, batch_size, pairs, rounds):
    from data.pipeline import TrainingData
    from ldr_tf.config import DataConfig

    with tempfile.TemporaryDirectory() as folder:
        manifest = write_noise(folder, scans, size)
        path = manifest.file_path("volumes")
        steps = max(1, pairs // batch_size)
        batches, cached = (
            iter(TrainingData(manifest, DataConfig(cache=cache), batch_size, seed=1).batches())
            for cache in (False, True)
        )
        functions = {
            "h5py, one thread": lambda: _read_plainly(path, 2 * steps * batch_size),
            "pipeline": lambda: _take(batches, steps),
            "pipeline, data.cache": lambda: _take(cached, steps),
        }
        seconds = interleaved(functions, rounds)
    rows = timing_rows(seconds, steps * batch_size, "h5py, one thread")
    return [{**row, "unit": f"pair at {size}^3"} for row in rows]


def _read_plainly(path, count):
    with h5py.File(path, "r") as file:
        names = list(file)
        for index in range(count):
            file[names[index % len(names)]]["volume"][()]


def _take(batches, count):
    for _ in range(count):
        next(batches)


def _memory(counts):
    rows = []
    for count in counts:
        with tempfile.TemporaryDirectory() as folder:
            manifest = write_noise(folder, count, _MEMORY_SIZE)
            code = (
                "import sys; from experiments.benchmarks import data; data.show_memory(sys.argv[1])"
            )
            shown = subprocess.run(
                [sys.executable, "-c", code, manifest.path], capture_output=True, check=True
            )
        first, last = json.loads(shown.stdout)
        name = f"memory of the reading process, {count} scans"
        rows.append(
            {"name": name, "unit": f"{_MEMORY_SIZE}^3", "MB": last, "MB_grown": last - first}
        )
    return rows


def show_memory(path):
    """Reads as many pairs as the data set has scans; prints the peak MB after 20 and after all."""
    from data.manifest import read_manifest
    from data.pipeline import TrainingData
    from ldr_tf.config import DataConfig
    from ldr_tf.metrics.memory import peak_of_process

    def largest():
        return peak_of_process() / 2**20

    manifest = read_manifest(path)
    batches = iter(TrainingData(manifest, DataConfig(), 1, seed=1).batches())
    _take(batches, 20)
    first = largest()
    _take(batches, max(100, len(manifest.subsets["train"])))
    print(json.dumps([first, largest()]))


def _waiting(size, rounds):
    import tensorflow as tf

    from data import synthetic
    from data.pipeline import TrainingData
    from ldr_tf.config import DataConfig, NetworkConfig, OptimisationConfig, RunConfig
    from ldr_tf.training.run import train_run
    from ldr_tf.training.state import TrainingState
    from ldr_tf.training.step import TrainingStep

    steps = 20 * rounds
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        manifest = write_noise(folder, 20, size)
        for images in ("scans", "synthetic"):
            config = RunConfig(
                network=NetworkConfig(image_size=(size,) * 3),
                data=DataConfig(images=images),
                optimisation=OptimisationConfig(steps=2 * steps, summarize_every=steps),
            )
            data = TrainingData.of_run(manifest, config)
            heard = _Heard()
            train_run(config, os.path.join(folder, images), data, observer=heard)
            # The first half also waits for functions to be traced.
            rows.append(
                {
                    "name": f"student trained on {images}",
                    "unit": f"batch 1 at {size}^3",
                    "waiting_percent": heard.scalars["waiting_percent"],
                }
            )
        step = TrainingStep(TrainingState(config))
        batch = next(iter(data.batches()))
        labels = tf.cast(batch["fixed"][0, ..., 0] // 8, tf.uint16)
        paint = tf.function(lambda number: synthetic.paint_pair(labels, labels, images, 1, number))
        functions = {
            "student's step alone": lambda: float(step.reconstruction(batch)["reconstruction"]),
            "painting a pair": lambda: paint(tf.constant(1))[0].numpy(),
        }
        seconds = interleaved(functions, 5 * rounds, warm_up=2)
        more = timing_rows(seconds, 1, "student's step alone")
    return rows + [{**row, "unit": f"pair at {size}^3"} for row in more]


class _Heard(Observer):
    """Keeps what the loop logged last."""

    def on_scalars(self, step, scalars):
        self.scalars = scalars
