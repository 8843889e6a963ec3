"""experiments.benchmark: subjects, ratios by hand, a small run of each."""

import json

import pytest

from experiments import benchmark, make_phantoms
from experiments.benchmarks import common, export, flows


def run(*arguments):
    return benchmark.main(["benchmark", *arguments])


def test_rows_by_hand():
    seconds = {"plain": [2.0, 4.0, 6.0], "ours": [1.0, 1.0, 4.0]}
    plain, ours = common.timing_rows(seconds, {"plain": 2, "ours": 4}, "plain")
    assert plain["seconds"] == 2.0 and plain["per_second"] == 0.5 and plain["ratio"] == 1.0
    # a unit takes 1/4, 1/4, 1 s against 1, 2, 3: ratios 4, 8, 3
    assert ours["seconds"] == 0.25 and ours["per_second"] == 4.0 and ours["ratio"] == 4.0
    assert (ours["lowest"], ours["highest"]) == (0.25, 1.0)


def test_functions_take_turns():
    calls = []
    functions = {name: lambda name=name: calls.append(name) for name in "ab"}
    seconds = common.interleaved(functions, rounds=2, warm_up=1)
    assert "".join(calls) == "ababab"
    assert [len(times) for times in seconds.values()] == [2, 2]


_SMALL = ["--size=16", "--scans=3", "--pairs=4", "--rounds=1"]


def test_data(tmp_path, capsys):
    more = ["--many=0", "--student_size=0", f"--output={tmp_path}"]
    assert run("data", *_SMALL, *more) == 0
    shown = capsys.readouterr().out
    assert "pipeline" in shown and "h5py" in shown
    report = json.loads((tmp_path / "data.json").read_text())
    assert report["settings"]["scans"] == 3
    assert {"name", "seconds", "ratio"} <= set(report["rows"][0])


@pytest.mark.slow
@pytest.mark.chain
def test_data_memory_and_waiting(tmp_path):
    more = ["--many=4", "--student_size=16", f"--output={tmp_path}"]
    assert run("data", *_SMALL, *more) == 0
    rows = json.loads((tmp_path / "data.json").read_text())["rows"]
    assert sum("MB" in row for row in rows) == 2
    waiting = [row["waiting_percent"] for row in rows if "waiting_percent" in row]
    assert len(waiting) == 2 and all(0 <= percent <= 100 for percent in waiting)


def test_flows():
    store, write, read = flows.run(size=16, pairs=2, rounds=1)
    # Half precision has steps of 1/64 between 16 and 32 voxels, so errors of up to 1/128.
    assert 0 < store["largest_error_voxels"] <= 1 / 128
    assert store["bytes"] > 0
    assert write["seconds"] > 0 and read["seconds"] > 0


def test_export():
    *times, size = export.run(size=16, rounds=1)
    assert [row["name"] for row in times if "default_to_this" in row] == [
        *["export", "export, XLA", "in process", "original"],
        *["warp, plain", "warp, XLA", "warp, eight gathers"],
    ]
    assert times[0]["default_to_this"] == 1.0
    # 1,548,528 weights of four bytes, and the graph
    assert 4 * 1548528 < size["bytes"] < 7e6


@pytest.mark.slow
@pytest.mark.chain
def test_shell(tmp_path, capfd):
    made = [f"--output={tmp_path}", "--kind=brain", "--count=2", "--size=32", "--nifti=2"]
    assert make_phantoms.main(["make_phantoms", *made]) == 0
    names = [f"nifti/00{n}{end}.nii.gz" for end in ("", "_seg") for n in (0, 1)]
    pairs = tmp_path / "pairs.csv"
    pairs.write_text("fixed,moving,fixed_labels,moving_labels\n" + ",".join(names) + "\n")
    flags = [f"--pairs={pairs}", "--model=none", "--steps=0,10", f"--output={tmp_path}"]
    assert run("shell", *flags) == 0
    rows = json.loads((tmp_path / "shell.json").read_text())["rows"]
    assert [row["method"] for row in rows] == [f"ldr-register, {n} steps" for n in (0, 10)]
    assert rows[1]["dice"] > rows[0]["dice"] + 0.02
    assert all(row["cpu_seconds"] > row["seconds"] / 2 > 0.1 for row in rows)
    assert (tmp_path / "shell.png").stat().st_size > 5000
    pairs.write_text("fixed,moving\n" + ",".join(names[:2]) + "\n")
    assert run("shell", *flags) == 2
    assert "every pair needs fixed_labels" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "must be one of clients, data"),
        (["speed"], "not 'speed'"),
        (["data", "--size=8"], "size"),
        (["data", "more"], "unexpected argument 'more'"),
        (["data", "--output=/dev/null/x"], "must be a folder"),
    ],
)
def test_bad_arguments(arguments, words, capsys):
    assert run(*arguments) == 2
    assert words in capsys.readouterr().err


def test_help(capsys):
    assert run("--help") == 0
    assert "Subjects:" in capsys.readouterr().out
    assert run("data", "--help") == 0
    assert "--batch_size" in capsys.readouterr().out
