"""Measures trained networks, and doing nothing, on the pairs of a data set.

    python -m experiments.evaluate --run=RUN [--run=RUN2 ...] --dataset=X.json --subset=2 \
        --output=DIR

Writes DIR/pairs.csv (a row for each method and pair), DIR/labels.csv (Dice of each label) and
DIR/summary.json, and prints one line a method. The method "identity" is always among them: the
moving image as it is. Exit codes: 0, 2 for bad input, 1 for a failure of ours.
"""

import collections
import csv
import itertools
import math
import os
import statistics
import sys

from absl import flags

from experiments.progress import Progress
from ldr_tf.commands import cli
from ldr_tf.errors import InputError
from ldr_tf.files import atomic_path, check_output_folder, write_json

FLAGS = cli.new_flags()
_RUN = flags.DEFINE_multi_string(
    "run", [], "Run folder of a network; repeat the flag for several.", flag_values=FLAGS
)
_NAMES = flags.DEFINE_list(
    "names",
    [],
    "Names of the runs in tables, separated by commas, in the order of --run; default: the "
    "folders' names.",
    flag_values=FLAGS,
)
_DATASET = flags.DEFINE_string(
    "dataset", None, "The data set's JSON file.", required=True, flag_values=FLAGS
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
_LIMIT = flags.DEFINE_integer(
    "limit", None, "Only the first N pairs.", lower_bound=1, flag_values=FLAGS
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

IDENTITY = "identity"
ROW_COLUMNS = [
    "method",
    "fixed",
    "moving",
    "dice",
    "jaccard",
    "landmark",
    "std_jacobian",
    "folds_percent",
    "seconds",
    "correlation",
    "folds",
    "labels_absent",
    "parameters",
]
TABLE_COLUMNS = (  # heading, figure, format
    ("Dice", "dice", "{:.3f}"),
    ("Jaccard", "jaccard", "{:.3f}"),
    ("landmark", "landmark", "{:.2f}"),
    ("std|J|", "std_jacobian", "{:.3f}"),
    ("folds %", "folds_percent", "{:.3f}"),
    ("seconds", "seconds", "{:.3f}"),
)
SECONDS_NOTE = "seconds: flow and warped image of one pair, measured after a warm-up call"


def evaluate_methods(networks, manifest, subset, paired=False, limit=None, originals=False):
    """Evaluates several networks on the same pairs, showing progress.

    Args:
      networks: mapping from a method's name to a network, or None for the identity.
      manifest: of the data set (`data.manifest.read_manifest`).
      subset, paired: which pairs, see `data.pairs.list_pairs`.
      limit: only this many pairs; None takes all.
      originals: see `ldr_tf.evaluation.evaluate_pair`.

    Returns:
      list of rows of `ldr_tf.evaluation.evaluate_pair`, each with "method" and "parameters" added.

    Raises:
      InputError: the subset is unknown or makes no pair, a scan cannot be read, or a network is
        bound to another size of volume.
    """
    from data.pairs import list_pairs
    from data.pipeline import evaluation_pairs
    from ldr_tf.evaluation import evaluate

    for name, network in networks.items():
        if network is not None:
            check_size(name, network.config.network, manifest)
    count = len(list_pairs(manifest, subset, paired))
    count = min(count, limit or count)
    rows = []
    with Progress(count * len(networks), "pair") as progress:
        for name, network in networks.items():
            parameters = 0 if network is None else network.count_params()
            pairs = itertools.islice(evaluation_pairs(manifest, subset, paired), count)
            for row in evaluate(
                network,
                pairs,
                manifest.segmentation_class_value,
                observer=lambda row, name=name: progress.advance(name),
                originals=originals,
            ):
                rows.append({"method": name, "parameters": parameters, **row})
    return rows


def check_size(name, network_config, manifest):
    """Refuses, with InputError, a network that is bound to another size than the data set's."""
    bound = network_config.affine_stem != "none"
    if bound and tuple(network_config.image_size) != tuple(manifest.image_size):
        raise InputError(
            f"{name}: its affine stem is bound to volumes of {_size(network_config.image_size)}, "
            f"but {manifest.path} has image_size {_size(manifest.image_size)}."
        )


def summarize_methods(rows):
    """Returns `ldr_tf.evaluation.summarize` of each method's rows, with "parameters" added."""
    from ldr_tf.evaluation import summarize

    return {
        name: {"parameters": group[0]["parameters"], **summarize(group)}
        for name, group in _by_method(rows).items()
    }


def _by_method(rows):
    groups = collections.defaultdict(list)
    for row in rows:
        groups[row["method"]].append(row)
    return groups


def table(rows):
    """Returns the comparison of the methods in `rows` as text: one line a method, means."""
    lines = [["method"] + [heading for heading, _, _ in TABLE_COLUMNS] + ["parameters"]]
    for name, summary in summarize_methods(rows).items():
        means = [(summary[figure]["mean"], form) for _, figure, form in TABLE_COLUMNS]
        cells = ["-" if math.isnan(mean) else form.format(mean) for mean, form in means]
        lines.append([name] + cells + [f"{summary['parameters']:,}"])
    widths = [max(map(len, column)) for column in zip(*lines)]
    return "\n".join(
        "  ".join([line[0].ljust(widths[0])] + [c.rjust(w) for c, w in zip(line[1:], widths[1:])])
        for line in lines
    )


def write_results(rows, folder, **about):
    """Writes pairs.csv, labels.csv and summary.json into `folder`, each whole or not at all.

    NaN is an empty cell in the CSV files and null in the JSON file.

    Args:
      rows: of `evaluate_methods`.
      folder: made if absent.
      **about: what else summary.json holds.
    """
    os.makedirs(folder, exist_ok=True)
    extra = [key for key in rows[0] if key not in ROW_COLUMNS and key != "labels"]
    _write_csv(os.path.join(folder, "pairs.csv"), ROW_COLUMNS + extra, rows)
    labels = [
        {**row, "label": label, "dice": dice}
        for row in rows
        for label, dice in row["labels"].items()
    ]
    columns = ["method", "fixed", "moving", "label", "dice"]
    _write_csv(os.path.join(folder, "labels.csv"), columns, labels)
    summary = {**about, "notes": [SECONDS_NOTE], "methods": summarize_methods(rows)}
    write_json(os.path.join(folder, "summary.json"), _without_nan(summary))


def write_rcn_lines(rows, folder):
    """Writes METHOD.txt for each method: the text lines of the original code's evaluation.

    One line a pair, `id1 id2 dice jacc landmark std|J|`, then a summary, mean (standard deviation).
    A landmark distance is 0 where there are no landmarks, as in the original; Dice and Jaccard
    are nan where there are no labels, and the summary leaves such pairs out. A "/" in a method's
    name is "_" in the file's.
    """
    for name, group in _by_method(rows).items():
        figures = [
            [
                row["original_dice"],
                row["original_jaccard"],
                0.0 if math.isnan(row["original_landmark"]) else row["original_landmark"],
                row["std_jacobian"],
            ]
            for row in group
        ]
        lines = [
            " ".join([row["fixed"], row["moving"], *map(str, values)])
            for row, values in zip(group, figures)
        ]
        lines.append("Summary")
        titles = ("Dice score", "Jacc score", "Landmark distance", "Jacobian determinant")
        for title, values in zip(titles, zip(*figures)):
            values = [value for value in values if not math.isnan(value)] or [math.nan]
            spread = statistics.pstdev(values) if len(values) > 1 else 0 * values[0]
            lines.append(f"{title}: {statistics.fmean(values)} ({spread})")
        path = os.path.join(folder, f"{name.strip('/').replace('/', '_')}.txt")
        with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")


def run_names(runs, names):
    """Returns the methods' names of the run folders; InputError where they are no use."""
    if not names:
        names = [os.path.basename(os.path.normpath(run)) for run in runs]
        names = [run if names.count(name) > 1 else name for run, name in zip(runs, names)]
    if len(names) != len(runs):
        raise InputError(f"--names must hold one name a run, {len(runs)}, not {len(names)}.")
    for name in names:
        if not name or name == IDENTITY or names.count(name) > 1:
            raise InputError(f"--names must differ from each other and {IDENTITY!r}, not {name!r}.")
    return names


def _write_csv(path, columns, rows):
    with atomic_path(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        for row in rows:
            writer.writerow([_cell(row[column]) for column in columns])


def _cell(value):
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.6g}"
    return value


def _without_nan(value):
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value


def _size(size):
    return "x".join(map(str, size))


def run():
    """Evaluates what the flags say."""
    if not _RUN.value:
        raise InputError("--run must name at least one run folder.")
    names = run_names(_RUN.value, _NAMES.value)
    check_output_folder(_OUTPUT.value)

    from data.manifest import read_manifest

    manifest = read_manifest(_DATASET.value)
    import ldr_tf

    networks = {IDENTITY: None}
    networks.update((name, ldr_tf.load_run(path)) for name, path in zip(names, _RUN.value))
    originals = _ORIGINALS.value or _FORMAT.value == "rcn"
    rows = evaluate_methods(
        networks, manifest, _SUBSET.value, _PAIRED.value, _LIMIT.value, originals
    )
    write_results(
        rows,
        _OUTPUT.value,
        dataset=_DATASET.value,
        subset=_SUBSET.value,
        paired=_PAIRED.value,
        runs=dict(zip(names, _RUN.value)),
    )
    if _FORMAT.value == "rcn":
        write_rcn_lines(rows, _OUTPUT.value)
    print(table(rows))
    print(SECONDS_NOTE)
    print(f"written: {os.path.join(_OUTPUT.value, 'pairs.csv')}, labels.csv, summary.json")


def main(argv=None):
    """Runs the command line; returns the exit code."""
    return cli.main(run, FLAGS, __doc__, argv)


if __name__ == "__main__":
    sys.exit(main())
