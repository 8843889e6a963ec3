"""Time and memory of one pair through a SavedModel: a program of its own that needs no ldr_tf.

python pair_cost.py DIR/1        -> a line of JSON
"""

import json
import os
import platform
import statistics
import sys
import time

import tensorflow as tf

ROUNDS = 5


def main(folder):
    """Runs one pair a few times; prints seconds (median) and megabytes."""
    module = tf.saved_model.load(folder)
    serve = module.signatures["serving_default"]
    with open(os.path.join(folder, "assets.extra", "config.json"), encoding="utf-8") as file:
        size = json.load(file)["network"]["image_size"]
    volumes = {
        name: tf.random.stateless_uniform([1, *size, 1], [1, seed], 0, 255)
        for seed, name in enumerate(("fixed", "moving"))
    }
    loaded, seconds = _peak(), []
    for _ in range(ROUNDS + 1):
        start = time.perf_counter()
        serve(**volumes)["flow"].numpy()
        seconds.append(time.perf_counter() - start)
    cost = {
        "seconds": statistics.median(seconds[1:]),
        "peak_memory_mb": _peak(),
        "loaded_memory_mb": loaded,
        "machine": f"{len(os.sched_getaffinity(0))} cores, {platform.machine()}, "
        f"TensorFlow {tf.__version__}",
    }
    print(json.dumps(cost))


def _peak():
    # Like ldr_tf.metrics.memory, which this program cannot import.
    with open("/proc/self/status", encoding="ascii") as file:
        lines = dict(line.split(":", 1) for line in file)
    return int(lines["VmHWM"].split()[0]) / 1024


if __name__ == "__main__":
    main(sys.argv[1])
