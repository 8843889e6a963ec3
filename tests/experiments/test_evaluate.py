"""The evaluation script on a tiny data set, with fake networks of known flow."""

import csv
import json
import math

import h5py
import pytest

from experiments import evaluate
from experiments.evaluation import tables
from ldr_tf.config import RunConfig
from ldr_tf.errors import InputError
from ldr_tf.runs.checkpoints import write_config


@pytest.fixture(name="dataset")
def the_dataset(tiny_dataset):
    return tiny_dataset


@pytest.fixture(name="runs", autouse=True)
def the_runs(fake_runs):
    return fake_runs


def call(dataset, *others, run="runs/student"):
    output = dataset.parent / "results"
    flags = [f"--run={run}", f"--dataset={dataset}", f"--output={output}", "--report=none"]
    arguments = [*flags, *others]
    return evaluate.main(["evaluate", *arguments]), output


def read_csv(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_results(dataset, capsys):
    code, output = call(dataset)
    assert code == 0
    assert sorted(path.name for path in output.iterdir()) == [
        "journal.jsonl",
        "labels.csv",
        "pairs.csv",
        "summary.json",
    ]

    rows = read_csv(output / "pairs.csv")
    assert [(row["method"], row["fixed"], row["moving"]) for row in rows] == [
        ("identity", "tiny_0", "tiny_1"),
        ("identity", "tiny_1", "tiny_0"),
        ("student", "tiny_0", "tiny_1"),
        ("student", "tiny_1", "tiny_0"),
    ]
    # Two of four layers overlap before; all of them, or none, after.
    assert [float(row["dice"]) for row in rows] == [0.5, 0.5, 1, 0]
    assert [float(row["landmark"]) for row in rows] == [2, 2, 0, 4]
    assert [row["parameters"] for row in rows] == ["0", "0", "1234567", "1234567"]
    assert "labels" not in rows[0]

    labels = read_csv(output / "labels.csv")
    assert len(labels) == 8
    assert labels[4] == {
        "method": "student",
        "fixed": "tiny_0",
        "moving": "tiny_1",
        "label": "cube",
        "dice": "1",
        "jaccard": "1",
        "hd95_mm": "0",
        "surface_mm": "0",
    }
    assert (labels[5]["label"], labels[5]["dice"]) == ("other", "")

    summary = json.loads((output / "summary.json").read_text())
    assert summary["precision"] == {"student": "float32"}
    student = summary["methods"]["student"]
    assert student["dice"] == {"mean": 0.5, "std": 0.5, "count": 2}
    assert student["parameters"] == 1234567
    assert student["seconds"]["mean"] > 0
    assert student["labels"]["other"] == {"mean": None, "std": None, "count": 0}

    shown = capsys.readouterr()
    assert "pair 4/4" in shown.err
    printed = shown.out.splitlines()
    assert printed[0].split()[:3] == ["method", "Dice", "Jaccard"]
    assert printed[1].split()[:2] == ["identity", "0.500"]
    assert printed[2].split()[-1] == "1,234,567"


def test_subset_paired_limit_names_and_originals(dataset):
    code, output = call(
        dataset,
        "--run=runs/teacher",
        "--names=light,heavy",
        "--subset=all",
        "--limit=3",
        "--original_metrics",
    )
    assert code == 0
    rows = read_csv(output / "pairs.csv")
    assert [row["method"] for row in rows] == ["identity"] * 3 + ["light"] * 3 + ["heavy"] * 3
    assert rows[3]["original_dice"] == "1"
    # Five absent fixed points are taken as (0, 0, 0), moved by two: sqrt(11) from (-1, -1, -1).
    assert float(rows[3]["original_landmark"]) == pytest.approx(5 * math.sqrt(11) / 6, rel=1e-5)

    code, output = call(dataset, "--subset=all", "--paired")
    assert code == 0
    assert len(read_csv(output / "pairs.csv")) == 4  # (0,1) and (1,0) alone, two methods


def test_no_half_written_results(dataset, monkeypatch):
    assert call(dataset)[0] == 0
    before = {path.name: path.read_bytes() for path in (dataset.parent / "results").iterdir()}

    def fail(value):
        raise RuntimeError

    monkeypatch.setattr(tables, "_cell", fail)
    with pytest.raises(RuntimeError):
        call(dataset)
    after = {path.name: path.read_bytes() for path in (dataset.parent / "results").iterdir()}
    assert after == before


@pytest.mark.parametrize(
    "others, culprit",
    [
        (["--subset=nowhere"], "nowhere"),
        (["--subset=none"], "none"),
        (["--subset=one"], "at least two scans"),
        (["--pairs=list.csv"], "one of the two"),
        (["--workers=2", "--scheduler=tcp://there:1"], "one of the two"),
        (["--workers=2", "--threads=2"], "--threads"),
        (["--baseline=fsl"], "ants, elastix"),
        (["--spacing=1,2"], "spacing"),
        (["--spacing=0"], "--spacing"),
        (["--true_displacements=nowhere"], "nowhere"),
        (["--refine_steps=-1"], "refine_steps"),
        (["--dataset=missing.json"], "missing.json"),
        (["--names=a,b"], "--names"),
        (["--names=identity"], "--names"),
        (["--run=none", "--names=a,b"], "--run=none"),
        (["--limit=0"], "limit"),
        (["--unheard_of=1"], "unheard_of"),
    ],
)
def test_bad_input(dataset, capsys, others, culprit):
    code, output = call(dataset, *others)
    message = capsys.readouterr().err
    assert code == 2
    assert culprit in message
    assert len(message.splitlines()) == 1
    assert not output.exists()


def test_no_run(dataset, capsys):
    output = dataset.parent / "results"
    assert evaluate.main(["evaluate", f"--dataset={dataset}", f"--output={output}"]) == 2
    assert "--run" in capsys.readouterr().err


def test_folder_that_is_no_run(dataset, capsys, monkeypatch):
    monkeypatch.undo()  # the real load_run
    code, output = call(dataset, run=str(dataset.parent))
    assert code == 2
    assert str(dataset.parent) in capsys.readouterr().err
    assert not output.exists()


def test_run_without_a_checkpoint(dataset, capsys, monkeypatch):
    monkeypatch.undo()  # the real load_run
    write_config(str(dataset.parent / "untrained"), RunConfig())
    code, output = call(dataset, run=str(dataset.parent / "untrained"))
    assert code == 2
    assert "untrained: has no checkpoint yet" in capsys.readouterr().err
    assert not output.exists()


def test_output_that_is_a_file(dataset, capsys):
    (dataset.parent / "results").write_text("mine")
    code, output = call(dataset)
    assert code == 2
    assert "results" in capsys.readouterr().err
    assert output.read_text() == "mine"


def test_run_names():
    assert evaluate.run_names(["runs/a/", "runs/b"], []) == ["a", "b"]
    assert evaluate.run_names(["x/best", "y/best"], []) == ["x/best", "y/best"]
    with pytest.raises(InputError, match="differ"):
        evaluate.run_names(["x", "x"], [])


def test_table_shows_what_is_missing_as_a_dash():
    row = {
        "method": "student",
        "parameters": 10,
        "fixed": "a",
        "moving": "b",
        "dice": 0.75,
        "jaccard": 0.6,
        "landmark": math.nan,
        "std_jacobian": 0.1,
        "folds_percent": 0.0,
        "folds_any_percent": 0.25,
        "correlation": 0.9,
        "seconds": 0.1234,
        "labels": {},
    }
    heading, line = tables.table([row]).splitlines()
    assert " ".join(heading.split()) == (
        "method Dice Jaccard landmark HD95 mm std|J| folds % any fold % seconds parameters"
    )
    assert " ".join(line.split()) == "student 0.750 0.600 - - 0.100 0.000 0.250 0.123 10"
    assert len(heading) == len(line)


def test_lines_of_the_original_code(dataset, runs, tmp_path, monkeypatch):
    network = runs["runs/student"]
    monkeypatch.setattr("ldr_tf.runs.checkpoints.load_run", lambda path, **_: network)
    output = tmp_path / "results"
    command = ["evaluate", "--run=net", f"--dataset={dataset}", f"--output={output}"]
    assert evaluate.main([*command, "--format=rcn", "--report=none"]) == 0
    lines = (output / "net.txt").read_text().splitlines()
    first, second, summary, dice, jaccard, landmark, jacobian = lines
    # scan 1 lies two voxels further along x than scan 0, which is what the network shifts by
    assert first.split()[:2] == ["tiny_0", "tiny_1"]
    assert [float(value) for value in first.split()[2:4]] == [1.0, 1.0]
    assert second.split()[:3] == ["tiny_1", "tiny_0", "0.0"]
    assert summary == "Summary"
    assert dice == "Dice score: 0.5 (0.5)"
    assert jaccard == "Jacc score: 0.5 (0.5)"
    assert landmark.startswith("Landmark distance: ")
    assert jacobian == "Jacobian determinant: 0.0 (0.0)"


def test_lines_of_pairs_without_labels_and_of_runs_of_one_name(
    dataset, runs, tmp_path, monkeypatch
):
    network = runs["runs/student"]
    monkeypatch.setattr("ldr_tf.runs.checkpoints.load_run", lambda path, **_: network)
    with h5py.File(dataset.parent / "scans.h5", "a") as file:
        del file["2"]["segmentation"], file["2"]["point"]
    output = tmp_path / "results"
    runs = [f"--run={tmp_path}/first/best", f"--run={tmp_path}/second/best"]
    command = ["evaluate", *runs, f"--dataset={dataset}", f"--output={output}", "--format=rcn"]
    command.append("--report=none")
    assert evaluate.main([*command, "--subset=all"]) == 0
    names = [f"{str(tmp_path).strip('/').replace('/', '_')}_{n}_best" for n in ("first", "second")]
    assert {path.stem for path in output.glob("*.txt")} == {"identity", *names}
    lines = (output / f"{names[0]}.txt").read_text().splitlines()
    assert lines[1].split()[:5] == ["tiny_0", "tiny_2", "nan", "nan", "0.0"]
    assert lines[7] == "Dice score: 0.5 (0.5)"  # of the two pairs that have labels

    with h5py.File(dataset.parent / "scans.h5", "a") as file:
        del file["1"]["segmentation"]
    assert evaluate.main([*command, "--subset=two", "--limit=1"]) == 0
    assert "Dice score: nan (nan)" in (output / "identity.txt").read_text()
