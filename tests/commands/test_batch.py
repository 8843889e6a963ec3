import contextlib
import csv
import errno
import json
import os
import threading
import time
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
import SimpleITK as sitk

from ldr_tf import config as configs
from ldr_tf.commands import register
from ldr_tf.commands.folder import held
from ldr_tf.workers import Worker


class FakeNetwork:
    run_config = configs.RunConfig(
        network=configs.NetworkConfig(image_size=(16, 16, 16)),
        image=configs.ImageConfig("LPS", (2.0, 2.0, 2.0)),
    )

    def get_weights(self):
        return []

    def __call__(self, fixed, moving):
        return SimpleNamespace(flow=np.zeros((*fixed.shape[:4], 3), np.float32))


@pytest.fixture
def case(tmp_path, monkeypatch):
    """Three scans, a.nii.gz to c.nii.gz, in a folder of their own; a call of the command."""
    loaded = []
    monkeypatch.setattr(
        "ldr_tf.runs.checkpoints.load_run",
        lambda folder, **_: loaded.append(folder) or FakeNetwork(),
    )
    (tmp_path / "scans").mkdir()
    places = np.stack(np.meshgrid(*[np.linspace(-1, 1, 20)] * 3, indexing="ij"), -1)
    for name, shift in (("a", 0.0), ("b", 0.1), ("c", 0.2)):
        array = 500 * np.exp(-4 * ((places - shift) ** 2).sum(-1))
        image = sitk.GetImageFromArray(array.astype(np.float32))
        sitk.WriteImage(image, str(tmp_path / "scans" / f"{name}.nii.gz"))

    def call(text, *flags):
        (tmp_path / "pairs.csv").write_text(text)
        command = ["ldr-register", f"--pairs={tmp_path / 'pairs.csv'}", "--model=run"]
        command += ["--quality=fast"]
        return register.main([*command, f"--output={tmp_path / 'out'}", *flags])

    return SimpleNamespace(call=call, folder=tmp_path, loaded=loaded)


GOOD = "fixed,moving,output\nscans/a.nii.gz,scans/b.nii.gz,\nscans/a.nii.gz,scans/c.nii.gz,second\n"


def results(case):
    with open(case.folder / "out" / "results.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_every_pair_has_its_folder_and_one_model_serves_all(case, capsys):
    assert case.call(GOOD) == 0
    out = case.folder / "out"
    assert sorted(os.listdir(out)) == ["b_to_a", "results.csv", "second"]
    for name in ("b_to_a", "second"):
        assert {"warped.nii.gz", "summary.json", "preview.png"} <= set(os.listdir(out / name))
    assert len(case.loaded) == 1
    rows = results(case)
    assert [row["status"] for row in rows] == ["finished"] * 2
    assert [row["warnings"] for row in rows] == [""] * 2
    assert float(rows[0]["correlation_after"]) > float(rows[1]["correlation_after"]) > 0.2
    printed = capsys.readouterr().out
    assert "1/2 b_to_a: correlation" in printed and "2 registered, 0 finished before" in printed


def test_finished_pairs_are_skipped_others_are_not(case, capsys):
    assert case.call(GOOD) == 0
    out = case.folder / "out"
    (out / "second" / "summary.json").unlink()  # as after a kill
    first = (out / "b_to_a" / "summary.json").stat().st_mtime_ns
    capsys.readouterr()
    assert case.call(GOOD) == 0
    assert (out / "b_to_a" / "summary.json").stat().st_mtime_ns == first
    assert "1 registered, 1 finished before, 0 failed" in capsys.readouterr().out
    # Other settings are another registration.
    assert case.call(GOOD, "--affine=none") == 0
    assert "2 registered, 0 finished before" in capsys.readouterr().out
    assert json.loads((out / "second" / "summary.json").read_text())["settings"]["affine"] == "none"


def again(case, capsys, *flags):
    capsys.readouterr()
    assert case.call(GOOD, *flags) == 0
    return capsys.readouterr().out.splitlines()[-1].split(",")[0]


def test_other_files_and_other_weights_are_other_registrations(case, capsys, monkeypatch):
    assert case.call(GOOD) == 0
    assert again(case, capsys) == "0 registered"
    # One of three scans is written anew, of the same size; both pairs have the first one.
    for name, pairs in (("c", 1), ("a", 2)):
        path = case.folder / "scans" / f"{name}.nii.gz"
        os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))
        assert again(case, capsys) == f"{pairs} registered"
    monkeypatch.setattr(FakeNetwork, "get_weights", lambda self: [np.ones(3)])
    assert again(case, capsys) == "2 registered"
    assert again(case, capsys) == "0 registered"


def test_a_model_that_was_chosen_is_held_against_the_one_that_would_be(case, capsys, monkeypatch):
    auto, summary = ("--model=auto", "--refine_steps=0"), case.folder / "out/second/summary.json"
    assert case.call(GOOD, *auto) == 0
    assert "shows less than a brain" in capsys.readouterr().err
    assert json.loads(summary.read_text())["model"] is None
    case.loaded.clear()  # it was, beside looking at the scans
    assert again(case, capsys, *auto) == "0 registered" and not case.loaded
    summary.unlink()
    monkeypatch.setattr("ldr_tf.registration.choice._unlike_brain", lambda look: None)
    assert again(case, capsys, *auto) == "1 registered"
    found = json.loads(summary.read_text())
    assert (found["model"]["name"], found["settings"]["model"]) == ("brain-t1", "auto")
    assert again(case, capsys, *auto) == "0 registered"
    monkeypatch.setattr(FakeNetwork, "get_weights", lambda self: [np.ones(3)])
    assert again(case, capsys, *auto) == "1 registered"


def test_a_summary_of_an_older_form_is_not_finished(case, capsys):
    assert case.call(GOOD) == 0
    path = case.folder / "out" / "second" / "summary.json"
    summary = json.loads(path.read_text())
    del summary["input_files"]
    path.write_text(json.dumps({**summary, "warnings": []}))
    assert again(case, capsys) == "1 registered"


def test_a_bad_pair_is_named_and_the_rest_goes_on(case, capsys):
    bad = GOOD.replace("\nscans/a.nii.gz,scans/b", "\nscans/a.nii.gz,scans/none")
    assert case.call(bad) == 2
    err = capsys.readouterr().err
    assert "1/2 none_to_a: failed: " in err and "none.nii.gz: no such file" in err
    assert sorted(os.listdir(case.folder / "out")) == ["results.csv", "second"]
    rows = results(case)
    assert "no such file" in rows[0]["status"] and rows[1]["status"] == "finished"


def test_a_pair_that_fails_unexpectedly_is_named_and_the_rest_goes_on(case, monkeypatch, capsys):
    from ldr_tf.commands import batch

    real = batch.register_pair

    def failing(pair, *arguments):
        if pair.paths.output.endswith("b_to_a"):
            raise KeyError("of\nours")
        return real(pair, *arguments)

    monkeypatch.setattr(batch, "register_pair", failing)
    assert case.call(GOOD) == 1
    err = capsys.readouterr().err
    assert err == "1/2 b_to_a: failed: KeyError: 'of\\nours'\n"
    assert sorted(os.listdir(case.folder / "out")) == ["results.csv", "second"]
    rows = results(case)
    assert rows[0]["status"].startswith("KeyError: ") and rows[1]["status"] == "finished"
    assert case.call(GOOD, "--verbose") == 1
    assert "Traceback (most recent call last)" in capsys.readouterr().err


def crashing(paths, files):
    """Reads as the command does, but one file crashes a library."""
    from ldr_tf.commands import batch

    if any(path and path.endswith("bad.nii.gz") for path in paths.inputs.values()):
        os.abort()
    return batch.read(paths, files)


def test_a_scan_that_crashes_the_reader_costs_its_pair(case, monkeypatch, capsys):
    from ldr_tf.commands import batch

    monkeypatch.setattr(batch, "start_reader", lambda: Worker(crashing))
    (case.folder / "scans" / "bad.nii.gz").write_bytes(b"x")
    text = GOOD.replace("\nscans/a.nii.gz,scans/b", "\nscans/a.nii.gz,scans/bad")
    assert case.call(text) == 2
    path = case.folder / "scans" / "bad.nii.gz"
    err = capsys.readouterr().err
    assert f"{path}: reading it ended the reader (SIGABRT); the file is damaged." in err
    assert [row["status"] == "finished" for row in results(case)] == [False, True]


def test_a_pair_is_written_while_the_next_one_is_registered(case, monkeypatch):
    from ldr_tf.commands import batch

    threads, real = {}, batch.RegisteredPair.write

    def write(registered, native):
        threads[registered.pair.paths.output] = threading.current_thread()
        return real(registered, native)

    monkeypatch.setattr(batch.RegisteredPair, "write", write)
    assert case.call(GOOD) == 0
    assert len(threads) == 2 and threading.main_thread() not in threads.values()
    assert [row["status"] for row in results(case)] == ["finished", "finished"]


def test_what_the_next_pair_reads_is_written_before(case):
    assert case.call(GOOD.replace("scans/c.nii.gz", "out/b_to_a/warped.nii.gz")) == 0
    assert [row["status"] for row in results(case)] == ["finished", "finished"]


def test_without_room_for_two_a_pair_is_written_first(case, monkeypatch):
    from ldr_tf.commands import batch

    order = []
    for name in ("register_pair", "is_finished"):
        real = getattr(batch, name)
        monkeypatch.setattr(batch, name, lambda *a, _f=real, _n=name: order.append(_n) or _f(*a))
    real = batch.RegisteredPair.write
    monkeypatch.setattr(
        batch.RegisteredPair, "write", lambda *a: (real(*a), order.append("written"))
    )
    monkeypatch.setattr(batch.memory, "leaves_room", lambda estimated: estimated < 0)
    assert case.call(GOOD) == 0
    assert order == ["is_finished", "register_pair", "written"] * 2


def test_a_pair_that_cannot_be_written_is_named_and_the_rest_goes_on(case, monkeypatch, capsys):
    from ldr_tf.commands import pair

    real = pair.write_json

    def full(path, content):
        if "b_to_a" in path:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(path, content)

    monkeypatch.setattr(pair, "write_json", full)
    assert case.call(GOOD) == 2
    assert "1/2 b_to_a: failed: " in capsys.readouterr().err
    assert sorted(os.listdir(case.folder / "out")) == ["results.csv", "second"]
    assert "No space left on device" in results(case)[0]["status"]


def test_masks_have_columns_of_their_own(case):
    scan = sitk.ReadImage(str(case.folder / "scans" / "a.nii.gz"))
    sitk.WriteImage(sitk.Cast(scan > 100, sitk.sitkUInt8), str(case.folder / "mask.nii.gz"))
    text = "fixed,moving,fixed_mask\nscans/a.nii.gz,scans/b.nii.gz,mask.nii.gz\n"
    assert case.call(text) == 0
    summary = json.loads((case.folder / "out" / "b_to_a" / "summary.json").read_text())
    assert list(summary["masks"]) == ["fixed"]


def test_a_choice_that_no_pair_can_follow_ends_all(case, monkeypatch, capsys):
    monkeypatch.setattr("ldr_tf.imaging.brain_extraction._PACKAGE", "no_such_package")
    for brain, words in (("extract", "which is not installed"), ("given", "goes by masks, but")):
        assert case.call(GOOD, f"--brain={brain}") == 2
        err = capsys.readouterr().err
        assert words in err and err.count("\n") == 1 and not (case.folder / "out").exists()


def test_names_that_are_too_long_cost_their_pair(case, capsys):
    text = GOOD.replace("second", "x" * 256)
    assert case.call(text) == 2
    assert "256 bytes long" in capsys.readouterr().err
    assert [row["status"] == "finished" for row in results(case)] == [True, False]


def test_all_pairs_may_fail(case):
    assert case.call(GOOD.replace("scans/a", "scans/none")) == 2
    assert os.listdir(case.folder / "out") == ["results.csv"]
    assert all("no such file" in row["status"] for row in results(case))


def test_inputs_are_not_written_over(case, capsys):
    """Neither by the table, nor by another pair; what another pair has written may be read."""
    out = case.folder / "out"
    (out / "first").mkdir(parents=True)
    scan = (case.folder / "scans" / "b.nii.gz").read_bytes()
    (out / "first" / "warped.nii.gz").write_bytes(scan)
    text = "fixed,moving,output\nscans/a.nii.gz,scans/c.nii.gz,first\n"
    text += "scans/a.nii.gz,out/first/warped.nii.gz,second\n"
    assert case.call(text) == 2
    assert "is an input of the list" in capsys.readouterr().err
    assert (out / "first" / "warped.nii.gz").read_bytes() == scan
    (out / "first" / "warped.nii.gz").unlink()
    assert case.call(text) == 0
    assert case.call(text) == 0
    assert "0 registered, 2 finished before" in capsys.readouterr().out
    (case.folder / "results.csv").write_text(GOOD)
    flags = [f"--pairs={case.folder / 'results.csv'}", f"--output={case.folder}", "--model=run"]
    assert register.main(["ldr-register", *flags]) == 2
    assert "lies where results.csv will be written" in capsys.readouterr().err
    assert (case.folder / "results.csv").read_text() == GOOD


def test_a_folder_in_use_is_refused(case, capsys):
    with held(case.folder / "out"):
        assert case.call(GOOD) == 2
        assert "another process is writing here" in capsys.readouterr().err
    with held(case.folder / "out" / "second"):
        assert case.call(GOOD) == 2
    assert "another process is writing here" in results(case)[1]["status"]


@pytest.mark.parametrize("damage", ["[]", "{", '{"files": 3, "notices": 5, "seconds": [1]}', "odd"])
def test_an_edited_summary_is_no_finished_pair(case, capsys, damage):
    assert case.call(GOOD) == 0
    path = case.folder / "out" / "second" / "summary.json"
    if damage == "odd":
        summary = json.loads(path.read_text())
        odd = {"dice": [1], "notices": ["x", {"level": "warning"}], "seconds": {"a": "b"}}
        damage = json.dumps({**summary, **odd, "similarity": 3})
        path.write_text(damage)
        assert case.call(GOOD) == 0
        assert results(case)[1]["correlation_after"] == ""
        (case.folder / "out" / "second" / "affine.tfm").unlink()
    path.write_text(damage)
    assert again(case, capsys) == "1 registered"
    assert results(case)[1]["correlation_after"] != ""


def test_strict_and_quiet(case, monkeypatch, capsys):
    def warning(self, fixed, moving):  # as if the network moved all away
        return SimpleNamespace(flow=np.full((*fixed.shape[:4], 3), 4.0, np.float32))

    monkeypatch.setattr(FakeNetwork, "__call__", warning)
    for _ in range(2):  # the second time all are finished
        assert case.call(GOOD, "--strict", "--quiet") == 3
    out, err = capsys.readouterr()
    assert out == "" and "b_to_a: warning: " in err and "notice: " not in err
    assert all(row["warnings"] for row in results(case))
    assert case.call(GOOD, "--quiet") == 0


def test_an_interruption_leaves_whole_pairs_only(case, monkeypatch, capsys):
    from ldr_tf.registration import preview

    write, calls = preview.write_preview, []

    def interrupted(*arguments):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        write(*arguments)

    monkeypatch.setattr(preview, "write_preview", interrupted)
    assert case.call(GOOD) == 1
    assert os.listdir(case.folder / "out") == ["b_to_a"]
    assert case.call(GOOD) == 0
    assert "1 registered, 1 finished before" in capsys.readouterr().out


def test_several_workers_need_a_list_and_an_order_that_does_not_matter(case, capsys, monkeypatch):
    flags = ["--fixed=a", "--moving=b", f"--output={case.folder / 'out'}", "--model=none"]
    assert register.main(["ldr-register", *flags, "--workers=2"]) == 2
    assert "--pairs is needed" in capsys.readouterr().err
    monkeypatch.setattr(
        "ldr_tf.commands.cluster.Cluster", lambda *_: contextlib.nullcontext(Here())
    )
    monkeypatch.setattr("ldr_tf.commands.batch.hold_threads", lambda: None)
    chained = GOOD.replace("scans/c.nii.gz", "out/b_to_a/warped.nii.gz")
    assert case.call(chained, "--workers=2") == 2
    out, err = capsys.readouterr()
    assert "is a result of another pair of the list" in err
    assert "1 registered, 0 finished before, 1 failed" in out
    assert case.call(GOOD, "--scheduler=tcp://there:1") == 0
    assert "1 registered, 1 finished before, 0 failed" in capsys.readouterr().out
    assert len(case.loaded) == 2 and len(results(case)) == 2


class Here:
    """A cluster whose worker is this process."""

    def workers(self):
        return ["here"]

    def results(self, function, jobs, load):
        loaded = load()
        return ((index, function(loaded, *job)) for index, job in enumerate(jobs))


@pytest.mark.slow
def test_workers_find_what_one_process_finds(case, capsys):
    """One of two is killed while it works; the scans are real, the model is none."""
    pytest.importorskip("distributed")
    names = [f"scans/{fixed}.nii.gz,scans/{moving}.nii.gz" for fixed in "ab" for moving in "abc"]
    text = "fixed,moving\n" + "\n".join(names) + "\n"
    flags = ["--model=none", "--refine_steps=2", "--affine=none"]
    assert case.call(text, *flags) == 0
    out = case.folder / "out"
    alone = out.rename(case.folder / "alone")

    killed = []

    def kill():
        while not list(out.glob("*/summary.json")):
            time.sleep(0.05)
        busy = [p for p in psutil.Process().children(recursive=True) if p.num_threads() > 20]
        busy[0].kill()
        killed.append(busy[0])

    killer = threading.Thread(target=kill)
    killer.start()
    assert case.call(text, *flags, "--workers=2") == 0
    killer.join()
    assert killed and "6 registered, 0 finished before, 0 failed" in capsys.readouterr().out
    assert sorted(os.listdir(out)) == sorted(os.listdir(alone))
    for name in sorted(os.listdir(out)):
        if name != "results.csv":
            fields = [
                sitk.GetArrayFromImage(sitk.ReadImage(str(folder / name / "displacement.nii.gz")))
                for folder in (alone, out)
            ]
            np.testing.assert_allclose(*fields, atol=1e-3)


@pytest.mark.parametrize(
    "text, word",
    [
        ("", "fixed"),
        ("fixed,moving\n", "no pairs"),
        ("fixed,mooving\na,b\n", "mooving"),
        ("fixed\na\n", "moving"),
        ("fixed,moving\na,\n", "line 2"),
        ("fixed,moving\na,b,c\n", "line 2"),
        ("fixed,moving\na,b\na,b\n", "lines 2 and 3"),
    ],
)
def test_bad_lists_are_refused_before_any_work(case, capsys, text, word):
    assert case.call(text) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "pairs.csv" in err and word in err
    assert not (case.folder / "out").exists() and not case.loaded
