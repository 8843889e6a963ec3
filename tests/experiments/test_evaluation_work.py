"""The evaluation's work: killed and resumed, shared, with pairs that fail or lack something."""

import contextlib
import csv
import dataclasses
import json
import pathlib
import signal
import subprocess
import sys
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
import SimpleITK as sitk

from experiments import evaluate
from experiments.evaluation import methods, work
from experiments.evaluation.plan import Plan
from ldr_tf.imaging import Grid, flow_to_displacement

HERE = pathlib.Path(__file__).parent
# What a second measurement cannot repeat.
COSTS = ("seconds", "cpu_seconds", "peak_memory_mb")
KILLED = """
import os, pathlib, signal, sys
sys.path[:0] = [{here!r}, {root!r}]
import conftest
from ldr_tf.runs import checkpoints
from experiments import evaluate
class Deadly(conftest.ShiftNetwork):
    calls = 0
checkpoints.load_run = lambda path, **_: Deadly()
from experiments.evaluation import methods, work
register = methods.NetworkMethod.__call__
def counted(self, case):
    Deadly.calls += 1
    if Deadly.calls == 4:
        os.kill(os.getpid(), signal.SIGKILL)
    return register(self, case)
methods.NetworkMethod.__call__ = counted
evaluate.main(["evaluate", *{flags!r}])
"""


def test_workers_compute_as_precisely_as_the_machine_that_asks():
    runs = ("packed", "a", "auto"), ("run", "b", "auto"), ("served", "grpc://c", "auto")
    others = {field.name: None for field in dataclasses.fields(Plan)}
    loaded = [
        SimpleNamespace(name="identity"),
        SimpleNamespace(name="packed", precision="bfloat16"),
        SimpleNamespace(name="run", precision="float32"),
        SimpleNamespace(name="served", precision=None),  # in its own
    ]
    settled = Plan(**{**others, "runs": runs}).settled(loaded)
    assert [precision for _, _, precision in settled.runs] == ["bfloat16", "float32", "auto"]


def command(dataset, output, *others):
    flags = ["--run=runs/student", f"--dataset={dataset}", "--subset=all", f"--output={output}"]
    return [*flags, "--report=none", *others]


def tables(folder):
    """The files of an evaluation, without what a second measurement cannot repeat."""
    found = {}
    for name in ("pairs.csv", "labels.csv"):
        with open(folder / name, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        found[name] = [{k: v for k, v in row.items() if k not in COSTS} for row in rows]
    summary = json.loads((folder / "summary.json").read_text())
    for figures in summary["methods"].values():
        for name in COSTS:
            del figures[name]
    found["methods"] = summary["methods"]
    found["comparisons"] = [c for c in summary["comparisons"] if c["figure"] not in COSTS]
    return found


@pytest.fixture
def here(monkeypatch):
    """Lists of jobs that a cluster was given; it does them here, the last one first."""
    asked = []

    class Here(contextlib.nullcontext):
        def __init__(self, workers, scheduler):
            super().__init__(self)

        def workers(self):
            return ["one"]

        def results(self, function, jobs, load):
            asked.append(jobs)
            loaded = load()
            for index in reversed(range(len(jobs))):
                yield index, function(loaded, *jobs[index])

    monkeypatch.setattr("ldr_tf.commands.cluster.Cluster", Here)
    monkeypatch.setattr(work, "hold_threads", lambda: None)
    return asked


@pytest.fixture
def whole(tiny_dataset, fake_runs, tmp_path):
    """The tables of an evaluation in one go."""
    output = tmp_path / "whole"
    assert evaluate.main(["evaluate", *command(tiny_dataset, output)]) == 0
    return tables(output)


def test_killed_and_called_again(tiny_dataset, whole, tmp_path, monkeypatch):
    output = tmp_path / "killed"
    flags = command(tiny_dataset, output, "--threads=1")
    script = KILLED.format(here=str(HERE), root=str(HERE.parents[1]), flags=flags)
    dead = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert dead.returncode == -signal.SIGKILL, dead.stderr
    lines = (output / "journal.jsonl").read_bytes().splitlines(keepends=True)
    assert len(lines) == 6 + 2  # all of the identity, the first handful of the student
    assert not (output / "pairs.csv").exists()
    # The kill may also cut a line off.
    (output / "journal.jsonl").write_bytes(b"".join(lines[:-1]) + lines[-1][:40])

    register, calls = methods.NetworkMethod.__call__, []
    monkeypatch.setattr(
        methods.NetworkMethod, "__call__", lambda self, c: calls.append(c) or register(self, c)
    )
    assert evaluate.main(["evaluate", *flags]) == 0
    assert len(calls) == 5
    assert tables(output) == whole


def test_workers_find_the_same(tiny_dataset, whole, here, tmp_path, capsys):
    """Also where some of it was there before; and the seconds are told to be no measure."""
    output = tmp_path / "shared"
    flags = command(tiny_dataset, output)
    assert evaluate.main(["evaluate", *flags, "--limit=2"]) == 0
    assert evaluate.main(["evaluate", *flags, "--scheduler=tcp://there:1"]) == 0
    (jobs,) = here
    assert jobs == [(index, ["identity", "student"]) for index in range(2, 6)]
    assert "not to be compared" in capsys.readouterr().out
    assert tables(output) == whole


def test_changed_data_are_measured_again(tiny_dataset, whole, tmp_path):
    with h5py.File(tmp_path / "scans.h5", "a") as file:
        file["0"]["segmentation"][:] = file["1"]["segmentation"][:]
    output = tmp_path / "whole"
    assert evaluate.main(["evaluate", *command(tiny_dataset, output)]) == 0
    assert tables(output)["pairs.csv"][0]["dice"] == "1"
    assert whole["pairs.csv"][0]["dice"] == "0.5"


@pytest.mark.parametrize("shared", [(), ("--workers=2",)], ids=["alone", "shared"])
def test_a_pair_that_fails_is_named_and_the_rest_goes_on(
    tiny_dataset, fake_runs, here, tmp_path, capsys, shared
):
    with h5py.File(tmp_path / "scans.h5", "a") as file:
        del file["2"]["segmentation"]
        file["2"]["segmentation"] = np.zeros((3, 3, 3), np.uint8)
    output = tmp_path / "results"
    assert evaluate.main(["evaluate", *command(tiny_dataset, output, *shared)]) == 2
    message = capsys.readouterr().err
    assert "4 failed" in message and "pair tiny_0, tiny_2: " in message
    assert "segmentation must have image_size" in message and "Traceback" not in message
    rows = tables(output)["pairs.csv"]
    assert [(row["fixed"], row["moving"]) for row in rows[:2]] == [
        ("tiny_0", "tiny_1"),
        ("tiny_1", "tiny_0"),
    ]
    assert len(rows) == 4
    assert len(json.loads((output / "summary.json").read_text())["failed"]) == 4

    # Mended, the same command tries again what failed.
    with h5py.File(tmp_path / "scans.h5", "a") as file:
        del file["2"]["segmentation"]
        file["2"]["segmentation"] = file["1"]["segmentation"][()]
    assert evaluate.main(["evaluate", *command(tiny_dataset, output)]) == 0
    assert len(tables(output)["pairs.csv"]) == 12


def test_what_one_side_lacks_is_said_and_left_out(tiny_dataset, fake_runs, tmp_path, capsys):
    with h5py.File(tmp_path / "scans.h5", "a") as file:
        del file["1"]["point"], file["2"]["segmentation"]
        file["0"]["segmentation"][0, 0, 0] = 5  # a value that the data set does not name
    output = tmp_path / "results"
    assert evaluate.main(["evaluate", *command(tiny_dataset, output)]) == 0
    message = capsys.readouterr().err
    assert "pair tiny_0, tiny_1: only the fixed scan has landmarks" in message
    assert "pair tiny_0, tiny_2: only the fixed scan has labels" in message
    assert "pair tiny_0, tiny_1: label values that the data set does not name" in message
    rows = {(r["fixed"], r["moving"]): r for r in tables(output)["pairs.csv"][:6]}
    assert rows["tiny_0", "tiny_1"]["dice"] == "0.5" and not rows["tiny_0", "tiny_1"]["landmark"]
    assert rows["tiny_0", "tiny_2"]["landmark"] == "4" and not rows["tiny_0", "tiny_2"]["dice"]
    # "other" (7) is on neither side.
    assert rows["tiny_0", "tiny_1"]["labels_absent"] == "1"


def test_a_network_bound_to_another_size_runs_on_its_own_grid(tiny_dataset, fake_runs, tmp_path):
    fake_runs["runs/student"] = type(fake_runs["runs/student"])("vtn", (64, 64, 64))
    output = tmp_path / "results"
    flags = command(tiny_dataset, output, "--limit=1", "--spacing=2")
    assert evaluate.main(["evaluate", *flags]) == 0
    identity, student = tables(output)["pairs.csv"]
    # Two voxels of its 64 along x are half a voxel of the data set's 16: from 2 to 1.5 voxels off.
    assert (identity["landmark"], identity["tre_mm"]) == ("2", "4")
    assert float(student["landmark"]) == pytest.approx(1.5, abs=0.01)
    assert float(student["tre_mm"]) == pytest.approx(3, abs=0.02)


def test_end_point_error_where_the_truth_is_known(tiny_dataset, fake_runs, tmp_path):
    truth = np.zeros((16, 16, 16, 3))
    truth[..., 0] = 2
    grid = Grid((16,) * 3, (1.5,) * 3, (0.0,) * 3, tuple(np.eye(3).ravel()))
    folder = tmp_path / "truth"
    folder.mkdir()
    field = flow_to_displacement(truth, grid)
    sitk.WriteImage(field, str(folder / "tiny_1_to_tiny_0.nii.gz"))
    output = tmp_path / "results"
    others = [f"--true_displacements={folder}", "--spacing=1.5", "--subset=two"]
    assert evaluate.main(["evaluate", *command(tiny_dataset, output, *others)]) == 0
    found = [row["endpoint_mm"] for row in tables(output)["pairs.csv"]]
    assert found == ["3", "", "0", ""]


def test_refined_results_have_a_row_of_their_own(tiny_dataset, fake_runs, tmp_path):
    output = tmp_path / "results"
    flags = command(tiny_dataset, output, "--limit=1", "--refine_steps=2")
    assert evaluate.main(["evaluate", *flags]) == 0
    names = [row["method"] for row in tables(output)["pairs.csv"]]
    assert names == ["identity", "student", "student + 2 steps"]


def test_a_baseline_that_is_not_installed(tiny_dataset, fake_runs, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "ants", None)
    flags = command(tiny_dataset, tmp_path / "results", "--baseline=ants")
    assert evaluate.main(["evaluate", *flags]) == 2
    message = capsys.readouterr().err
    assert "antspyx" in message and "[baselines]" in message
    assert not (tmp_path / "results").exists()
