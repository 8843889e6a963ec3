"""Time and memory of a registration against volume size, batch and cascades.

    python -m experiments.benchmark growth --output=DIR

The student's fast path, each row in a process of its own, pinned to its threads. `ns_per_voxel` is
nanoseconds per voxel, pair and cascade, `bytes_per_voxel` memory per voxel and pair: while they
stay level or fall, nothing grows faster than the voxels do. With --output also a plot, growth.png.
"""

import json
import os
import subprocess
import sys
import time

import numpy as np
from absl import flags

from experiments.benchmarks import inference


def define(flag_values):
    """Defines the benchmark's flags."""
    flags.DEFINE_list(
        "sizes", ["64", "96", "128", "160", "192", "256"], "voxels a side", flag_values=flag_values
    )
    flags.DEFINE_list("batches", ["1", "2", "4"], "pairs, at --size", flag_values=flag_values)
    flags.DEFINE_list("cascades", ["1", "2", "3"], "cascades, at --size", flag_values=flag_values)
    flags.DEFINE_integer("size", 128, "voxels a side for these", 64, flag_values=flag_values)
    flags.DEFINE_integer("rounds", 7, "timed rounds", 1, flag_values=flag_values)
    flags.DEFINE_integer("threads", None, "threads (default: cores)", 1, flag_values=flag_values)


def run(sizes=("64", "128"), batches=("1",), cascades=("1",), size=128, rounds=7, threads=None):
    """Measures; returns the rows of the table."""
    cases = [("size", int(n), 1, 1) for n in sizes]
    cases += [("batch", size, int(n), 1) for n in batches]
    cases += [("cascades", size, 1, int(n)) for n in cascades]
    return [_row(*case, rounds, threads) for case in cases]


def _row(grows, size, batch, cascades, rounds, threads):
    code = "import sys; from experiments.benchmarks import growth; growth.show(*sys.argv[1:])"
    arguments = [str(n) for n in (size, batch, cascades, rounds, threads or 0)]
    command = [sys.executable, "-c", code, *arguments]
    shown = subprocess.run(command, capture_output=True, check=True, text=True)
    found = json.loads(shown.stdout.splitlines()[-1])
    work = size**3 * batch * cascades
    return {
        "grows": grows,
        "size": size,
        "batch": batch,
        "cascades": cascades,
        "first_call": found["first"],
        "seconds": found["seconds"],
        "MB": found["MB"],
        "ns_per_voxel": found["seconds"] / work * 1e9,
        "bytes_per_voxel": found["MB"] * 1e6 / (size**3 * batch),
    }


def show(size, batch, cascades, rounds, threads):
    """Measures one row; prints seconds of the first and of the median call, and MB."""
    from ldr_tf.metrics.memory import peak_memory

    inference.pin(int(threads) or None)
    before = peak_memory()
    function = inference.build({"cascades": int(cascades)}, int(size), "fast")
    volumes = inference.pair(int(size), int(batch))
    seconds = []
    for _ in range(int(rounds) + 2):
        start = time.perf_counter()
        function(*volumes)
        seconds.append(time.perf_counter() - start)
    found = {"first": seconds[0], "seconds": float(np.median(seconds[2:]))}
    print(json.dumps({**found, "MB": (peak_memory() - before) / 1e6}))


def plot(rows, folder):
    """Draws seconds and memory against what grows as growth.png in the folder."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.0, 5.4), layout="constrained")
    axes = figure.subplots(2, 3, sharey="row")
    for column, grows in enumerate(("size", "batch", "cascades")):
        found = [row for row in rows if row["grows"] == grows]
        work = [row["size"] ** 3 * row["batch"] * row["cascades"] / 1e6 for row in found]
        for axis, name, label in zip(axes[:, column], ("seconds", "MB"), ("seconds", "MB")):
            values = [row[name] for row in found]
            axis.loglog(work, values, "o-", base=10, label="measured")
            axis.loglog(
                work, [values[0] * w / work[0] for w in work], ":", color="gray", label="linear"
            )
            axis.set_xticks(work, [str(row[grows]) for row in found])
            axis.minorticks_off()
            axis.grid(alpha=0.3)
            axis.set_ylabel(label if column == 0 else "")
        axes[1, column].set_xlabel("voxels a side" if grows == "size" else grows)
    axes[0, 0].legend(frameon=False)
    path = os.path.join(folder, "growth.png")
    figure.savefig(path, dpi=120)
    return path
