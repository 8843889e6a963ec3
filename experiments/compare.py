"""Trains every arm with every seed under one schedule and tells what distillation is worth.

    python -m experiments.compare --dataset=X.json --teacher=RUN --config=FILE.json --output=DIR

The arms differ in nothing but their distillation. Runs that are finished stay; an interrupted
comparison goes on with the same command, and arms that were not asked for are marked open. Writes
DIR/ARM-SEED (the runs), DIR/evaluation (every figure of every pair), DIR/comparison.md and
comparison.json.
"""

import os
import sys
import time

import numpy as np
from absl import flags

from experiments import evaluate, train
from ldr_tf.commands import cli
from ldr_tf.errors import InputError
from ldr_tf.files import atomic_path, check_output_folder, write_json

ARMS = {
    "none": ["--distillation=none"],
    "aldk-game": ["--distillation=aldk", "--critic_objective=game"],
    "flow": ["--distillation=flow"],
    "aldk-joint": ["--distillation=aldk", "--critic_objective=joint"],
}
"""What is compared, and the flags of `experiments.train` that make each."""

FLAGS = cli.new_flags()
_DATASET = flags.DEFINE_string(
    "dataset", None, "JSON of the data set", required=True, flag_values=FLAGS
)
_SUBSET = flags.DEFINE_string("subset", "test", "subset that is measured", flag_values=FLAGS)
_TEACHER = flags.DEFINE_string(
    "teacher", None, "the teacher's run folder", required=True, flag_values=FLAGS
)
_CONFIG = flags.DEFINE_string(
    "config", None, "JSON file of config fields, for all arms", required=True, flag_values=FLAGS
)
_OUTPUT = flags.DEFINE_string(
    "output",
    None,
    "folder for runs and tables, made or gone on with",
    required=True,
    flag_values=FLAGS,
)
_ARMS = flags.DEFINE_list("arms", list(ARMS), "arms, in this order", flag_values=FLAGS)
_SEEDS = flags.DEFINE_list("seeds", ["1", "2", "3"], "seeds of each arm", flag_values=FLAGS)
_MORE = flags.DEFINE_multi_string(
    "train_flag", [], "a further flag for every training, such as gamma=0.5", flag_values=FLAGS
)

_COLUMNS = {"dice": "Dice", "folds_percent": "folds %", "std_jacobian": "std of J"}


def run():
    arms, seeds = _ARMS.value, _SEEDS.value
    unknown = [arm for arm in arms if arm not in ARMS]
    if unknown:
        raise InputError(f"--arms must be some of {', '.join(ARMS)}, not {unknown[0]!r}.")
    if not all(seed.isdigit() for seed in seeds):
        raise InputError(f"--seeds must be numbers with commas, not {','.join(seeds)}.")
    check_output_folder(_OUTPUT.value)
    os.makedirs(_OUTPUT.value, exist_ok=True)
    # One seed of every arm before the next: an early table compares all of them.
    for seed in seeds:
        for arm in arms:
            code = _train(arm, seed)
            if code:
                print("compare: stopped; the same command goes on.", file=sys.stderr)
                return code
    code = _evaluate(arms, seeds)
    if code:
        return code
    rows = _rows(arms, seeds)
    text = _table(rows, len(seeds))
    report = os.path.join(_OUTPUT.value, "comparison.md")
    with atomic_path(report) as path, open(path, "w", encoding="utf-8") as file:
        file.write(text)
    write_json(os.path.join(_OUTPUT.value, "comparison.json"), rows)
    print(text)
    return 0


def _folder(arm, seed):
    return os.path.join(_OUTPUT.value, f"{arm}-{seed}")


def _seconds_file(arm, seed):
    return os.path.join(_folder(arm, seed), "seconds.json")


def _train(arm, seed):
    """Trains, or goes on with, one run; what it took in all is kept beside it."""
    if os.path.exists(_seconds_file(arm, seed)):
        return 0
    print(f"\n== {arm}, seed {seed}", flush=True)
    teacher = [] if arm == "none" else [f"--teacher={_TEACHER.value}"]
    started = time.monotonic()
    code = train.main(
        [
            "train",
            "--stage=student",
            f"--dataset={_DATASET.value}",
            f"--config={_CONFIG.value}",
            f"--seed={seed}",
            f"--output={_folder(arm, seed)}",
            *ARMS[arm],
            *teacher,
            *(f"--{flag.lstrip('-')}" for flag in _MORE.value),
        ]
    )
    if code == 0:
        write_json(_seconds_file(arm, seed), time.monotonic() - started)
    return code


def _evaluate(arms, seeds):
    runs = {"teacher": _TEACHER.value}
    runs.update({f"{arm}-{seed}": _folder(arm, seed) for arm in arms for seed in seeds})
    return evaluate.main(
        [
            "evaluate",
            *(f"--run={folder}" for folder in runs.values()),
            f"--names={','.join(runs)}",
            f"--dataset={_DATASET.value}",
            f"--subset={_SUBSET.value}",
            f"--output={os.path.join(_OUTPUT.value, 'evaluation')}",
        ]
    )


def _rows(arms, seeds):
    """Returns a row an arm: means over pairs, then mean and deviation over seeds."""
    import pandas as pd

    from ldr_tf.files import read_json

    pairs = pd.read_csv(os.path.join(_OUTPUT.value, "evaluation", "pairs.csv"))
    means = pairs.groupby("method")[list(_COLUMNS)].mean()
    rows = [{"arm": name, "figures": means.loc[[name]]} for name in ("identity", "teacher")]
    for arm in arms:
        names = [f"{arm}-{seed}" for seed in seeds]
        minutes = [read_json(_seconds_file(arm, seed)) / 60 for seed in seeds]
        rows.append({"arm": arm, "figures": means.loc[names], "minutes": float(np.mean(minutes))})
    for row in rows:
        figures = row.pop("figures")
        row["seeds"] = len(figures)
        for column in _COLUMNS:
            row[column] = float(figures[column].mean())
            row[f"{column}_std"] = float(figures[column].std(ddof=1)) if len(figures) > 1 else None
    return rows


def _table(rows, seeds):
    head = ["arm", "runs", *_COLUMNS.values(), "minutes a run"]
    lines = ["| " + " | ".join(head) + " |", "| " + " | ".join("---" for _ in head) + " |"]
    for row in rows:
        figures = [_figure(row[column], row[f"{column}_std"]) for column in _COLUMNS]
        minutes = f"{row['minutes']:.1f}" if "minutes" in row else ""
        lines.append("| " + " | ".join([row["arm"], str(row["seeds"]), *figures, minutes]) + " |")
    missing = [arm for arm in ARMS if arm not in {row["arm"] for row in rows}]
    lines += [f"| {arm} | open |" + " |" * (len(head) - 2) for arm in missing]
    return "\n".join([*lines, "", f"Mean and standard deviation over {seeds} seeds.", ""])


def _figure(mean, deviation):
    return f"{mean:.4f}" if deviation is None else f"{mean:.4f} ± {deviation:.4f}"


def main(argv=None):
    """Runs the command; returns the exit code."""
    return cli.main(run, FLAGS, __doc__, argv)


if __name__ == "__main__":
    sys.exit(main())
