"""Time and memory of a registration against volume size, batch and cascades.

    python -m experiments.benchmark growth --output=DIR

The fast path of each of --networks, in float32 and in bfloat16, each row in a process of its own,
pinned to its threads. `ns_per_voxel` is nanoseconds per voxel, pair and cascade, `bytes_per_voxel`
memory per voxel and pair: while they stay level or fall, nothing grows faster than the voxels do.
With --output also a plot, growth.png.
"""

import json
import os
import subprocess
import sys
import time

import numpy as np
from absl import flags

from experiments.benchmarks import inference
from ldr_tf.config.network import BASE_NETWORKS


def define(flag_values):
    """Defines the benchmark's flags."""
    flags.DEFINE_list(
        "sizes",
        ["64", "96", "128", "160", "192", "256", "320"],
        "voxels a side",
        flag_values=flag_values,
    )
    flags.DEFINE_multi_enum(
        "networks", ["LDR", "Pyramid"], BASE_NETWORKS, "base networks", flag_values=flag_values
    )
    flags.DEFINE_multi_enum(
        "forms", ["fast", "bfloat16"], inference.FORMS, "fast: float32", flag_values=flag_values
    )
    flags.DEFINE_list("batches", ["1", "2", "4"], "pairs, at --size", flag_values=flag_values)
    flags.DEFINE_list("cascades", ["1", "2", "3"], "cascades, at --size", flag_values=flag_values)
    flags.DEFINE_integer("size", 128, "voxels a side for these", 64, flag_values=flag_values)
    flags.DEFINE_integer("rounds", 7, "timed rounds", 1, flag_values=flag_values)
    flags.DEFINE_integer("threads", None, "threads (default: cores)", 1, flag_values=flag_values)


def run(
    sizes=("64", "128"),
    batches=("1",),
    cascades=("1",),
    networks=("LDR",),
    forms=("fast",),
    size=128,
    rounds=7,
    threads=None,
):
    """Measures; returns the rows of the table."""
    cases = [("size", int(n), 1, 1) for n in sizes]
    cases += [("batch", size, int(n), 1) for n in batches]
    cases += [("cascades", size, 1, int(n)) for n in cascades]
    kinds = [(network, form) for network in networks for form in forms]
    return [_row(*kind, *case, rounds, threads) for kind in kinds for case in cases]


def _row(network, form, grows, size, batch, cascades, rounds, threads):
    code = "import sys; from experiments.benchmarks import growth; growth.show(*sys.argv[1:])"
    arguments = [network, form, *map(str, (size, batch, cascades, rounds, threads or 0))]
    command = [sys.executable, "-c", code, *arguments]
    shown = subprocess.run(command, capture_output=True, check=True, text=True)
    found = json.loads(shown.stdout.splitlines()[-1])
    work = size**3 * batch * cascades
    return {
        "network": network,
        "form": form,
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


def show(network, form, size, batch, cascades, rounds, threads):
    """Measures one row; prints seconds of the first and of the median call, and MB."""
    from ldr_tf.metrics.memory import peak_memory

    inference.pin(int(threads) or None)
    before = peak_memory()
    settings = {"base_network": network, "cascades": int(cascades)}
    function = inference.build(settings, int(size), form)
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
    kinds = list(dict.fromkeys((row["network"], row["form"]) for row in rows))
    for column, grows in enumerate(("size", "batch", "cascades")):
        for kind in kinds:
            found = [
                row
                for row in rows
                if row["grows"] == grows and (row["network"], row["form"]) == kind
            ]
            work = [row["size"] ** 3 * row["batch"] * row["cascades"] / 1e6 for row in found]
            label = f"{kind[0]}, {'float32' if kind[1] == 'fast' else kind[1]}"
            for axis, name in zip(axes[:, column], ("seconds", "MB")):
                axis.loglog(work, [row[name] for row in found], "o-", ms=4, base=10, label=label)
        for axis, name in zip(axes[:, column], ("seconds", "MB")):
            least = min(row[name] for row in rows if row["grows"] == grows)
            axis.loglog(
                work, [least * w / work[0] for w in work], ":", color="gray", label="linear"
            )
            axis.set_xticks(work, [str(row[grows]) for row in found])
            axis.minorticks_off()
            axis.grid(alpha=0.3)
            axis.set_ylabel(name if column == 0 else "")
        axes[1, column].set_xlabel("voxels a side" if grows == "size" else grows)
    axes[0, 0].legend(frameon=False, fontsize="small")
    path = os.path.join(folder, "growth.png")
    figure.savefig(path, dpi=120)
    return path
