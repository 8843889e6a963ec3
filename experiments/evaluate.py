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
fixed scan's, in mm. --workers=N shares the pairs among processes here, --scheduler=tcp://HOST:8786
among those of a dask cluster; seconds are then those of machines that do other things too.
"""

import contextlib
import os
import sys

from absl import flags

from experiments.evaluation.plan import Plan
from ldr_tf.commands import cli, cluster
from ldr_tf.config.network import RUN_PRECISIONS
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
_PRECISION = flags.DEFINE_enum(
    "precision",
    "auto",
    RUN_PRECISIONS,
    "In which networks compute; auto: bfloat16, which is faster, where processor and network bear "
    "it.",
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
_THREADS = flags.DEFINE_integer(
    "threads",
    None,
    "Threads that measure, in one process; default: one per core.",
    lower_bound=1,
    flag_values=FLAGS,
)
cluster.define_flags(FLAGS, "Processes that share the pairs and this machine's cores.")


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


def _check_flags():
    if not (_RUN.value or _BASELINE.value):
        raise InputError("--run must name at least one run folder (or --baseline a program).")
    if (_DATASET.value is None) == (_PAIRS.value is None):
        raise InputError("--dataset or --pairs must say where the scans are, one of the two.")
    if _PAIRS.value and (_ORIGINALS.value or _FORMAT.value == "rcn"):
        raise InputError("--original_metrics and --format=rcn are for a --dataset alone.")
    if cluster.wanted(FLAGS) and _THREADS.value:
        raise InputError("--threads is for one process; several workers share the cores.")
    if _TRUTH.value and not os.path.isdir(_TRUTH.value):
        raise InputError(f"--true_displacements: {_TRUTH.value} is not a folder.")


def _plan(names):
    from experiments.grid_flags import parse_spacing

    spacing = parse_spacing(_SPACING.value)
    if spacing and min(spacing) <= 0:
        raise InputError(f"--spacing must be above zero, not {','.join(_SPACING.value)}.")
    return Plan(
        runs=tuple((name, path, _PRECISION.value) for name, path in zip(names, _RUN.value)),
        baselines=tuple(_BASELINE.value),
        refine_steps=_REFINE_STEPS.value,
        affine=_AFFINE.value,
        dataset=_DATASET.value,
        subset=_SUBSET.value,
        paired=_PAIRED.value,
        allow_external=_ALLOW_EXTERNAL.value,
        spacing=spacing,
        pairs=_PAIRS.value,
        points_space=_POINTS_SPACE.value,
        true_displacements=_TRUTH.value,
        originals=_ORIGINALS.value or _FORMAT.value == "rcn",
    )


def run():
    """Evaluates what the flags say."""
    _check_flags()
    names = run_names(_RUN.value, _NAMES.value)
    plan = _plan(names)
    check_output_folder(_OUTPUT.value)
    from experiments.evaluation.journal import Journal
    from experiments.evaluation.runner import Runner
    from experiments.evaluation.work import Bench

    with contextlib.closing(plan.cases()) as cases, Journal(_OUTPUT.value) as journal:
        methods = plan.methods()
        indices = list(range(len(cases.ids)))[: _LIMIT.value]
        runner = Runner(Bench(cases, plan.originals), journal)
        if cluster.wanted(FLAGS):
            with cluster.opened(FLAGS) as shared:
                rows = runner.run_on(shared, plan.settled(methods), methods, indices)
        else:
            rows = runner.run(methods, indices, _THREADS.value)
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
        precision={method.name: method.precision for method in methods if method.name in names},
        failed=list(dict.fromkeys(runner.failures.values())),
        unknown_spacing=bool(_DATASET.value) and cases.spacing is None,
        shared=cluster.wanted(FLAGS),
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
