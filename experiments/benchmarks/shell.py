"""Registering scans from the shell: Dice against seconds, ours and other programs.

    python -m experiments.benchmark shell --pairs=pairs.csv --output=DIR

Each row is a command, run as a process of its own, files to files, one after the other in turns.
`seconds` are by the clock and `cpu_seconds` of all cores, both from start to end: of ldr-register,
or of another program's affine and deformable step between reading two files and writing a
displacement field. Dice and folds are measured from that field alone, on the fixed scan's grid.
With --output also a plot, shell.png.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time

import numpy as np
from absl import flags

from experiments.evaluation.programs import GREEDY_ITERATIONS
from ldr_tf.errors import InputError

_OURS = "ldr-register"


def define(flag_values):
    """Defines the benchmark's flags."""
    flags.DEFINE_string(
        "pairs",
        None,
        "CSV file with the columns fixed, moving, fixed_labels, moving_labels",
        required=True,
        flag_values=flag_values,
    )
    flags.DEFINE_string("model", "brain-t1", "of ldr-register", flag_values=flag_values)
    flags.DEFINE_list(
        "steps", ["0", "5", "10", "20", "50"], "of refinement, a row each", flag_values=flag_values
    )
    flags.DEFINE_list(
        "greedy",
        [],
        f"iterations of Greedy, a row each: 20x10x0,50x25x5,{GREEDY_ITERATIONS}; needs the extra "
        "baselines",
        flag_values=flag_values,
    )
    flags.DEFINE_bool("ants", False, "a row for ANTs SyN, too", flag_values=flag_values)
    flags.DEFINE_integer("rounds", 1, "runs of each command", 1, flag_values=flag_values)


def run(pairs, model="brain-t1", steps=("0", "10"), greedy=(), ants=False, rounds=1):
    """Measures; returns the rows of the table, one for each command and pair."""
    from ldr_tf.registration.pair_lists import read_pairs

    methods = {f"{_OURS}, {count} steps": _ours(model, count) for count in steps}
    methods.update({f"Greedy, {text}": _other("greedy", text) for text in greedy})
    if ants:
        methods["ANTs SyN"] = _other("ants")
    with tempfile.TemporaryDirectory() as folder:
        rows, listed = {}, read_pairs(pairs, folder)
        if not all(pair.fixed_labels and pair.moving_labels for pair in listed):
            raise InputError(f"{pairs}: every pair needs fixed_labels and moving_labels, for Dice.")
        for turn in range(rounds):
            for number, pair in enumerate(listed):
                for name, method in methods.items():
                    field, costs = _timed(method, pair, folder)
                    row = rows.setdefault(
                        (name, number),
                        {"method": name, "pair": os.path.basename(pair.output), "costs": []},
                    )
                    row["costs"].append(costs)
                    if turn == 0:
                        row.update(_measured(field, pair))
    for row in rows.values():
        row["seconds"], row["cpu_seconds"] = map(float, np.median(row.pop("costs"), axis=0))
    return list(rows.values())


def _ours(model, steps):
    def command(pair, folder):
        return (
            [sys.executable, "-m", "ldr_tf.commands.register", f"--model={model}"]
            + [f"--refine_steps={steps}", f"--fixed={pair.fixed}", f"--moving={pair.moving}"]
            + [f"--output={folder}"],
            os.path.join(folder, "displacement.nii.gz"),
        )

    return command


def _other(name, *options):
    def command(pair, folder):
        field = os.path.join(folder, "displacement.nii.gz")
        program = [sys.executable, "-m", "experiments.evaluation.programs", name]
        return [*program, pair.fixed, pair.moving, field, *options], field

    return command


def _timed(method, pair, folder):
    """Runs a command; returns the path of its field, and (seconds, CPU seconds)."""
    command, field = method(pair, folder)
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True)
    seconds = time.perf_counter() - start
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise InputError(f"{' '.join(command[2:4])} failed: {reason}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return field, (seconds, cpu)


def _measured(path, pair):
    import SimpleITK as sitk

    from ldr_tf import imaging
    from ldr_tf.evaluation import scans

    field = sitk.ReadImage(path, sitk.sitkVectorFloat32)
    fixed = imaging.read_scan(pair.fixed)
    labels = [imaging.read_labels(p) for p in (pair.fixed_labels, pair.moving_labels)]
    warped = imaging.apply_displacement(labels[1], field, "nearest")
    _, dice = scans.label_dices(fixed, *labels, warped)
    folds = scans.folding(field)
    return {
        "dice": float(np.mean(list(dice.values()))),
        "folds_percent": folds["folds_percent"],
        "folds_any_percent": folds["folds_any_percent"],
    }


def plot(rows, folder):
    """Draws the mean Dice of the pairs against their mean seconds as shell.png in the folder."""
    import pandas as pd
    from matplotlib.figure import Figure

    means = pd.DataFrame(rows).groupby("method", sort=False)[["seconds", "dice"]].mean()
    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    axes = figure.subplots()
    kinds = [name.partition(",")[0] for name in means.index]
    for kind in dict.fromkeys(kinds):
        found = means[[other == kind for other in kinds]]
        axes.plot(found.seconds, found.dice, "o-", label=kind)
        for name, row in found.iterrows():
            words = name.partition(", ")[2]
            axes.annotate(
                words, (row.seconds, row.dice), xytext=(6, -11), textcoords="offset points", size=8
            )
    axes.set_xlabel("seconds from the shell")
    axes.set_ylabel("mean Dice")
    axes.set_xlim(0, 1.2 * means.seconds.max())  # with room for the words
    axes.grid(alpha=0.3)
    axes.legend()
    path = os.path.join(folder, "shell.png")
    figure.savefig(path, dpi=120)
    return path
