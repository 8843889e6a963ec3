"""Trains a teacher, or a student with or without its teacher's help.

    python -m experiments.train --stage=teacher --dataset=X.json --output=TEACHER
    python -m experiments.train --stage=student --dataset=X.json --teacher=TEACHER --output=STUDENT

The same command resumes a training that was interrupted. Settings come from --config, a JSON file
of config fields, and from the flags, which win.
"""

import dataclasses
import functools
import itertools
import os
import signal
import sys

from absl import flags

from experiments import config_flags
from ldr_tf import config as configs
from ldr_tf import records
from ldr_tf.commands import cli
from ldr_tf.commands.quiet import quiet_xla
from ldr_tf.errors import InputError
from ldr_tf.files import check_output_folder, read_json

FLAGS = cli.new_flags()
_STAGE = flags.DEFINE_enum(
    "stage", None, ["teacher", "student"], "what is trained", required=True, flag_values=FLAGS
)
_DATASET = flags.DEFINE_string(
    "dataset", None, "JSON of the data set", required=True, flag_values=FLAGS
)
_SUBSET = flags.DEFINE_string("subset", "1", "scheme or subset to train on", flag_values=FLAGS)
_VALIDATION = flags.DEFINE_string(
    "validation", "2", "scheme or subset to validate on; empty for none", flag_values=FLAGS
)
_VALIDATION_PAIRS = flags.DEFINE_integer(
    "validation_pairs", 20, "pairs of it that are used", lower_bound=1, flag_values=FLAGS
)
_OUTPUT = flags.DEFINE_string(
    "output", None, "run folder, made or resumed", required=True, flag_values=FLAGS
)
_TEACHER = flags.DEFINE_string("teacher", None, "the teacher's run folder", flag_values=FLAGS)
_TEACHER_FLOWS = flags.DEFINE_string(
    "teacher_flows", None, "store of the teacher's flows, instead of --teacher", flag_values=FLAGS
)
_INIT = flags.DEFINE_string(
    "init",
    None,
    "run folder whose weights the training starts from; it may have fewer cascades",
    flag_values=FLAGS,
)
_CACHE = flags.DEFINE_bool(
    "cache", False, "keep all scans that were read in memory", flag_values=FLAGS
)
_OVERRIDE = flags.DEFINE_bool(
    "override",
    False,
    "resume with other settings, where they may change: " + ", ".join(sorted(configs.CHANGEABLE)),
    flag_values=FLAGS,
)
_CONFIG = flags.DEFINE_string("config", None, "JSON file of config fields", flag_values=FLAGS)
config_flags.define(FLAGS)

# What each stage is where neither --config nor a flag says otherwise.
_STAGE_DEFAULTS = {
    "teacher": {"network": {"base_network": "VTN"}},
    "student": {"network": {"base_network": "LDR"}},
}


def build_config(manifest):
    """Returns the RunConfig that stage, config file, flags and data set make together."""
    values = dict(_STAGE_DEFAULTS[_STAGE.value])
    if _TEACHER.value is not None or _TEACHER_FLOWS.value is not None:
        values["distillation"] = {"kind": "aldk"}
    layers = [read_json(_CONFIG.value)] if _CONFIG.value else []
    for layer in [*layers, config_flags.overrides(FLAGS)]:
        if not isinstance(layer, dict):
            raise InputError(f"{_CONFIG.value}: must hold a JSON object of config fields.")
        values = _merged(values, layer)
    values = _merged(
        values,
        {
            "stage": _STAGE.value,
            "network": {"image_size": list(manifest.image_size)},
            "dataset": _DATASET.value,
            "subset": _SUBSET.value,
            "teacher": _TEACHER.value,
            "teacher_flows": _TEACHER_FLOWS.value,
            "image": records.to_dict(manifest.image) if manifest.image else {},
        },
    )
    return records.from_dict(configs.RunConfig, values)


def _merged(base, layer):
    result = dict(base)
    for key, value in layer.items():
        nested = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = _merged(result[key], value) if nested else value
    return result


def check_distillation(config):
    """Refuses a config whose distillation and teacher do not fit."""
    given = [name for name in ("teacher", "teacher_flows") if getattr(config, name) is not None]
    if config.distillation.kind != "none" and not given:
        raise InputError(
            f"--distillation={config.distillation.kind} needs --teacher=RUN or "
            "--teacher_flows=STORE."
        )
    if len(given) > 1:
        raise InputError("--teacher and --teacher_flows: only one of them can be the teacher.")
    if given and config.distillation.kind == "none":
        raise InputError(f"--{given[0]} is given, but --distillation=none makes no use of it.")
    if given and config.stage == "teacher":
        raise InputError(f"--{given[0]} belongs to --stage=student.")


def open_run(folder, config):
    """Makes the run folder, or checks that the one there was trained with the same config.

    With --override, settings that may change are taken over.
    """
    from ldr_tf.runs import checkpoints

    if not os.path.exists(os.path.join(folder, checkpoints.CONFIG_NAME)):
        checkpoints.write_config(folder, config)
        return
    rows = records.differences(checkpoints.read_config(folder), config)
    refused = [row for row in rows if not _OVERRIDE.value or row[0] not in configs.CHANGEABLE]
    if refused:
        fields = "; ".join(f"{name} was {old!r}, now {new!r}" for name, old, new in refused)
        raise InputError(
            f"{folder}: holds a run with another config ({fields}); choose another --output, give "
            "the same settings, or --override those that may change."
        )
    if rows:
        checkpoints.write_config(folder, config)


def load_teacher(config):
    """Returns the teacher's network, checked to take the student's volumes; None without one."""
    if config.teacher is None:
        return None
    from ldr_tf.runs.checkpoints import load_run

    teacher = load_run(config.teacher)
    size = teacher.config.network.image_size
    if size != config.network.image_size:
        raise InputError(
            f"{config.teacher}: was trained at {size}, the data set holds "
            f"{config.network.image_size}; teacher and student must share one size."
        )
    return teacher


def load_initial(config):
    """Returns the network of --init, checked to be one that ours can start from, or None."""
    if _INIT.value is None:
        return None
    from ldr_tf.runs.checkpoints import load_run

    initial = load_run(_INIT.value)
    network = initial.config.network
    if network.cascades < config.network.cascades:
        network = dataclasses.replace(network, cascades=config.network.cascades)
    rows = records.differences(network, config.network, "network.")
    if rows:
        field, theirs, ours = rows[0]
        raise InputError(
            f"{_INIT.value}: is another network ({field} is {theirs!r}, not {ours!r}); "
            "its weights cannot be taken."
        )
    return initial


def pair_names(manifest, training, step):
    """Returns the keys of a step's pairs as text, fixed before moving."""
    from data.pairs import training_pairs

    pairs = training_pairs(
        manifest,
        _SUBSET.value,
        training.batch_size,
        training.seed,
        step,
        paired=training.paired,
    )
    return ", ".join(f"{fixed} {moving}" for fixed, moving in pairs)


def validation(manifest, network):
    """Returns the callable that gives validation figures, or None without a validation subset."""
    from data.pipeline import evaluation_pairs
    from ldr_tf.evaluation import Predictor, validate

    name = _VALIDATION.value
    if not name or (name == "2" and name not in manifest.schemes and name not in manifest.subsets):
        return None
    evaluation_pairs(manifest, name)  # a wrong name is found before training, not after
    predictor = Predictor(network)

    def figures():
        pairs = itertools.islice(evaluation_pairs(manifest, name), _VALIDATION_PAIRS.value)
        return validate(predictor, pairs, manifest.segmentation_class_value)

    return figures


def run():
    from data.manifest import read_manifest

    manifest = read_manifest(_DATASET.value)
    config = build_config(manifest)
    check_distillation(config)

    from data.pipeline import label_classes, training_dataset
    from experiments.progress import TrainingProgress
    from ldr_tf.training import devices
    from ldr_tf.training.loop import TrainingError, resume, train
    from ldr_tf.training.state import TrainingState
    from ldr_tf.training.step import TrainingStep

    # All that can be refused is looked at before the run folder is made.
    check_output_folder(_OUTPUT.value)
    training = config.training
    strategy = devices.make_strategy(training.strategy)
    devices.check(strategy, training)
    read = functools.partial(
        training_dataset,
        manifest,
        _SUBSET.value,
        training.batch_size,
        training.seed,
        paired=training.paired,
        images=training.images,
        painted=training.painted,
        labels=training.label_weight > 0,
        cache=_CACHE.value,
        flows=config.teacher_flows,
    )
    read()
    quiet_xla()
    with strategy.scope():
        teacher = load_teacher(config)
    state = TrainingState(config, strategy)
    initial = load_initial(config)
    validate = validation(manifest, state.network)
    if devices.is_chief(strategy):
        open_run(_OUTPUT.value, config)
    first = resume(state, _OUTPUT.value)
    batches = devices.distribute(
        strategy, functools.partial(read, first_step=first), training.batch_size
    )
    if not first and initial is not None:
        state.network.start_from(initial)
    print(
        f"{config.stage}: {config.network.base_network}, "
        f"{state.network.count_params():,} parameters, "
        f"{'resuming at step ' + str(first) if first else 'from the start'}"
    )
    stopping = _stop_on_signals()
    try:
        finished = train(
            state,
            TrainingStep(state, teacher, len(label_classes(manifest))),
            batches,
            _OUTPUT.value,
            validate=validate,
            observer=TrainingProgress(),
            should_stop=stopping,
            describe=functools.partial(pair_names, manifest, training),
        )
    except TrainingError as error:
        print(f"train: {error}", file=sys.stderr)
        return cli.FAILURE
    if not finished:
        print(f"stopped at step {int(state.step.numpy())}, saved; the same command resumes.")
        return cli.FAILURE
    print(f"trained: {_OUTPUT.value}")
    return 0


def _stop_on_signals():
    """Makes SIGINT and SIGTERM ask the loop to save and leave; a second SIGINT interrupts."""
    asked = []

    def ask(number, _):
        asked.append(number)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, ask)
    return lambda: bool(asked)


def main(argv=None):
    """Runs the command; returns the exit code."""
    return cli.main(run, FLAGS, __doc__, argv)


if __name__ == "__main__":
    sys.exit(main())
