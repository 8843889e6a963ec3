r"""Measures trained networks on the pairs of a data set or of a list of files.

    python -m experiments.evaluate --run=RUN [--run=RUN2 ...] --output=DIR \
        --dataset=X.json --subset=2 | --pairs=pairs.csv

Writes DIR/pairs.csv (a row for each method and pair), DIR/labels.csv (a row for each label),
DIR/summary.json and DIR/report.html, and prints one line for each method. The method "identity",
the moving image as it is, is always among them. Finished rows are recorded at once in
DIR/journal.jsonl: the same command goes on after an interruption, and measures only what is new or
has changed. A pair that fails is named and the rest goes on. Exit codes: 0, 2 for bad input (a
failed pair too), 1 for a failure of ours.

--pairs takes the list that ldr-register takes (columns fixed, moving, fixed_labels, moving_labels,
fixed_points, moving_points); every network then works on its own grid, and all is measured on the
fixed scan's, in mm. For job arrays: --shard=1/8 ... 8/8 with one --output, then --merge.
"""

import contextlib
import os
import sys

from absl import flags

from ldr_tf.commands import cli
from ldr_tf.commands.quiet import quiet_xla
from ldr_tf.errors import InputError
from ldr_tf.files import check_output_folder

FLAGS = cli.new_flags()
_RUN = flags.DEFINE_multi_string(
    "run",
    [],
    "Run folder of a network, a shipped model's name, model folder of experiments.export, or "
    "grpc://HOST:PORT/NAME; repeat the flag for several.",
    flag_values=FLAGS,
)
_NAMES = flags.DEFINE_list(
    "names",
    [],
    "Names of the runs in tables, separated by commas, in the order of --run; default: the "
    "folders' names.",
    flag_values=FLAGS,
)
_DATASET = flags.DEFINE_string("dataset", None, "The data set's JSON file.", flag_values=FLAGS)
_PAIRS = flags.DEFINE_string(
    "pairs", None, "A CSV list of scans in files, instead of a data set.", flag_values=FLAGS
)
_SUBSET = flags.DEFINE_string(
    "subset", "2", "Scheme or subset whose pairs are registered.", flag_values=FLAGS
)
_OUTPUT = flags.DEFINE_string(
    "output", None, "Folder for the results; made if absent.", required=True, flag_values=FLAGS
)
_PAIRED = flags.DEFINE_bool(
    "paired", False, "Only neighbours (0,1), (1,0), (2,3), ... are pairs.", flag_values=FLAGS
)
_ALLOW_EXTERNAL = flags.DEFINE_bool(
    "allow_external",
    False,
    "The data set's HDF5 files may lead to other files.",
    flag_values=FLAGS,
)
_LIMIT = flags.DEFINE_integer(
    "limit", None, "Only the first N pairs.", lower_bound=1, flag_values=FLAGS
)
_REFINE_STEPS = flags.DEFINE_integer(
    "refine_steps",
    0,
    "Adds a row for each run, its answer refined on the pair itself in N steps.",
    lower_bound=0,
    flag_values=FLAGS,
)
_BASELINE = flags.DEFINE_list(
    "baseline",
    [],
    "Other programs to compare with: ants (SyN), elastix (affine and B-spline), greedy; they need "
    "the extra `baselines`.",
    flag_values=FLAGS,
)
_AFFINE = flags.DEFINE_enum(
    "affine",
    "auto",
    ["auto", "none", "moments", "full"],
    "The affine step before a network, with --pairs.",
    flag_values=FLAGS,
)
_SPACING = flags.DEFINE_list(
    "spacing",
    None,
    "Mm per voxel of the data set, one or three numbers; default: what its JSON says, else 1.",
    flag_values=FLAGS,
)
_POINTS_SPACE = flags.DEFINE_enum(
    "points_space", "LPS", ["LPS", "RAS"], "Of landmark files, with --pairs.", flag_values=FLAGS
)
_TRUTH = flags.DEFINE_string(
    "true_displacements",
    None,
    "Folder of known displacement fields MOVING_to_FIXED.nii.gz (ITK's, mm), for the end-point "
    "error.",
    flag_values=FLAGS,
)
_ORIGINALS = flags.DEFINE_bool(
    "original_metrics",
    False,
    "Also measure Dice, Jaccard and landmarks as the original code of the papers does (masks "
    "warped linearly, absent landmarks counted).",
    flag_values=FLAGS,
)
_FORMAT = flags.DEFINE_enum(
    "format",
    "csv",
    ["csv", "rcn"],
    "rcn also writes METHOD.txt in the lines of the original code, with its metrics.",
    flag_values=FLAGS,
)
_REPORT = flags.DEFINE_enum(
    "report",
    "full",
    ["full", "plain", "none"],
    "full: with pictures of each method's best, median and worst pair, which are registered once "
    "more for it; plain: without; none: no report.html.",
    flag_values=FLAGS,
)
_WORKERS = flags.DEFINE_integer(
    "workers",
    None,
    "Threads that measure; default: one per core.",
    lower_bound=1,
    flag_values=FLAGS,
)
_SHARD = flags.DEFINE_string(
    "shard", None, "i/n: only every n-th pair from the i-th on; no tables yet.", flag_values=FLAGS
)
_MERGE = flags.DEFINE_bool(
    "merge", False, "Writes the tables of all shards; registers nothing.", flag_values=FLAGS
)


def run_names(runs, names):
    """Returns the methods' names of the run folders; InputError where they are unfit."""
    if not names:
        names = [os.path.basename(os.path.normpath(run)) for run in runs]
        names = [run if names.count(name) > 1 else name for run, name in zip(runs, names)]
    if len(names) != len(runs):
        raise InputError(f"--names must hold one name per run, {len(runs)}, not {len(names)}.")
    for name in names:
        if not name or name == "identity" or names.count(name) > 1:
            raise InputError(f"--names must differ from each other and 'identity', not {name!r}.")
    return names


def parse_shard(text):
    """Returns (number, count) of "i/n" with 1 <= i <= n, None of None."""
    if text is None:
        return None
    number, _, count = text.partition("/")
    if not (number.isdigit() and count.isdigit() and 1 <= int(number) <= int(count)):
        raise InputError(f"--shard must be i/n with i from 1 to n, such as 2/8, not {text!r}.")
    return int(number), int(count)


def _check_flags():
    if not (_RUN.value or _BASELINE.value):
        raise InputError("--run must name at least one run folder (or --baseline a program).")
    if (_DATASET.value is None) == (_PAIRS.value is None):
        raise InputError("--dataset or --pairs must say where the scans are, one of the two.")
    if _PAIRS.value and (_ORIGINALS.value or _FORMAT.value == "rcn"):
        raise InputError("--original_metrics and --format=rcn are for a --dataset alone.")
    if _MERGE.value and _SHARD.value:
        raise InputError("--merge comes after all shards, without --shard.")
    if _TRUTH.value and not os.path.isdir(_TRUTH.value):
        raise InputError(f"--true_displacements: {_TRUTH.value} is not a folder.")


def _cases():
    from experiments.evaluation.cases import DatasetCases, FileCases

    if _PAIRS.value:
        return FileCases(_PAIRS.value, _POINTS_SPACE.value, _TRUTH.value)
    from data.manifest import read_manifest
    from experiments.grid_flags import parse_spacing

    spacing = parse_spacing(_SPACING.value)
    if spacing and min(spacing) <= 0:
        raise InputError(f"--spacing must be above zero, not {','.join(_SPACING.value)}.")
    manifest = read_manifest(_DATASET.value, _ALLOW_EXTERNAL.value)
    return DatasetCases(manifest, _SUBSET.value, _PAIRED.value, spacing, _TRUTH.value)


def _methods(names):
    """Returns the methods in the order of the tables, all of their files and packages there."""
    from experiments.evaluation.baselines import make_baseline
    from experiments.evaluation.methods import Identity, NetworkMethod
    from ldr_tf.models import load_model

    quiet_xla()
    others = [make_baseline(name) for name in _BASELINE.value]
    methods = [Identity()]
    for name, path in zip(names, _RUN.value):
        model = load_model(path)
        if model is None:
            raise InputError(f"--run={path}: must be a model; what does nothing is there anyway.")
        for steps in dict.fromkeys((0, _REFINE_STEPS.value)):
            label = f"{name} + {steps} steps" if steps else name
            methods.append(NetworkMethod(label, model, steps, _AFFINE.value))
    return methods + others


def run():
    """Evaluates what the flags say."""
    _check_flags()
    names, shard = run_names(_RUN.value, _NAMES.value), parse_shard(_SHARD.value)
    check_output_folder(_OUTPUT.value)
    from experiments.evaluation.journal import Journal
    from experiments.evaluation.runner import Runner

    with contextlib.closing(_cases()) as cases, Journal(_OUTPUT.value, shard) as journal:
        methods = _methods(names)
        indices = list(range(len(cases.ids)))[: _LIMIT.value]
        runner = Runner(cases, journal, _ORIGINALS.value or _FORMAT.value == "rcn", _WORKERS.value)
        if shard is not None:
            indices = indices[shard[0] - 1 :: shard[1]]
            rows = runner.run(methods, indices)
            print(f"shard {_SHARD.value}: {len(rows)} rows; --merge follows the last shard")
            return _conclude(runner)
        if _MERGE.value:
            journal.add_all_shards(_OUTPUT.value)
            missing = runner.missing(methods, indices)
            if missing:
                raise InputError(
                    f"{_OUTPUT.value}: {len(missing)} rows of {len(methods) * len(indices)} are "
                    f"missing, such as {', '.join(missing[0])}; run their shards again."
                )
            rows = runner.collect(methods, indices)
        else:
            rows = runner.run(methods, indices)
        if rows:
            _write(rows, cases, methods, runner, names)
        return _conclude(runner)


def _conclude(runner):
    if not runner.failures:
        return 0
    sentences = dict.fromkeys(runner.failures.values())
    print(f"{len(sentences)} failed:", *sentences, sep="\n", file=sys.stderr)
    return cli.BAD_INPUT


def _write(rows, cases, methods, runner, names):
    from experiments.evaluation import results, tables

    about = results.about(
        FLAGS,
        rows,
        dataset=_DATASET.value or _PAIRS.value,
        subset=_SUBSET.value if _DATASET.value else None,
        paired=_PAIRED.value,
        runs=dict(zip(names, _RUN.value)),
        failed=list(dict.fromkeys(runner.failures.values())),
        unknown_spacing=bool(_DATASET.value) and cases.spacing is None,
    )
    written = results.write(
        rows, cases, methods, _OUTPUT.value, about, _FORMAT.value, _REPORT.value
    )
    print(tables.table(rows))
    print("mean (standard deviation over pairs)", *about["notes"], sep="; ")
    for warning in about["warnings"]:
        print(warning, file=sys.stderr)
    print(f"written: {os.path.join(_OUTPUT.value, written[0])}, {', '.join(written[1:])}")


def main(argv=None):
    """Runs the command line; returns the exit code."""
    return cli.main(run, FLAGS, __doc__, argv)


if __name__ == "__main__":
    sys.exit(main())
