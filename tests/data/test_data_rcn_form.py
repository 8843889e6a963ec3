"""A data set with every variant of RCN's form trains, evaluates, and pairs by the rules."""

import csv
import json

import h5py
import numpy as np
import pytest

import ldr_tf
from experiments import evaluate, make_teacher_flows, train

SIZE = 16


def volume(seed):
    grid = np.stack(np.meshgrid(*[np.arange(SIZE)] * 3, indexing="ij"), -1)
    centre = np.random.default_rng(seed).uniform(6, 10, 3)
    return (200 * np.exp(-np.sum((grid - centre) ** 2, -1) / 20)).astype("uint8")


@pytest.fixture(name="dataset")
def make_dataset(tmp_path):
    (tmp_path / "volumes").mkdir()
    with h5py.File(tmp_path / "volumes" / "sliver.h5", "w") as file:
        for index in range(4):
            group = file.create_group(f"{index:02d}")
            group["volume"] = volume(index)
            group["segmentation"] = (volume(index) > 60).astype("uint8") * 255
            points = np.full((6, 3), -1.0)
            points[:3] = 5 + index
            group["point"] = points
    with h5py.File(tmp_path / "rest.h5", "w") as file:
        for index in range(2):
            file.create_group(f"msd/hepatic/{index}")["volume"] = volume(10 + index)
    content = {
        "files": {
            "sliver": {"type": "HDF5", "path": "volumes/sliver.h5"},
            "/": {"type": "HDF5", "path": "rest.h5"},
        },
        "subsets": {
            "sliver": [f"sliver/{index:02d}" for index in range(4)],
            "msd": ["msd/hepatic/0", "msd/hepatic/1"],
        },
        "schemes": {"1": {"sliver": 0.75, "msd": 0.25}, "2": {"sliver": 1.0}},
        "image_size": [SIZE] * 3,
        "image_type": "liver",
    }
    return tmp_path / "liver.json", content


def write(path, content, **changes):
    path.write_text(json.dumps({**content, **changes}))
    return path


def run_train(path, output, *more):
    flags = [
        "--stage=student",
        f"--dataset={path}",
        f"--output={output}",
        "--set=network.channels=2",
    ]
    return train.main(
        [
            "train",
            *flags,
            "--set=optimisation.steps=2",
            "--set=optimisation.batch_size=4",
            "--set=data.validation=",
            *more,
        ]
    )


def evaluated(path, run, output, *more):
    flags = [f"--run={run}", f"--dataset={path}", f"--output={output}", "--names=net"]
    assert evaluate.main(["evaluate", *flags, "--original_metrics", *more]) == 0
    with open(output / "pairs.csv", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["method"] == "net"]
    return rows, [(row["fixed"], row["moving"]) for row in rows]


def test_trains_and_evaluates_in_the_order_of_the_rules(dataset, tmp_path, monkeypatch):
    path, content = dataset
    write(path, content)
    run = tmp_path / "run"
    assert run_train(path, run) == 0
    assert run_train(path, tmp_path / "paired", "--set=data.paired=true") == 0
    ids = [f"sliver_{index:02d}" for index in range(4)]
    rows, pairs = evaluated(path, run, tmp_path / "all")
    assert pairs == [(a, b) for a in ids for b in ids if a != b]
    assert all(row["dice"] and row["landmark"] and row["original_dice"] for row in rows)
    _, pairs = evaluated(path, run, tmp_path / "pairs", "--paired")
    assert pairs == [(ids[a], ids[b]) for a, b in ((0, 1), (1, 0), (2, 3), (3, 2))]
    rows, pairs = evaluated(path, run, tmp_path / "scheme", "--subset=1")
    nested = ("msd_hepatic_0", "msd_hepatic_1")
    assert len(pairs) == 14 and pairs[12:] == [nested, nested[::-1]]
    assert rows[12]["dice"] == "" and rows[12]["landmark"] == ""  # it has neither
    monkeypatch.chdir(tmp_path)  # files are found from the working folder too
    (tmp_path / "elsewhere").mkdir()
    moved = write(tmp_path / "elsewhere" / "liver.json", content, atlas="sliver/02")
    _, pairs = evaluated(moved, run, tmp_path / "atlas", "--subset=msd")
    assert pairs == [("sliver_02", nested[0]), ("sliver_02", nested[1])]
    labelled = write(path, content, segmentation_class_value={"organ": 255, "other": 7})
    evaluated(labelled, run, tmp_path / "labelled", "--limit=1")
    labels = (tmp_path / "labelled" / "labels.csv").read_text()
    assert ",organ," in labels and ",other," in labels


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"schemes": {"1": {"ill": 1.0}}, "subsets": {"ill": ["sliver/0", "sliver/77"]}}, "'0'"),
        ({"image_size": [32] * 3}, "volume must have image_size (32, 32, 32), not (16, 16, 16)"),
        ({"schemes": {"1": {"lits": 1.0}}}, "names the unknown subset 'lits'"),
        ({"schemes": {"1": {"sliver": 0.5, "msd": 0.4}}}, "sum to 1"),
    ],
)
def test_bad_data_sets_are_refused_by_the_commands(
    changes, words, dataset, tmp_path, capfd, monkeypatch
):
    path, content = dataset
    write(path, content, **changes)
    assert run_train(path, tmp_path / "run") == 2
    shown = capfd.readouterr().err
    assert words in shown and "liver.json" in shown + str(path) and "Traceback" not in shown
    assert not (tmp_path / "run").exists()
    others(path, tmp_path, monkeypatch)
    shown = capfd.readouterr().err
    assert shown.count(words) == 2 and "Traceback" not in shown


def others(path, folder, monkeypatch):
    """Gives the same data set to the other commands; they refuse it and leave nothing."""
    monkeypatch.setattr(ldr_tf, "load_run", lambda path: None, raising=False)
    flags = [f"--dataset={path}", "--subset=1"]
    output = folder / "results"
    assert evaluate.main(["evaluate", *flags, "--run=net", f"--output={output}"]) == 2
    output = folder / "flows.h5"
    command = ["make_teacher_flows", *flags, "--teacher=net", f"--output={output}"]
    assert make_teacher_flows.main(command) == 2
    assert {entry.name for entry in folder.iterdir()} == {"liver.json", "rest.h5", "volumes"}


def test_a_volume_of_another_type_is_refused(dataset, tmp_path, capfd, monkeypatch):
    path, content = dataset
    write(path, content)
    with h5py.File(tmp_path / "volumes" / "sliver.h5", "a") as file:
        del file["03/volume"]
        file["03/volume"] = volume(3).astype("float32")
    assert run_train(path, tmp_path / "run") == 2
    others(path, tmp_path, monkeypatch)
    words = "'sliver/03': volume must be uint8, not float32"
    assert capfd.readouterr().err.count(words) == 3
