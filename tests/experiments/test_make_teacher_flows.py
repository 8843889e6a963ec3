"""Teacher flows from a network and from the release's pickles."""

import json
import os
import pickle
import shutil

import h5py
import numpy as np
import pytest

import ldr_tf
from data.flows import FlowReader
from data.manifest import read_manifest, scan_id
from data.pairs import list_pairs
from data.volumes import VolumeReader
from experiments import make_teacher_flows, release_pickles
from ldr_tf.ops.warp import warp
from tests.batches import training_batches

SIZE = (32, 32, 32)
NAME = "liver_teacher_deformation_c_1.pkl"


def command(dataset, output, *more):
    return make_teacher_flows.main(
        ["make_teacher_flows", f"--dataset={dataset}", f"--output={output}", *more]
    )


def flow(seed):
    return np.random.default_rng(seed).normal(size=(*SIZE, 3)).astype("float16")


def test_a_networks_flows(phantoms, student_run, tmp_path, capfd):
    path = tmp_path / "flows.h5"
    flags = [f"--teacher={student_run}", "--subset=validation"]
    assert command(phantoms, path, *flags) == 0
    assert "2 of 2 pairs to do, at most 0 MB" in capfd.readouterr().out
    manifest = read_manifest(phantoms)
    network = ldr_tf.load_run(str(student_run))
    with FlowReader(path) as store, VolumeReader(manifest) as scans:
        for fixed, moving in list_pairs(manifest, "validation"):
            pair = [scans.read_volume(key)[None, ..., None] / 255 for key in (fixed, moving)]
            wanted = network(*(volume.astype("float32") for volume in pair)).flow[0]
            stored = store.read(scan_id(fixed), scan_id(moving))
            np.testing.assert_allclose(stored, wanted, atol=2e-3)
    assert command(phantoms, path, *flags) == 2
    assert "exists already" in capfd.readouterr().err
    # The store belongs to these volumes, and not to others of the same names.
    training_batches(manifest, "validation", 1, seed=0, flows=path)
    shutil.copy(phantoms, tmp_path)
    shutil.copy(phantoms.parent / "phantoms.h5", tmp_path)
    with h5py.File(tmp_path / "phantoms.h5", "a") as file:
        file["005/volume"][...] = file["004/volume"][()]
    with pytest.raises(ldr_tf.InputError, match="another volume called phantoms_005"):
        other = read_manifest(tmp_path / phantoms.name)
        training_batches(other, "validation", 1, seed=0, flows=path)


def test_flows_refined_on_their_pairs(phantoms, student_run, tmp_path, capfd):
    paths = [tmp_path / "plain.h5", tmp_path / "refined.h5"]
    flags = [f"--teacher={student_run}", "--subset=validation"]
    assert command(phantoms, paths[0], *flags) == 0
    assert command(phantoms, paths[1], *flags, "--refine_steps=8") == 0
    manifest = read_manifest(phantoms)
    (fixed, moving), _ = list_pairs(manifest, "validation")
    with VolumeReader(manifest) as scans:
        pair = [scans.read_volume(key).astype("float32") / 255 for key in (fixed, moving)]
    correlations = []
    for path in paths:
        with FlowReader(path) as store:
            flow = store.read(scan_id(fixed), scan_id(moving))
        warped = warp(pair[1][None, ..., None], flow[None])[0, ..., 0].numpy()
        correlations.append(np.corrcoef(pair[0].ravel(), warped.ravel())[0, 1])
    assert correlations[1] > correlations[0] + 0.01
    assert command(phantoms, paths[1], f"--from_pickles={tmp_path}", "--refine_steps=8") == 2
    assert "--refine_steps refines what a --teacher finds" in capfd.readouterr().err


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_pickles_of_the_release(protocol, phantoms, tmp_path, capfd):
    content = {"phantoms_000-phantoms_001": flow(1), "phantoms_001-phantoms_000": flow(2)}
    (tmp_path / NAME).write_bytes(pickle.dumps(content, protocol))
    path = tmp_path / "flows.h5"
    assert command(phantoms, path, f"--from_pickles={tmp_path}") == 0
    assert "2 of the 12 pairs of '1' have a flow" in capfd.readouterr().out
    with FlowReader(path) as store:
        np.testing.assert_array_equal(store.read("phantoms_000", "phantoms_001"), flow(1))
        np.testing.assert_array_equal(store.read("phantoms_001", "phantoms_000"), flow(2))


def test_keys_are_matched_not_split():
    ids = {"a", "a-b", "b", "b-c", "c"}
    split = release_pickles.split_key
    assert split("a-b-b", {"a-b", "b"}, "p") == ("a-b", "b")
    with pytest.raises(ldr_tf.InputError, match=r"p: the key 'a-b-c' fits several pairs"):
        split("a-b-c", ids, "p")
    with pytest.raises(ldr_tf.InputError, match="fits no pair"):
        split("x-y", ids, "p")


class Planted:
    """Would make a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize(
    "content, words",
    [
        (lambda folder: Planted(str(folder / "planted")), ".mkdir; only numpy arrays are admitted"),
        (lambda folder: {"phantoms_000-phantoms_001": Planted(str(folder / "planted"))}, "mkdir"),
        (lambda folder: {"phantoms_000-phantoms_001": flow(1)[:9]}, "must be (32, 32, 32, 3)"),
        (lambda folder: {"phantoms_000-phantoms_001": flow(1) * np.nan}, "must be finite"),
        (lambda folder: {"phantoms_000-nobody": flow(1)}, "'phantoms_000-nobody' fits no pair"),
        (lambda folder: [flow(1)], "must hold a dictionary"),
        (lambda folder: {"phantoms_000-phantoms_001": "text"}, "must be an array, not str"),
        (lambda folder: {"phantoms_000-phantoms_000": flow(1)}, "fits no pair"),
        (lambda folder: {"phantoms_000-phantoms_001": flow(1).astype(int)}, "must hold floats"),
        (lambda folder: {"phantoms_000-phantoms_001": flow(1).astype(object)}, "type 'O8'"),
    ],
)
def test_other_pickles_are_refused_before_they_run(content, words, phantoms, tmp_path, capfd):
    (tmp_path / NAME).write_bytes(pickle.dumps(content(tmp_path)))
    assert command(phantoms, tmp_path / "flows.h5", f"--from_pickles={tmp_path}") == 2
    shown = capfd.readouterr().err
    assert words in shown and NAME in shown and "Traceback" not in shown
    assert sorted(path.name for path in tmp_path.iterdir()) == [NAME]


def test_a_truncated_pickle_is_refused(phantoms, tmp_path, capfd):
    whole = pickle.dumps({"phantoms_000-phantoms_001": flow(1)})
    for length in (0, 10, 200, len(whole) // 2, len(whole) - 1):
        (tmp_path / NAME).write_bytes(whole[:length])
        assert command(phantoms, tmp_path / "flows.h5", f"--from_pickles={tmp_path}") == 2
        assert "is no whole pickle of arrays" in capfd.readouterr().err


def test_a_pair_in_two_files_is_refused(phantoms, tmp_path, capfd):
    # c_1, c_2 and c_3 of the release lie in one folder: mixed, they would be no one teacher's
    for number in (1, 2):
        path = tmp_path / f"liver_teacher_deformation_c_{number}.pkl"
        path.write_bytes(pickle.dumps({"phantoms_000-phantoms_001": flow(number)}))
    assert command(phantoms, tmp_path / "flows.h5", f"--from_pickles={tmp_path}") == 2
    shown = capfd.readouterr().err
    assert "c_2.pkl: the pair 'phantoms_000-phantoms_001' is in" in shown and "c_1.pkl too" in shown
    assert len(list(tmp_path.iterdir())) == 2


def test_scans_that_share_an_id_are_refused(phantoms, tmp_path, capfd):
    content = json.loads(phantoms.read_text())
    content["files"]["/"] = content["files"]["phantoms"]
    content["subsets"]["train"].append("phantoms_000")
    (tmp_path / "shared.json").write_text(json.dumps(content))
    assert (
        command(tmp_path / "shared.json", tmp_path / "flows.h5", f"--from_pickles={tmp_path}") == 2
    )
    assert "'phantoms/000' and 'phantoms_000' share the id" in capfd.readouterr().err


def test_a_missing_scan_is_found_before_the_work(phantoms, tmp_path, capfd):
    content = json.loads(phantoms.read_text())
    content["files"]["phantoms"]["path"] = str(phantoms.parent / "phantoms.h5")
    content["subsets"]["train"][-1] = "phantoms/nobody"
    (tmp_path / "broken.json").write_text(json.dumps(content))
    assert command(tmp_path / "broken.json", tmp_path / "flows.h5", "--teacher=nowhere") == 2
    assert "has no scan 'nobody'" in capfd.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["broken.json"]


def test_flags_that_do_not_fit(phantoms, student_run, tmp_path, capfd):
    path = tmp_path / "flows.h5"
    teacher = f"--teacher={student_run}"
    assert command(phantoms, path) == 2
    assert "--teacher or --from_pickles" in capfd.readouterr().err
    assert command(phantoms, path, teacher, f"--from_pickles={tmp_path}") == 2
    assert "not both" in capfd.readouterr().err
    assert command(phantoms, path, "--from_pickles=") == 2
    assert "--from_pickles has no value" in capfd.readouterr().err
    assert command(phantoms, path, f"--from_pickles={tmp_path}", "--subset=nine") == 2
    assert "no scheme or subset 'nine'" in capfd.readouterr().err
    assert command(phantoms, path, f"--from_pickles={tmp_path}") == 2
    assert "holds no file *_teacher_deformation_c_*.pkl" in capfd.readouterr().err
    assert command(phantoms, path, teacher, "--subset=nine") == 2
    assert "no scheme or subset 'nine'" in capfd.readouterr().err
    other = json.loads(phantoms.read_text())
    other["image_size"] = [16, 16, 16]
    (tmp_path / "other.json").write_text(json.dumps(other))
    with h5py.File(tmp_path / "phantoms.h5", "w") as file:
        for index in range(8):
            file[f"{index:03d}/volume"] = np.zeros((16, 16, 16), "uint8")
    assert command(tmp_path / "other.json", path, teacher) == 2
    assert "was trained at (32, 32, 32)" in capfd.readouterr().err
    assert not path.exists()
