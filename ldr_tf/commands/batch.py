"""Many pairs of ldr-register: the list of pairs, and the run through it."""

import csv
import io
import json
import os
import sys
import time

from tqdm import tqdm

from ldr_tf.commands import cli
from ldr_tf.commands.pair import (
    SUMMARY,
    Pair,
    check_pair,
    read_pair,
    recorded,
    register_pair,
    since,
)
from ldr_tf.errors import InputError
from ldr_tf.files import atomic_path

_REQUIRED = ("fixed", "moving")
_PATHS = (*_REQUIRED, "fixed_labels", "moving_labels", "fixed_points", "moving_points")
_RESULTS = "results.csv"


def read_pairs(path, output):
    """Reads a list of pairs.

    Args:
      path: a CSV file with the columns fixed and moving, and any of fixed_labels, moving_labels,
        fixed_points, moving_points, output. Paths are seen from the file's own folder; `output` is
        a name below the output folder, by default MOVING_to_FIXED.
      output: the output folder.

    Returns:
      A list of `Pair`.

    Raises:
      InputError: naming the file and the line.
    """
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, skipinitialspace=True)
            _check_columns(path, reader.fieldnames or [])
            rows = [(reader.line_num, row) for row in reader]
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}).") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: is not a CSV file.") from error
    if not rows:
        raise InputError(f"{path}: lists no pairs.")
    pairs, lines = [], {}
    for line, row in rows:
        pair = _pair(row, f"{path}: line {line}", os.path.dirname(path), output)
        place = os.path.normpath(pair.output)
        if place in lines:
            raise InputError(
                f"{path}: lines {lines[place]} and {line} have one output folder "
                f"({os.path.basename(place)}); name another in the column output."
            )
        lines[place] = line
        pairs.append(pair)
    return pairs


def run_pairs(pairs, settings, model, output):
    """Registers all pairs that are not finished yet; prints a line each.

    A bad pair is named and the rest goes on. Afterwards `results.csv` in the output folder has a
    line for each pair.

    Returns:
      The exit code: 2 where a pair was bad, else 0.
    """
    failed, skipped = {}, 0
    bar = tqdm(pairs, unit="pair", disable=not sys.stderr.isatty())
    for number, pair in enumerate(bar, 1):
        head = f"{number}/{len(pairs)} {os.path.relpath(pair.output, output)}"
        if is_finished(pair, settings):
            skipped += 1
            continue
        try:
            result, seconds = _register(pair, settings, model)
        except InputError as error:
            failed[pair.output] = str(error)
            bar.write(f"{head}: failed: {error}", file=sys.stderr)
            continue
        for warning in result.warnings:
            bar.write(f"{head}: warning: {warning}", file=sys.stderr)
        after = "-" if result.correlation_after is None else f"{result.correlation_after:.4f}"
        line = f"{head}: correlation {after}, folds {result.folds_percent:.4f} %"
        bar.write(f"{line}, {sum(seconds.values()):.1f} s", file=sys.stdout)
    if os.path.isdir(output):
        _write_results(pairs, failed, output)
    done = len(pairs) - skipped - len(failed)
    print(f"{done} registered, {skipped} finished before, {len(failed)} failed")
    return cli.BAD_INPUT if failed else 0


def is_finished(pair, settings):
    """Tells whether the pair's folder holds the result of these very files and settings."""
    summary = _summary(pair)
    wanted = json.loads(json.dumps(recorded(pair, settings)))
    return all(summary.get(key) == value for key, value in wanted.items())


def _register(pair, settings, model):
    seconds, start = {}, time.perf_counter()
    check_pair(pair)
    data = read_pair(pair, settings)
    seconds["read"] = since(start)
    result, _ = register_pair(pair, settings, data, model, seconds)
    return result, seconds


def _check_columns(path, columns):
    known = (*_PATHS, "output")
    for name in columns:
        if name not in known:
            raise InputError(f"{path}: unknown column {name!r}; known are {', '.join(known)}.")
    for name in _REQUIRED:
        if name not in columns:
            raise InputError(f"{path}: the first line must name the columns; {name} not found.")


def _pair(row, place, folder, output):
    if None in row:
        raise InputError(f"{place}: has more values than the first line has columns.")
    values = {name: (value or "").strip() for name, value in row.items()}
    for name in _REQUIRED:
        if not values[name]:
            raise InputError(f"{place}: has no value for {name}.")
    name = values.pop("output", "") or f"{_stem(values['moving'])}_to_{_stem(values['fixed'])}"
    paths = {key: os.path.join(folder, value) if value else None for key, value in values.items()}
    return Pair(output=os.path.join(output, name), **paths)


def _stem(path):
    name = os.path.basename(os.path.normpath(path))
    for ending in (".gz", ".nii", ".mha", ".mhd", ".nrrd", ".hdr", ".img"):
        name = name[: -len(ending)] if name.lower().endswith(ending) else name
    return name


def _summary(pair):
    try:
        with open(os.path.join(pair.output, SUMMARY), encoding="utf-8") as file:
            summary = json.load(file)
    except (OSError, ValueError):
        return {}
    return summary if isinstance(summary, dict) else {}


def _write_results(pairs, failed, output):
    """Writes a line for each pair, from the summaries that lie there."""
    rows = []
    for pair in pairs:
        summary = {} if pair.output in failed else _summary(pair)
        dice, points = summary.get("dice") or {}, summary.get("landmarks_mm") or {}
        rows.append(
            {
                "output": os.path.relpath(pair.output, output),
                "fixed": pair.fixed,
                "moving": pair.moving,
                "status": failed.get(pair.output, "finished"),
                "affine": summary.get("affine", {}).get("method"),
                "correlation_before": summary.get("similarity", {}).get("before"),
                "correlation_after": summary.get("similarity", {}).get("after"),
                "dice_before": dice.get("mean_before"),
                "dice_after": dice.get("mean_after"),
                "landmark_mm_before": points.get("mean_before"),
                "landmark_mm_after": points.get("mean_after"),
                "folds_percent": summary.get("folds_percent"),
                "seconds": round(sum(summary.get("seconds", {}).values()), 3) or None,
            }
        )
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    path = os.path.join(output, _RESULTS)
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
        file.write(text.getvalue())
