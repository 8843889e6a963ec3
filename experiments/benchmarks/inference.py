"""Speed of registering a pair: fast against naive paths, students against teachers, warps.

    python -m experiments.benchmark inference --size=128 --output=DIR

Rows are medians of rounds in turns, in one process that is pinned to `--threads` threads. `naive`
is Keras' layers and warps by eight gathers, all in one tf.function; `bfloat16` computes the dense
stems in that precision. Columns:
  of_floor: seconds / the least that the machine needs: for networks the convolutions' multiply-adds
    / its matrix-product rate (float32), for warps the bytes of arguments and result / its copy
    bandwidth; the last rows show both rates.
  voxels: largest difference of the flow from the naive path's.
  MB: peak memory, above TensorFlow's import, of a process that does nothing else.
  times: how many times faster a network is than its naive path and a warp than eight gathers; for
    "A / B", both in their fast form and timed in turns again, how many times faster B is than A.
"""

import json
import os
import subprocess
import sys

import numpy as np
import SimpleITK as sitk
import tensorflow as tf
from absl import flags

from experiments.benchmarks import floors, naive, ratios, resamplers
from experiments.benchmarks.common import interleaved
from ldr_tf.config import NetworkConfig
from ldr_tf.networks.cascade import CascadeNetwork
from ldr_tf.ops.flow import compose, resize

NETWORKS = {
    "LDR, 1 cascade": {},
    "LDR, 2 cascades": {"cascades": 2},
    "LDR, 3 cascades": {"cascades": 3},
    "LDR of 8 channels, 1 cascade": {"channels": 8},
    "LDR of 8 channels, 3 cascades": {"channels": 8, "cascades": 3},
    "LDR at half resolution, 1 cascade": {"flow_resolution": "half"},
    "LDR at half resolution, 3 cascades": {"flow_resolution": "half", "cascades": 3},
    "LDR of 8 channels at half resolution, 1 cascade": {
        "channels": 8,
        "flow_resolution": "half",
    },
    "LDR of 8 channels at half resolution, 3 cascades": {
        "channels": 8,
        "flow_resolution": "half",
        "cascades": 3,
    },
    "Pyramid": {"base_network": "Pyramid", "flow_resolution": "half"},
    "Pyramid of 8 channels": {
        "base_network": "Pyramid",
        "channels": 8,
        "flow_resolution": "half",
    },
    "Pyramid of 32 channels": {
        "base_network": "Pyramid",
        "channels": 32,
        "flow_resolution": "half",
    },
    "Pyramid with 2 learned steps": {"base_network": "Pyramid", "descents": 2},
    "VTN, 1 cascade": {"base_network": "VTN"},
    "VTN, 3 cascades": {"base_network": "VTN", "cascades": 3},
    "VTN with affine stem, 1 cascade": {"base_network": "VTN", "affine_stem": "vtn"},
    "VTN with affine stem, 3 cascades": {
        "base_network": "VTN",
        "affine_stem": "vtn",
        "cascades": 3,
    },
    "LDRReleased, 1 cascade": {"base_network": "LDRReleased"},
    "VoxelMorph, 1 cascade": {"base_network": "VoxelMorph"},
}
FORMS = ("fast", "naive", "bfloat16")
_VOXELS = 5.0


def define(flag_values):
    """Defines the benchmark's flags."""
    flags.DEFINE_integer("size", 128, "voxels a side", 64, flag_values=flag_values)
    flags.DEFINE_integer("rounds", 9, "timed rounds", 1, flag_values=flag_values)
    flags.DEFINE_integer(
        "threads", None, "threads (default: all cores)", 1, flag_values=flag_values
    )
    flags.DEFINE_string(
        "only",
        "",
        "networks whose name begins with this; 'warp' for warps, 'ratio' for 'A / B'",
        flag_values=flag_values,
    )
    flags.DEFINE_bool("memory", True, "also measure memory", flag_values=flag_values)


def run(size=128, rounds=9, threads=None, only="", memory=True):
    """Measures; returns the rows of the table."""
    threads = pin(threads)
    rates = floors.machine_rates()
    rows = []
    for name in NETWORKS:
        if name.startswith(only):
            rows += _network_rows(name, size, rounds, rates[0], memory)
    if "warp".startswith(only):
        rows += _warp_rows(size, rounds, threads, rates[1])
    if "ratio".startswith(only):
        rows += _ratio_rows(size, rounds)
    return [
        *rows,
        {"name": "matrix product, float32, multiply-adds a second", "rate": rates[0]},
        {
            "name": "matrix product, bfloat16, multiply-adds a second",
            "rate": floors.machine_rates(dtype=tf.bfloat16)[0],
        },
        {"name": "copy, bytes a second", "rate": rates[1]},
        {"name": "threads", "rate": threads},
    ]


def pin(threads):
    """Pins this process to that many cores and threads (None: all cores); returns how many."""
    cores = sorted(os.sched_getaffinity(0))
    threads = min(threads or len(cores), len(cores))
    os.sched_setaffinity(0, cores[:threads])
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)
    return threads


def build(settings, size, form):
    """Returns function(fixed, moving) -> (flow, warped) of a network in one of FORMS."""
    config = NetworkConfig(image_size=(size,) * 3, **settings)
    network = CascadeNetwork(config)
    _give_weights(network)
    if form == "naive":
        return tf.function(naive.registration(network), autograph=False)
    if form == "bfloat16":
        exact, network = network, CascadeNetwork(config, precision="mixed_bfloat16")
        for variable, value in zip(network.variables, exact.variables):
            variable.assign(value)
    return lambda fixed, moving: network(fixed, moving)[:2]


def pair(size, batch=1):
    """Returns two smooth volumes [batch, size, size, size, 1], 0..1, always the same."""
    coarse = tf.random.stateless_uniform((2 * batch, 9, 9, 9, 1), [1, 2])
    return tf.split(resize(coarse, (size,) * 3), 2)


def _give_weights(network):
    """Sets weights that keep activations bounded, and heads that give flows of a few voxels."""
    for number, variable in enumerate(network.trainable_variables):
        fan = int(np.prod(variable.shape[:4])) if variable.shape.rank > 1 else 100
        bound = (6.0 / max(fan, 1)) ** 0.5
        variable.assign(tf.random.stateless_uniform(variable.shape, [number, 1], -bound, bound))
    if network.affine_stem is not None:
        for variable in network.affine_stem.head.trainable_variables:
            variable.assign(variable * 1e-3)
    fixed, moving = pair(64)
    for stem in network.stems:
        _give_heads(stem, stem(fixed, moving), _VOXELS / len(network.stems))
    if network.descent is not None:
        flow = network.descent(fixed, moving, tf.zeros([1, 64, 64, 64, 3]))
        _give_heads(network.descent, flow, _VOXELS / network.config.descents)


def _give_heads(stem, flow, largest):
    for head in stem.heads:
        head.kernel.assign(head.kernel * (largest / tf.reduce_max(tf.abs(flow))))


def _network_rows(name, size, rounds, rate, memory):
    volumes = pair(size)
    functions = {form: build(NETWORKS[name], size, form) for form in FORMS}
    answers = {form: function(*volumes)[0] for form, function in functions.items()}
    asked = {form: _asked(function, volumes) for form, function in functions.items()}
    seconds = interleaved(asked, rounds, warm_up=2)
    adds = floors.multiply_adds(functions["naive"].python_function, *volumes)
    rows = []
    for form in FORMS:
        median = float(np.median(seconds[form]))
        difference = tf.abs(answers[form] - answers["naive"])
        row = {
            "name": f"{name}, {form}",
            "seconds": median,
            "of_floor": median / (adds / rate),
            "times": float(np.median(np.divide(seconds["naive"], seconds[form]))),
            "voxels": float(tf.reduce_max(difference)),
        }
        if memory:
            row["MB"] = _memory(name, size, form)
        rows.append(row)
    return rows


def _ratio_rows(size, rounds):
    volumes = pair(size)
    asked = {
        name: _asked(build(NETWORKS[name], size, "fast"), volumes)
        for name in ratios.compared(NETWORKS)
    }
    return ratios.rows(interleaved(asked, rounds, warm_up=2))


def _asked(function, volumes):
    # Without an accelerator a call returns when the work is done.
    return lambda: function(*volumes)[1][0, 0, 0, 0].numpy()


def _warp_rows(size, rounds, threads, bandwidth):
    image = pair(size)[0]
    # At most 7 voxels, so that away from the edges all packages sample inside the volume.
    coarse = tf.clip_by_value(
        tf.random.stateless_normal((2, 7, 7, 7, 3), [3, 4], stddev=3.0), -7.0, 7.0
    )
    first, flow = tf.split(resize(coarse, (size,) * 3), 2)
    functions = {f"warp, {k}": f for k, f in resamplers.functions(image, flow, threads).items()}
    functions["composition, ours"] = tf.function(lambda: compose(first, flow), autograph=False)
    functions["composition, eight gathers"] = tf.function(
        lambda: flow + naive.eight_gathers(first, flow), autograph=False
    )
    wanted = functions["warp, eight gathers"]()
    seconds = interleaved(functions, rounds, warm_up=2)
    rows = []
    for name in functions:
        subject = name.split(",")[0]
        median = float(np.median(seconds[name]))
        naively = seconds[f"{subject}, eight gathers"]
        row = {
            "name": name,
            "seconds": median,
            "of_floor": median * bandwidth / (4 * size**3 * (5 if subject == "warp" else 9)),
            "times": float(np.median(np.divide(naively, seconds[name]))),
        }
        if subject == "warp":  # the packages treat edges differently
            inner = (slice(8, -8),) * 3
            difference = np.abs(np.asarray(functions[name]())[inner] - wanted.numpy()[inner])
            row["intensity"] = float(difference.max())
        rows.append(row)
    return rows


def _memory(name, size, form, batch=1):
    """Returns the megabytes that a separate process needs for one of the functions."""
    code = (
        "import sys; from experiments.benchmarks import inference; "
        "inference.show_memory(*sys.argv[1:])"
    )
    settings = json.dumps(NETWORKS.get(name, name))
    command = [sys.executable, "-c", code, settings, str(size), form, str(batch)]
    shown = subprocess.run(command, capture_output=True, check=True, text=True)
    return json.loads(shown.stdout.splitlines()[-1])


def show_memory(settings, size, form, batch="1"):
    """Registers three times; prints the peak MB above those after the import."""
    from ldr_tf.metrics.memory import peak_memory

    before = peak_memory()
    volumes = pair(int(size), int(batch))
    function = build(json.loads(settings), int(size), form)
    for _ in range(3):
        function(*volumes)
    print(json.dumps((peak_memory() - before) / 1e6))
