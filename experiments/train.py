"""Trains a teacher, or a student with or without its teacher's help.

    python -m experiments.train --stage=teacher --dataset=X.json --output=TEACHER
    python -m experiments.train --stage=student --dataset=X.json --teacher=TEACHER --output=STUDENT

The same command resumes a training that was interrupted. All further settings are fields of the
run's config, listed below the flags. They come from --config, a JSON file of such fields, and from
--set, which wins:

    --set=loss.similarity=local_correlation --set=optimisation.steps=9000
"""

import sys

from absl import flags

from experiments import settings_help
from ldr_tf.commands import cli
from ldr_tf.config import CHANGEABLE
from ldr_tf.errors import InputError

FLAGS = cli.new_flags()
_STAGE = flags.DEFINE_enum(
    "stage", None, ["teacher", "student"], "what to train", required=True, flag_values=FLAGS
)
_DATASET = flags.DEFINE_string(
    "dataset", None, "JSON of the data set", required=True, flag_values=FLAGS
)
_SUBSET = flags.DEFINE_string(
    "subset", None, "scheme or subset to train on (default: 1)", flag_values=FLAGS
)
_OUTPUT = flags.DEFINE_string(
    "output", None, "run folder, made or resumed", required=True, flag_values=FLAGS
)
_TEACHER = flags.DEFINE_string(
    "teacher", None, "the teacher's run folder, for a student", flag_values=FLAGS
)
_TEACHER_FLOWS = flags.DEFINE_string(
    "teacher_flows", None, "store of the teacher's flows, instead of --teacher", flag_values=FLAGS
)
_INIT = flags.DEFINE_string(
    "init",
    None,
    "run folder whose weights the training starts from; it may have fewer cascades",
    flag_values=FLAGS,
)
_CONFIG = flags.DEFINE_string("config", None, "JSON file of config fields", flag_values=FLAGS)
_SET = flags.DEFINE_multi_string(
    "set", [], "FIELD=VALUE, a field of the config; may be repeated", flag_values=FLAGS
)
_OVERRIDE = flags.DEFINE_bool(
    "override",
    False,
    "resume with changed settings; these may change: " + ", ".join(sorted(CHANGEABLE)),
    flag_values=FLAGS,
)
_PROFILE = flags.DEFINE_string(
    "profile",
    None,
    "FIRST:LAST, steps that TensorFlow's profiler records, for TensorBoard",
    flag_values=FLAGS,
)
_PLAN = flags.DEFINE_bool(
    "plan",
    False,
    "only say what a step will take, by batch size: parameters, memory, multiply-adds; nothing is "
    "trained or written",
    flag_values=FLAGS,
)


def parse_profile(text):
    """Returns (first, last) of "FIRST:LAST"; None for None."""
    if text is None:
        return None
    first, _, last = text.partition(":")
    if not (first.isdigit() and last.isdigit() and 1 <= int(first) <= int(last)):
        raise InputError(f"--profile must be FIRST:LAST with 1 <= FIRST <= LAST, not {text!r}.")
    return int(first), int(last)


def run():
    from experiments.training import Training, plan

    profile = parse_profile(_PROFILE.value)
    training = Training(
        stage=_STAGE.value,
        dataset=_DATASET.value,
        output=_OUTPUT.value,
        config_file=_CONFIG.value,
        settings=tuple(_SET.value),
        subset=_SUBSET.value,
        teacher=_TEACHER.value,
        teacher_flows=_TEACHER_FLOWS.value,
        init=_INIT.value,
    )
    if _PLAN.value:
        return plan(training.config())
    return training.run(override=_OVERRIDE.value, profile=profile)


def main(argv=None):
    """Runs the command; returns the exit code."""
    return cli.main(run, FLAGS, __doc__, argv, settings_help.text())


if __name__ == "__main__":
    sys.exit(main())
