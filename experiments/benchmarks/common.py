"""Timing and tables that the benchmarks share.

Times on a shared machine vary, so whatever is compared takes turns, round by round, and medians and
their ratios are reported.
"""

import os
import platform
import time

import numpy as np
import pandas as pd

from ldr_tf.files import check_output_folder, write_json


def interleaved(functions, rounds, warm_up=1):
    """Times functions in turns: the first, the second ..., the first again.

    Args:
      functions: name -> callable without arguments, which must finish what it starts.
      rounds: timed calls of each.
      warm_up: untimed calls of each before that.

    Returns:
      name -> [rounds] seconds.
    """
    for _ in range(warm_up):
        for function in functions.values():
            function()
    seconds = {name: [] for name in functions}
    for _ in range(rounds):
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            seconds[name].append(time.perf_counter() - start)
    return seconds


def timing_rows(seconds, unit_count=1, baseline=None):
    """Makes a table of `interleaved`'s times.

    Args:
      seconds: name -> list of seconds.
      unit_count: units (pairs, steps) per call; one number, or name -> number.
      baseline: the name with which the others are compared; None for no such column.

    Returns:
      [{"name", "seconds": median per unit, "lowest", "highest", "per_second", "ratio": the median
      over the rounds of the baseline's seconds / its own, so above 1 is faster}].
    """
    counts = unit_count if isinstance(unit_count, dict) else dict.fromkeys(seconds, unit_count)
    units = {name: np.divide(times, counts[name]) for name, times in seconds.items()}
    rows = []
    for name, times in units.items():
        median = float(np.median(times))
        row = {
            "name": name,
            "seconds": median,
            "lowest": float(times.min()),
            "highest": float(times.max()),
            "per_second": 1 / median,
        }
        if baseline is not None:
            row["ratio"] = float(np.median(units[baseline] / times))
        rows.append(row)
    return rows


def table(rows):
    """Returns rows as text with aligned columns; missing figures stay empty."""
    frame = pd.DataFrame(rows)
    return frame.to_string(index=False, na_rep="", float_format=lambda value: f"{value:.4g}")


def machine():
    """Describes what the figures depend on: processors, system, Python and TensorFlow."""
    import tensorflow as tf

    return {
        "cores": len(os.sched_getaffinity(0)),
        "machine": platform.machine(),
        "system": platform.system(),
        "python": platform.python_version(),
        "tensorflow": tf.__version__,
        "devices": [device.device_type for device in tf.config.list_physical_devices()],
    }


def write_report(folder, name, settings, rows):
    """Writes `folder`/`name`.json: machine, settings and rows; returns its path."""
    check_output_folder(folder)
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, f"{name}.json")
    write_json(path, {"machine": machine(), "settings": settings, "rows": rows})
    return path
