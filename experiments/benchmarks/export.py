"""A pair through an export, its XLA variant, the network in process, the original's graph.

    python -m experiments.benchmark export [--run=RUN] [--size=128]

Without --run the network is a student of one cascade and random weights. `original` is the same
student as the original code would build it: the flow by a transposed convolution, the warp by
eight gathers over the whole volume. `in process` is the network as ldr-register calls it. Ratios
are the default export's seconds over the others'. The warps alone and the export's size follow.
"""

import os
import tempfile

import numpy as np
import tensorflow as tf
from absl import flags

from experiments.benchmarks import naive
from experiments.benchmarks.common import interleaved, timing_rows

DEFAULT = "export"


def define(flag_values):
    """Defines the benchmark's flags."""
    flags.DEFINE_string("run", None, "run folder of a network", flag_values=flag_values)
    flags.DEFINE_integer("size", 128, "voxels a side, without --run", 16, flag_values=flag_values)
    flags.DEFINE_integer("rounds", 15, "timed rounds", 1, flag_values=flag_values)


def run(run=None, size=128, rounds=15):
    """Measures; returns the rows of the table."""
    from ldr_tf.config import NetworkConfig, RunConfig
    from ldr_tf.networks.cascade import CascadeNetwork
    from ldr_tf.ops.warp import warp
    from ldr_tf.runs.checkpoints import load_run, write_run
    from ldr_tf.serving.export import export

    with tempfile.TemporaryDirectory() as folder:
        if run is None:
            run = os.path.join(folder, "run")
            config = RunConfig(network=NetworkConfig(image_size=(size,) * 3))
            write_run(run, CascadeNetwork(config.network), config)
        network = load_run(run, precision="float32")
        original = tf.function(
            naive.registration(load_run(run, precision="float32")), autograph=False
        )
        size = network.config.image_size
        exports = {
            DEFAULT: export(run, os.path.join(folder, "plain")),
            "export, XLA": export(run, os.path.join(folder, "xla"), xla=True),
        }
        modules = {name: tf.saved_model.load(path) for name, path in exports.items()}
        total = sum(
            os.path.getsize(os.path.join(place, name))
            for place, _, names in os.walk(exports[DEFAULT])
            for name in names
        )
    volumes = [tf.random.stateless_uniform([1, *size, 1], [1, seed], 0, 255) for seed in range(2)]
    scaled = [volume / 255 for volume in volumes]
    pairs = {
        name: _asked(module.signatures["serving_default"], volumes)
        for name, module in modules.items()
    }
    pairs["in process"] = lambda: np.asarray(network(*scaled).flow)
    pairs["original"] = lambda: original(*scaled)[0].numpy()
    # Smooth, like a network's, and up to about ten voxels.
    coarse = tf.random.stateless_normal([1, 5, 5, 5, 3], [1, 2], stddev=4.0)
    flow = _smooth(coarse, size)
    warps = {
        "warp, plain": tf.function(lambda: warp(scaled[1], flow, compiled=False)),
        "warp, XLA": tf.function(lambda: warp(scaled[1], flow)),
        "warp, eight gathers": tf.function(lambda: naive.eight_gathers(scaled[1], flow)),
    }
    warps = {name: _fetched(function) for name, function in warps.items()}
    rows = timing_rows(interleaved(pairs, rounds, 2), baseline=DEFAULT)
    rows += timing_rows(interleaved(warps, rounds, 2), baseline="warp, plain")
    for row in rows:
        # timing_rows' ratio is above 1 if the other is faster.
        row["default_to_this"] = row.pop("ratio")
    return [*rows, {"name": "bytes of the export", "bytes": total}]


def _smooth(coarse, size):
    """Enlarges [1, a, b, c, 3] to the size, linearly along each axis."""
    for axis, extent in enumerate(size, 1):
        place = np.linspace(0, coarse.shape[axis] - 1, extent)
        lower = np.minimum(place.astype(int), coarse.shape[axis] - 2)
        shape = [-1 if a == axis else 1 for a in range(5)]
        share = tf.reshape(tf.constant(place - lower, tf.float32), shape)
        low, high = [tf.gather(coarse, lower + step, axis=axis) for step in (0, 1)]
        coarse = low + share * (high - low)
    return coarse


def _asked(signature, volumes):
    return lambda: signature(fixed=volumes[0], moving=volumes[1])["flow"].numpy()


def _fetched(function):
    return lambda: function().numpy()
