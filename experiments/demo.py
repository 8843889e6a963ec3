"""The whole chain on generated phantoms, in minutes: data, teacher, student, figures, pictures.

    python -m experiments.demo --output=demo

Every stage is a command of its own, shown before it runs. An interrupted demo resumes with the same
command.
"""

import os
import sys
import time

from absl import flags

from experiments import evaluate, export, make_phantoms
from experiments.stages import Command, Stage, run_stages
from experiments.training import Training
from ldr_tf.commands import cli, register

FLAGS = cli.new_flags()
_OUTPUT = flags.DEFINE_string("output", "demo", "folder for all results", flag_values=FLAGS)
_SEED = flags.DEFINE_integer(
    "seed", 1, "seed of phantoms and networks", lower_bound=0, flag_values=FLAGS
)

_CONFIGS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "configs")
_SUBJECTS = 40


def stages(folder, seed):
    """Returns the stages of the demo."""
    dataset = os.path.join(folder, "phantoms", "phantoms.json")
    runs = {name: os.path.join(folder, name) for name in ("teacher", "student")}
    model = os.path.join(folder, "model")

    def training(name, teacher=None):
        config = os.path.join(_CONFIGS, f"demo_{name}.json")
        seeded = (f"optimisation.seed={seed}",)
        return Training(name, dataset, runs[name], config, seeded, teacher=teacher)

    fixed, moving = (
        os.path.join(folder, "phantoms", "nifti", f"{number:03d}")
        for number in (_SUBJECTS - 2, _SUBJECTS - 1)
    )
    phantoms = (
        f"--output={os.path.dirname(dataset)}",
        f"--count={_SUBJECTS}",
        f"--seed={seed}",
        "--nifti=2",
    )
    one_pair = (
        f"--model={runs['student']}",
        f"--fixed={fixed}.nii.gz",
        f"--moving={moving}.nii.gz",
        f"--fixed_labels={fixed}_seg.nii.gz",
        f"--moving_labels={moving}_seg.nii.gz",
        f"--output={os.path.join(folder, 'registered')}",
        "--view",
    )
    measuring = (
        f"--run={runs['teacher']}",
        f"--run={runs['student']}",
        f"--dataset={dataset}",
        "--subset=test",
        "--paired",
        f"--output={os.path.join(folder, 'evaluation')}",
    )
    return [
        Stage(
            "phantoms whose true deformation is known", Command(make_phantoms, phantoms), dataset
        ),
        Stage("the teacher, a VTN", training("teacher")),
        Stage(
            "the student, LDR, with its teacher and a critic (ALDK)",
            training("student", runs["teacher"]),
        ),
        Stage(
            "the student as a SavedModel",
            Command(export, (f"--run={runs['student']}", f"--output={model}")),
            os.path.join(model, "1", "saved_model.pb"),
        ),
        Stage("one held-out pair, from file to file", Command(register, one_pair)),
        Stage("both on held-out phantoms", Command(evaluate, measuring)),
    ]


def run():
    started = time.monotonic()
    folder = _OUTPUT.value
    code = run_stages("demo", stages(folder, _SEED.value))
    if code == 0:
        _conclude(folder, time.monotonic() - started)
    return code


def _conclude(folder, seconds):
    evaluation = os.path.join(folder, "evaluation")
    print(f"""
== done in {seconds / 60:.1f} minutes
look at   {os.path.join(folder, "registered", "preview.png")}
open      {os.path.join(folder, "registered", "view.html")}
report    {os.path.join(evaluation, "report.html")}
figures   {os.path.join(evaluation, "pairs.csv")}, {os.path.join(evaluation, "summary.json")}
curves    tensorboard --logdir={folder}

next      register two scans of your own with your own network: see "Your own scans" in README.md
          train longer: change "steps" in experiments/configs/demo_student.json""")


def main(argv=None):
    """Runs the command; returns the exit code."""
    return cli.main(run, FLAGS, __doc__, argv)


if __name__ == "__main__":
    sys.exit(main())
