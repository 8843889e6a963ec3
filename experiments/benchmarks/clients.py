"""An exported network in other people's programs: figures, differences, sizes, milliseconds.

    python -m experiments.benchmark clients [--run=RUN] [--size=128] [--output=DIR]

Exports the network in every form and has the programs of examples/serving register one made-up
pair: the C program is built first, the gRPC client gets a server of its own. Without --run the
network is a student of one cascade whose random weights move by some voxels. A program whose tools
are not installed has a row that says so; NODE_PATH leads to Node's packages.

Rows: `mean_flow` and `max_flow`, in voxels, and `mean_warped`, 0..255, are what a program printed;
`off` is the largest difference of these from the network's own, `flow_error` that of the whole flow
as the exporter found it; `MB` are the files', `ms` the median of the programs' second calls.
"""

import dataclasses
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
from typing import Optional

import numpy as np
from absl import flags

from experiments.benchmarks.common import interleaved
from ldr_tf.errors import InputError

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples" / "serving"
FIGURES = {
    "mean_flow": "mean flow",
    "max_flow": "maximum flow",
    "mean_warped": "mean of warped",
    "ms": "second call",
}
"""Column -> what the programs call it."""

_LIBRARIES = ("libtensorflow_cc.so.2", "libtensorflow_framework.so.2")
_PATIENCE = 300


def define(flag_values):
    """Defines the benchmark's flags."""
    flags.DEFINE_string("run", None, "run folder of a network", flag_values=flag_values)
    flags.DEFINE_integer("size", 128, "voxels a side, without --run", 16, flag_values=flag_values)
    flags.DEFINE_integer("rounds", 5, "times that each program runs", 1, flag_values=flag_values)


def run(run=None, size=128, rounds=5):
    """Measures; returns the rows of the table."""
    from experiments.benchmarks.serving import Server
    from ldr_tf.runs.checkpoints import load_run
    from ldr_tf.serving.export import export

    with tempfile.TemporaryDirectory() as folder:
        run = run or _moving_run(os.path.join(folder, "run"), size)
        network = load_run(run, precision="float32")
        model = os.path.join(folder, "student")
        saved = export(run, model)
        words, volumes = _pair(network.config.image_size, folder)
        with Server(model, batch=1) as server:
            programs = _programs(run, saved, server.address, folder)
            found = {name: [] for name in programs}
            for _ in range(rounds):
                for name, program in programs.items():
                    if program.lacking is None:
                        found[name].append(figures_of([*program.command, *words]))
        rows = [{"name": "this package", "MB": _megabytes(saved), **_own(network, volumes, rounds)}]
        for name, program in programs.items():
            rows.append(_row(name, program, found[name], rows[0]))
    return rows


@dataclasses.dataclass(frozen=True)
class Program:
    """One of the examples, on one form of the export.

    Attributes:
      command: its words, without those of the volumes.
      folder: that it reads.
      flow_error: of the form, by its exporter, voxels; None for a SavedModel.
      lacking: why it cannot be run, or None.
    """

    command: tuple
    folder: str
    flow_error: Optional[float] = None
    lacking: Optional[str] = None


def build_c(tensorflow, program):
    """Builds register.c as its first lines say.

    Args:
      tensorflow: folder of the Python package.
      program: path of what is built.

    Raises:
      InputError: the compiler, or what it needs, is not there.
    """
    for needed in (*_LIBRARIES, "include/tensorflow/c/c_api.h"):
        if not os.path.exists(os.path.join(tensorflow, needed)):
            raise InputError(f"this TensorFlow comes without {needed}.")
    if shutil.which("gcc") is None:
        raise InputError("gcc is not installed.")
    text = (EXAMPLES / "register.c").read_text(encoding="utf-8")
    (command,) = re.findall(r"^ +(gcc (?:.*\\\n)*.*)$", text, re.MULTILINE)
    words = command.replace("\\\n", " ").replace("$TF", tensorflow).split()
    words[words.index("-o") + 1] = program
    strict = ["-Wall", "-Wextra", "-Werror"]
    subprocess.run([*words, *strict], check=True, timeout=_PATIENCE, cwd=EXAMPLES)


def check_node():
    """Raises InputError where Node or its TensorFlow, in NODE_PATH, is not there."""
    if shutil.which("node") is None:
        raise InputError("node is not installed.")
    asked = ["node", "-e", "require('@tensorflow/tfjs-node')"]
    if subprocess.run(asked, cwd=EXAMPLES, capture_output=True, timeout=_PATIENCE).returncode:
        raise InputError(
            "@tensorflow/tfjs-node is in neither NODE_PATH nor examples/serving, or bad."
        )


def figures_of(command):
    """Runs a program to its end; returns what it printed, as the columns of `FIGURES`."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr}")
    said = dict(line.split(": ") for line in done.stdout.splitlines())
    return {column: float(said[name].split()[0]) for column, name in FIGURES.items()}


def _programs(run, saved, address, folder):
    import tensorflow as tf

    python, c = sys.executable, os.path.join(folder, "register")
    address = address.partition("://")[2]
    return {
        "C": _program(lambda: build_c(tf.sysconfig.get_lib(), c), (c, saved), saved),
        "Node": _program(check_node, ("node", f"{EXAMPLES}/register.js", saved), saved),
        "gRPC": _program(None, (python, f"{EXAMPLES}/register_grpc.py", address), saved),
        "OpenVINO": _converted("openvino", run, folder),
        "ONNX Runtime": _converted("onnx", run, folder),
    }


def _program(prepare, command, folder):
    try:
        if prepare is not None:
            prepare()
    except InputError as error:
        return Program((), folder, lacking=str(error))
    return Program(command, folder)


def _converted(form, run, folder):
    from ldr_tf.files import read_json
    from ldr_tf.serving import conversion
    from ldr_tf.serving.export import export

    try:
        folder = export(run, os.path.join(folder, form), form=form)
    except InputError as error:
        return Program((), folder, lacking=str(error))
    error = read_json(os.path.join(folder, "model.json"))["conversion"]["flow_error"]
    path = os.path.join(folder, conversion.FILES[form])
    return Program((sys.executable, f"{EXAMPLES}/register_{form}.py", path), folder, error)


def _row(name, program, found, own):
    if program.lacking is not None:
        return {"name": f"{name}: {program.lacking}"}
    figures = {column: float(np.median([one[column] for one in found])) for column in FIGURES}
    off = max(abs(figures[column] - own[column]) for column in FIGURES if column != "ms")
    size = {"MB": _megabytes(program.folder)}
    return {"name": name, **size, **figures, "off": off, "flow_error": program.flow_error}


def _own(network, volumes, rounds):
    """The row of the network in this process."""
    import tensorflow as tf

    scaled = [tf.constant(volume[None, ..., None]) / 255 for volume in volumes]
    answer = network(*scaled)
    seconds = interleaved({"own": lambda: np.asarray(network(*scaled).flow)}, rounds)["own"]
    lengths = np.linalg.norm(answer.flow.numpy().astype(float), axis=-1)
    warped = 255 * np.mean(answer.warped, dtype=float)
    figures = (lengths.mean(), lengths.max(), warped, 1000 * np.median(seconds))
    return dict(zip(FIGURES, map(float, figures)))


def _pair(size, folder):
    """Writes two smooth volumes; returns the programs' words for them, and the arrays."""
    axes = np.meshgrid(*[np.linspace(0, 7, extent) for extent in size], indexing="ij")
    volumes, paths = [], []
    for name, shift in (("fixed", 0.0), ("moving", 0.4)):
        waves = np.prod([np.sin(axis + shift) for axis in axes], axis=0)
        volumes.append((255 * (waves / 2 + 0.5)).astype("<f4"))
        paths.append(os.path.join(folder, f"{name}.raw"))
        volumes[-1].tofile(paths[-1])
    return [*paths, *map(str, size)], volumes


def _moving_run(folder, size):
    from ldr_tf.config import NetworkConfig, RunConfig
    from ldr_tf.networks.cascade import CascadeNetwork
    from ldr_tf.runs.checkpoints import write_run

    config = RunConfig(network=NetworkConfig(image_size=(size,) * 3))
    network = CascadeNetwork(config.network)
    rng = np.random.default_rng(1)
    for stem in network.stems:
        for head in stem.heads:
            head.kernel.assign(rng.normal(scale=0.05, size=head.kernel.shape))
    write_run(folder, network, config)
    return folder


def _megabytes(folder):
    paths = [path for path in pathlib.Path(folder).rglob("*") if path.is_file()]
    return sum(path.stat().st_size for path in paths) / 1e6
