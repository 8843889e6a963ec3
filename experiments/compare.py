"""Trains every arm with every seed under one schedule to show what distillation is worth.

    python -m experiments.compare --dataset=X.json --teacher=RUN --config=FILE.json --output=DIR

An arm is one of --arms' default names, or one followed by settings of the config, such as
`aldk-game+distillation.gamma=0.6` or `none+network.channels=8`; arms differ in nothing else. The
arms refined and refined-aldk learn from stored flows, --refined_flows
(experiments.make_teacher_flows with --refine_steps).

Finished runs are kept, an interrupted comparison resumes with the same command, and other --arms or
--seeds add to earlier results: the tables hold every finished run in DIR and name the arms that are
open. Writes DIR/ARM-SEED (the runs), DIR/evaluation (every figure of every pair),
DIR/comparison.md, comparison.json and comparison.png. Where the trainings validated, curves.png has
what they found against steps and against processor time.
"""

import os
import sys
import time

from absl import flags

from experiments import evaluate
from experiments.training import Training
from ldr_tf.commands import cli
from ldr_tf.errors import InputError
from ldr_tf.files import atomic_path, check_output_folder, read_json, write_json

_GAME = ("distillation.kind=aldk", "distillation.critic.objective=game")
ARMS = {
    "none": ("distillation.kind=none",),
    "aldk-game": _GAME,
    "flow": ("distillation.kind=flow",),
    "aldk-joint": ("distillation.kind=aldk", "distillation.critic.objective=joint"),
    "refined": ("distillation.kind=flow",),
    "refined-aldk": _GAME,
}
"""The arms, and the settings that define each."""

_REFINED = ("refined", "refined-aldk")
_SECONDS_NAME = "seconds.json"
"""Of a finished run: the processor seconds of its training, over all cores."""
_SO_FAR_NAME = "seconds_so_far.json"
"""The same of an interrupted one."""

FLAGS = cli.new_flags()
_DATASET = flags.DEFINE_string(
    "dataset", None, "JSON of the data set", required=True, flag_values=FLAGS
)
_SUBSET = flags.DEFINE_string("subset", "test", "subset to measure on", flag_values=FLAGS)
_TEACHER = flags.DEFINE_string(
    "teacher", None, "the teacher's run folder", required=True, flag_values=FLAGS
)
_REFINED_FLOWS = flags.DEFINE_string(
    "refined_flows", None, "store of refined flows, for the refined arms", flag_values=FLAGS
)
_CONFIG = flags.DEFINE_string(
    "config", None, "JSON file of config fields, for all arms", required=True, flag_values=FLAGS
)
_OUTPUT = flags.DEFINE_string(
    "output",
    None,
    "folder for runs and tables, new or to be resumed",
    required=True,
    flag_values=FLAGS,
)
_ARMS = flags.DEFINE_list(
    "arms", ["none", "aldk-game", "flow", "aldk-joint"], "arms, in this order", flag_values=FLAGS
)
_SEEDS = flags.DEFINE_list("seeds", ["1", "2", "3"], "seeds of each arm", flag_values=FLAGS)
_SET = flags.DEFINE_multi_string(
    "set",
    [],
    "FIELD=VALUE, a field of every arm's config, such as data.cache=true",
    flag_values=FLAGS,
)


def run():
    arms, seeds = _ARMS.value, _SEEDS.value
    if not all(seed.isdigit() for seed in seeds):
        raise InputError(f"--seeds must be numbers and commas, not {','.join(seeds)}.")
    _check_sources()
    for arm in arms:
        _check_arm(arm)
    check_output_folder(_OUTPUT.value)
    os.makedirs(_OUTPUT.value, exist_ok=True)
    # One seed of every arm before the next: an early table compares all of them.
    for seed in seeds:
        for arm in arms:
            code = _train(arm, seed)
            if code:
                print("compare: stopped; the same command resumes.", file=sys.stderr)
                return code
    runs = _finished(arms)
    return _evaluate(runs) or _report(runs)


def _check_arm(arm):
    name = arm.split("+")[0]
    if name not in ARMS:
        raise InputError(f"--arms must be some of {', '.join(ARMS)}, not {name!r}.")
    if name in _REFINED and _REFINED_FLOWS.value is None:
        raise InputError(f"--arms: {name} learns from --refined_flows and needs them.")
    _training(arm, "1").config()  # refuses what does not fit before the first arm trains


def _check_sources():
    """Refuses now what would otherwise be refused when the first arm that needs it starts."""
    from data.flows import FlowReader
    from data.manifest import read_manifest
    from ldr_tf.runs.checkpoints import read_config

    read_manifest(_DATASET.value)
    read_config(_TEACHER.value)
    if _REFINED_FLOWS.value is not None:
        with FlowReader(_REFINED_FLOWS.value):
            pass


def _train(arm, seed):
    """Trains or resumes one run, and keeps in its folder what processor time it took."""
    names = (_SECONDS_NAME, _SO_FAR_NAME)
    finished, so_far = [os.path.join(_folder(arm, seed), name) for name in names]
    if os.path.exists(finished):
        return 0
    print(f"\n== {arm}, seed {seed}", flush=True)
    before = read_json(so_far) if os.path.exists(so_far) else 0.0
    started = time.process_time()
    code = _training(arm, seed).run()
    write_json(so_far if code else finished, before + time.process_time() - started)
    return code


def _training(arm, seed):
    """Returns an arm's training: the settings of ARMS, those behind its name, and the seed."""
    name, *changes = arm.split("+")
    refined = name in _REFINED
    return Training(
        "student",
        _DATASET.value,
        _folder(arm, seed),
        _CONFIG.value,
        (*ARMS[name], *_SET.value, *changes, f"optimisation.seed={seed}"),
        teacher=None if refined or name == "none" else _TEACHER.value,
        teacher_flows=_REFINED_FLOWS.value if refined else None,
    )


def _folder(arm, seed):
    return os.path.join(_OUTPUT.value, f"{arm}-{seed}")


def _finished(arms):
    """Returns arm -> sorted seeds of all finished runs in the folder, `arms` and ARMS first."""
    found = {}
    for name in sorted(os.listdir(_OUTPUT.value)):
        arm, _, seed = name.rpartition("-")
        if seed.isdigit() and os.path.exists(os.path.join(_OUTPUT.value, name, _SECONDS_NAME)):
            found.setdefault(arm, []).append(seed)
    order = dict.fromkeys([*ARMS, *arms, *found])
    return {arm: sorted(found[arm], key=int) for arm in order if arm in found}


def _evaluate(runs):
    folders = {"teacher": _TEACHER.value}
    for arm, seeds in runs.items():
        for seed in seeds:
            folders[f"{arm}-{seed}"] = _folder(arm, seed)
    return evaluate.main(
        [
            "evaluate",
            *(f"--run={folder}" for folder in folders.values()),
            f"--names={','.join(folders)}",
            f"--dataset={_DATASET.value}",
            f"--subset={_SUBSET.value}",
            f"--output={os.path.join(_OUTPUT.value, 'evaluation')}",
        ]
    )


def _report(runs):
    """Writes table, rows and figures of the finished runs."""
    from experiments.evaluation import arms, curves

    members = {"identity": [("identity", None)], "teacher": [("teacher", None)]}
    folders = {}
    for arm, seeds in runs.items():
        names = [f"{arm}-{seed}" for seed in seeds]
        paths = [_folder(arm, seed) for seed in seeds]
        taken = [read_json(os.path.join(path, _SECONDS_NAME)) / 60 for path in paths]
        members[arm], folders[arm] = list(zip(names, taken)), list(zip(paths, taken))
    pairs = arms.read_pairs(os.path.join(_OUTPUT.value, "evaluation", "pairs.csv"))
    rows = arms.arm_rows(pairs, members)
    text = arms.table(rows, [arm for arm in ARMS if arm not in runs])
    report = os.path.join(_OUTPUT.value, "comparison.md")
    with atomic_path(report) as path, open(path, "w", encoding="utf-8") as file:
        file.write(text)
    write_json(os.path.join(_OUTPUT.value, "comparison.json"), rows)
    arms.draw(rows, os.path.join(_OUTPUT.value, "comparison.png"))
    found = curves.read_curves(folders)
    if len(found):
        curves.draw(found, os.path.join(_OUTPUT.value, "curves.png"))
    print(text)
    return 0


def main(argv=None):
    """Runs the command; returns the exit code."""
    return cli.main(run, FLAGS, __doc__, argv)


if __name__ == "__main__":
    sys.exit(main())
