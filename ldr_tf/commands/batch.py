"""Many pairs of ldr-register: the run through a list, and its table."""

import csv
import io
import os
import sys

from tqdm import tqdm

from ldr_tf.commands import cli, report
from ldr_tf.commands.pair import ReadPair, is_finished, read_summary, register_pair
from ldr_tf.errors import InputError
from ldr_tf.files import atomic_path

_RESULTS = "results.csv"


def run_pairs(pairs, setup, output):
    """Registers all pairs that are not finished yet; prints a line each.

    A bad pair is named and the rest goes on. Afterwards `results.csv` in the output folder has a
    line for each pair.

    Args:
      pairs: list of PairFiles.
      setup: a Setup.
      output: the output folder.

    Returns:
      The exit code: 2 where a pair was bad, else 0.
    """
    failed, skipped = {}, 0
    bar = tqdm(pairs, unit="pair", disable=not sys.stderr.isatty())
    for number, paths in enumerate(bar, 1):
        head = f"{number}/{len(pairs)} {os.path.relpath(paths.output, output)}"
        if is_finished(paths, setup):
            skipped += 1
            continue
        try:
            pair = ReadPair(paths, setup.files.points_space)
            result, _ = register_pair(pair, setup)
        except InputError as error:
            failed[paths.output] = str(error)
            bar.write(f"{head}: failed: {error}", file=sys.stderr)
            continue
        for line in report.notice_lines(result):
            bar.write(f"{head}: {line}", file=sys.stderr)
        after = "-" if result.correlation_after is None else f"{result.correlation_after:.4f}"
        line = (
            f"{head}: correlation {after}, folds {result.folds_percent:.4f} % "
            f"({result.folds_any_percent:.4f} % towards any corner)"
        )
        bar.write(f"{line}, {sum(pair.seconds.values()):.1f} s", file=sys.stdout)
    if os.path.isdir(output):
        _write_results(pairs, failed, output)
    done = len(pairs) - skipped - len(failed)
    print(f"{done} registered, {skipped} finished before, {len(failed)} failed")
    return cli.BAD_INPUT if failed else 0


def _write_results(pairs, failed, output):
    """Writes a line for each pair, from the summaries that lie there."""
    rows = []
    for pair in pairs:
        summary = {} if pair.output in failed else read_summary(pair)
        dice, points = summary.get("dice") or {}, summary.get("landmarks_mm") or {}
        rows.append(
            {
                "output": os.path.relpath(pair.output, output),
                "fixed": pair.fixed,
                "moving": pair.moving,
                "status": failed.get(pair.output, "finished"),
                "warnings": " ".join(
                    notice["code"]
                    for notice in summary.get("notices", [])
                    if notice["level"] == "warning"
                ),
                "affine": summary.get("affine", {}).get("method"),
                "correlation_before": summary.get("similarity", {}).get("before"),
                "correlation_after": summary.get("similarity", {}).get("after"),
                "dice_before": dice.get("mean_before"),
                "dice_after": dice.get("mean_after"),
                "landmark_mm_before": points.get("mean_before"),
                "landmark_mm_after": points.get("mean_after"),
                "folds_percent": summary.get("folds_percent"),
                "folds_any_percent": summary.get("folds_any_percent"),
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
