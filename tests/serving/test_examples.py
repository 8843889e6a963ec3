"""The programs in examples/serving, built and run, answer as the run's network does."""

import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

import ldr_tf
from experiments.benchmarks import clients
from ldr_tf.errors import InputError
from ldr_tf.serving import conversion
from ldr_tf.serving.export import export
from tests.servers import NAME

SIZE = ["32", "32", "32"]
SAME_BYTES = ["32", "16", "64"]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def raw(levels, tmp_path_factory):
    """Paths of a fixed and a moving raw volume."""
    folder = tmp_path_factory.mktemp("raw")
    for name, volume in zip(("fixed", "moving"), levels):
        volume[0].astype("<f4").tofile(folder / f"{name}.raw")
    return [str(folder / "fixed.raw"), str(folder / "moving.raw")]


@pytest.fixture(scope="module")
def wanted(moving_run, levels):
    """The figures of the run's network."""
    network = ldr_tf.load_run(str(moving_run))
    answer = network(*[tf.constant(volume[:1], tf.float32) / 255 for volume in levels])
    lengths = np.linalg.norm(answer.flow, axis=-1)
    assert lengths.max() > 2
    return {
        "mean flow": lengths.mean(),
        "maximum flow": lengths.max(),
        "mean of warped": 255 * np.mean(answer.warped),
    }


def figures(command):
    """Runs a program; returns its figures, and prints them for `pytest -s`."""
    done = run(command)
    assert done.returncode == 0, done.stderr
    print(*command[:-6], done.stdout, sep="\n")
    found = dict(line.split(": ") for line in done.stdout.splitlines())
    assert found.pop("size") == "32 x 32 x 32"
    numbers = {name: float(text.split()[0]) for name, text in found.items()}
    assert 0 < numbers.pop("second call") < 60_000
    return numbers


def run(command):
    # Elsewhere than in the checkout: the programs must do without it.
    folder = os.path.dirname(command[-5])
    return subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=folder)


def check(program, raw, wanted):
    """Compares a program's figures; what it says to volumes of a wrong size is returned."""
    assert figures([*program, *raw, *SIZE]) == pytest.approx(wanted, rel=1e-4, abs=2e-4)
    short = run([*program, *raw, "32", "32", "31"])
    assert short.returncode != 0
    assert f"{raw[0]}: is not a float32 volume of the given size" in short.stderr
    refused = run([*program, *raw, *SAME_BYTES])
    assert refused.returncode != 0 and refused.stdout == ""
    return refused.stderr


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The C program, built as its first lines say, against the library in the Python package."""
    program = str(tmp_path_factory.mktemp("c") / "register")
    try:
        clients.build_c(tf.sysconfig.get_lib(), program)
    except InputError as error:
        pytest.skip(str(error))
    return program


def test_c(built, moving_export, raw, wanted):
    said = check([built, moving_export], raw, wanted)
    assert "fixed must be [batch, 32, 32, 32, 1], not of shape" in said


def test_c_names_what_it_cannot_read(built, moving_export, raw, tmp_path):
    for folder, first in (
        (str(tmp_path), raw[0]),
        (moving_export, str(tmp_path / "none.raw")),
    ):
        done = run([built, folder, first, raw[1], *SIZE])
        assert done.returncode == 2
        culprit = folder if first == raw[0] else first
        assert f"{culprit}: " in done.stderr
    assert run([built, moving_export, *raw, "32", "32", "0"]).returncode == 2


def test_node(moving_export, raw, wanted):
    try:
        clients.check_node()
    except InputError as error:
        pytest.skip(str(error))
    said = check(["node", str(clients.EXAMPLES / "register.js"), moving_export], raw, wanted)
    assert "fixed must be [batch, 32, 32, 32, 1], not of shape" in said


def test_grpc(serve, moving_export, raw, wanted):
    address = serve({NAME: moving_export}).address
    program = [sys.executable, str(clients.EXAMPLES / "register_grpc.py")]
    said = check([*program, f"{address}/{NAME}"], raw, wanted)
    assert "INVALID_ARGUMENT: " in said and "fixed must be [batch, 32, 32, 32, 1]" in said
    done = run([*program, f"{address}/other", *raw, *SIZE])
    assert done.returncode != 0 and "NOT_FOUND: Servable not found" in done.stderr


def converted(form, run, folder):
    """Path of the run's model in another form."""
    for package in conversion._PACKAGES[form]:
        pytest.importorskip(package, reason=f"{package} is not installed")
    return os.path.join(export(str(run), str(folder), form=form), conversion.FILES[form])


def test_openvino(moving_run, moving_export, raw, wanted, tmp_path):
    path = converted("openvino", moving_run, tmp_path / "m")
    for model in (moving_export, path):
        check([sys.executable, str(clients.EXAMPLES / "register_openvino.py"), model], raw, wanted)


def test_onnx(moving_run, raw, wanted, tmp_path):
    path = converted("onnx", moving_run, tmp_path / "m")
    said = check([sys.executable, str(clients.EXAMPLES / "register_onnx.py"), path], raw, wanted)
    assert "Got invalid dimensions for input: " in said
