"""Labels of a few scans for the others: votes by hand, the files, the going on, the refusals."""

import json

import h5py
import numpy as np
import pytest

from data.manifest import read_manifest
from data.pipeline import label_classes
from data.volumes import VolumeReader
from experiments import propagate_labels
from tests.batches import training_batches


def test_votes_by_hand():
    maps = [
        np.array(row)[None, None] for row in ([1, 1, 2, 0, 3], [1, 2, 3, 0, 3], [2, 2, 1, 5, 0])
    ]
    labels, agreement = propagate_labels.vote(maps)
    assert labels.ravel().tolist() == [1, 2, 2, 0, 3]  # equal votes: the first map's 2
    assert agreement == pytest.approx({1: 2 / 3, 2: (2 / 3 + 1 / 3) / 2, 3: 2 / 3})


def test_one_map_agrees_with_itself():
    labels, agreement = propagate_labels.vote([np.array([[[0, 4, 4]]])])
    assert labels.ravel().tolist() == [0, 4, 4] and agreement == {4: 1.0}


def call(dataset, run, output, *more):
    flags = [f"--dataset={dataset}", f"--teacher={run}", f"--output={output}", *more]
    return propagate_labels.main(["propagate_labels", *flags])


ATLASES = ["--atlas=phantoms/000", "--atlas=phantoms/001"]


def test_the_scans_of_a_subset_get_labels(phantoms, student_run, tmp_path, capfd):
    assert call(phantoms, student_run, tmp_path / "out", *ATLASES) == 0
    assert "labelled: 4 scans" in capfd.readouterr().out
    manifest, source = read_manifest(tmp_path / "out" / "dataset.json"), read_manifest(phantoms)
    assert label_classes(manifest) == label_classes(source)
    assert manifest.subsets["validation"] == source.subsets["validation"]
    assert manifest.schemes == source.schemes
    keys = zip(manifest.subsets["train"], source.subsets["train"])
    with VolumeReader(manifest) as ours, VolumeReader(source) as theirs:
        for number, (key, original) in enumerate(keys):
            scan, true = ours.read(key), theirs.read(original)
            np.testing.assert_array_equal(scan.volume, true.volume)
            np.testing.assert_array_equal(scan.point, true.point)
            same = (scan.segmentation == true.segmentation).mean()
            assert same == 1.0 if number < 2 else 0.5 < same < 1.0  # an atlas keeps its own
        ours.read(manifest.subsets["validation"][0])
    batches = training_batches(manifest, "1", 1, seed=0, labels=True)
    assert next(iter(batches))["fixed_labels"].numpy().any()
    with h5py.File(tmp_path / "out" / "phantoms_002_propagated.h5") as file:
        shares = dict(file["scan/agreement"][()])
    assert shares and all(0.5 <= share <= 1.0 for share in shares.values())


def test_it_goes_on_where_it_stopped(phantoms, student_run, tmp_path, monkeypatch, capfd):
    out = tmp_path / "out"
    real, done = propagate_labels._label, []

    def broken(key, *rest):
        if len(done) == 3:
            raise KeyboardInterrupt
        done.append(key)
        real(key, *rest)

    monkeypatch.setattr(propagate_labels, "_label", broken)
    assert call(phantoms, student_run, out, *ATLASES) != 0
    assert not (out / "dataset.json").exists() and len(list(out.glob("*.h5"))) == 3
    monkeypatch.setattr(propagate_labels, "_label", lambda *a: done.append(a[0]) or real(*a))
    assert call(phantoms, student_run, out, *ATLASES) == 0
    assert done[3:] == ["phantoms/003"]
    assert call(phantoms, student_run, out, *ATLASES, "--refine_steps=1") == 2
    assert "was begun with other scans" in capfd.readouterr().err


def test_labels_on_which_atlases_disagree_are_left_out(phantoms, student_run, tmp_path):
    assert call(phantoms, student_run, tmp_path / "o", *ATLASES, "--least_agreement=1") == 0
    with h5py.File(tmp_path / "o" / "phantoms_003_propagated.h5") as file:
        left, shares = set(np.unique(file["scan/segmentation"])), dict(file["scan/agreement"][()])
    assert left - {0} == {label for label, share in shares.items() if share == 1.0}


@pytest.mark.parametrize(
    "words, sentence",
    [
        (["--atlas=phantoms/009"], "has no scan 'phantoms/009'"),
        (["--atlas=phantoms/000", "--atlas=phantoms/000"], "named twice"),
        (["--atlas=phantoms/000", "--subset=nothing"], "nothing"),
        (["--atlas=phantoms/000", "--teacher=none"], "must be a model"),
    ],
)
def test_bad_input(phantoms, student_run, tmp_path, words, sentence, capfd):
    assert call(phantoms, student_run, tmp_path / "out", *words) == 2
    err = capfd.readouterr().err
    assert err.count("\n") == 1 and sentence in err
    assert not (tmp_path / "out" / "dataset.json").exists()


def test_the_data_set_itself_is_not_written_over(phantoms, student_run, tmp_path, capfd):
    content = json.loads(phantoms.read_text())
    content["files"]["phantoms"]["path"] = str(phantoms.parent / "phantoms.h5")
    (tmp_path / "dataset.json").write_text(json.dumps(content))
    assert call(tmp_path / "dataset.json", student_run, tmp_path, *ATLASES) == 2
    assert "holds the data set itself" in capfd.readouterr().err
    assert json.loads((tmp_path / "dataset.json").read_text()) == content


def test_an_atlas_without_labels(phantoms, student_run, tmp_path, capfd):
    with h5py.File(phantoms.parent / "phantoms.h5") as file:
        volume = file["000/volume"][()]
    with h5py.File(tmp_path / "bare.h5", "w") as file:
        file.create_dataset("a/volume", data=volume)
    content = json.loads(phantoms.read_text())
    content["files"]["bare"] = {"type": "HDF5", "path": str(tmp_path / "bare.h5")}
    content["files"]["phantoms"]["path"] = str(phantoms.parent / "phantoms.h5")
    content["subsets"]["bare"] = ["bare/a"]
    (tmp_path / "set.json").write_text(json.dumps(content))
    assert call(tmp_path / "set.json", student_run, tmp_path / "out", "--atlas=bare/a") == 2
    assert "segmentation" in capfd.readouterr().err
