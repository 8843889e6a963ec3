"""Teacher flows from a network and from the release's pickles."""

import json
import os
import pickle

import numpy as np
import pytest

import ldr_tf
from data.flows import FlowReader
from data.manifest import read_manifest, scan_id
from data.pairs import list_pairs
from data.volumes import VolumeReader
from experiments import make_teacher_flows, release_pickles

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


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_pickles_of_the_release(protocol, phantoms, tmp_path):
    content = {"phantoms_000-phantoms_001": flow(1), "phantoms_001-phantoms_000": flow(2)}
    (tmp_path / NAME).write_bytes(pickle.dumps(content, protocol))
    path = tmp_path / "flows.h5"
    assert command(phantoms, path, f"--from_pickles={tmp_path}") == 0
    with FlowReader(path) as store:
        np.testing.assert_array_equal(store.read("phantoms_000", "phantoms_001"), flow(1))
        np.testing.assert_array_equal(store.read("phantoms_001", "phantoms_000"), flow(2))


def test_a_pickle_of_python_2_reads(tmp_path):
    # {"a-b": np.arange(3, dtype=np.float16)} in the form of Python 2 and NumPy 1, protocol 2:
    # byte strings where Python 3 has text, and the array's data as such a string.
    text = (
        b"\x80\x02}q\x00U\x03a-bq\x01cnumpy.core.multiarray\n_reconstruct\nq\x02cnumpy\nndarray\n"
        b"q\x03K\x00\x85q\x04U\x01bq\x05\x87q\x06Rq\x07(K\x01K\x03\x85q\x08cnumpy\ndtype\nq\tU\x02f2"
        b"q\nK\x00K\x01\x87q\x0bRq\x0c(K\x03U\x01<q\rNNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tq"
        b"\x0eb\x89U\x06\x00\x00\x00<\x00@q\x0ftq\x10bs."
    )
    path = tmp_path / NAME
    path.write_bytes(text)
    content = release_pickles.read_pickle(str(path))
    np.testing.assert_array_equal(content["a-b"], np.float16([0, 1, 2]))


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
        (lambda folder: Planted(str(folder / "planted")), ".mkdir, arrays alone are let in"),
        (lambda folder: {"phantoms_000-phantoms_001": Planted(str(folder / "planted"))}, "mkdir"),
        (lambda folder: {"phantoms_000-phantoms_001": flow(1)[:9]}, "must be (32, 32, 32, 3)"),
        (lambda folder: {"phantoms_000-phantoms_001": flow(1) * np.nan}, "must be finite"),
        (lambda folder: {"phantoms_000-nobody": flow(1)}, "'phantoms_000-nobody' fits no pair"),
        (lambda folder: [flow(1)], "must hold a dictionary"),
        (lambda folder: {"phantoms_000-phantoms_001": "text"}, "must hold a dictionary"),
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
        assert "is no pickle of flows that can be read" in capfd.readouterr().err


def test_flags_that_do_not_fit(phantoms, student_run, tmp_path, capfd):
    path = tmp_path / "flows.h5"
    teacher = f"--teacher={student_run}"
    assert command(phantoms, path) == 2
    assert "--teacher or --from_pickles" in capfd.readouterr().err
    assert command(phantoms, path, teacher, f"--from_pickles={tmp_path}") == 2
    assert "not both" in capfd.readouterr().err
    assert command(phantoms, path, f"--from_pickles={tmp_path}") == 2
    assert "holds no file *_teacher_deformation_c_*.pkl" in capfd.readouterr().err
    assert command(phantoms, path, teacher, "--subset=nine") == 2
    assert "no scheme or subset 'nine'" in capfd.readouterr().err
    other = json.loads(phantoms.read_text())
    other["image_size"] = [16, 16, 16]
    (tmp_path / "other.json").write_text(json.dumps(other))
    assert command(tmp_path / "other.json", path, teacher) == 2
    assert "was trained at (32, 32, 32)" in capfd.readouterr().err
    assert not path.exists()
