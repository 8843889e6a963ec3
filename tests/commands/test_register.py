import json
import os
import pathlib
import resource
import signal
import subprocess
import sys
import tempfile
import threading
from types import SimpleNamespace

import numpy as np
import pytest
import SimpleITK as sitk

import ldr_tf.runs.checkpoints
from ldr_tf import config as configs
from ldr_tf import imaging
from ldr_tf.commands import register
from ldr_tf.commands.folder import held
from ldr_tf.errors import InputError
from ldr_tf.imaging import Grid, align, same_grid, to_array, to_image
from ldr_tf.registration.unfolding import Unfolding

LIA = (1.0, 0, 0, 0, 0, -1.0, 0, -1.0, 0)
RAS = (-1.0, 0, 0, 0, -1.0, 0, 0, 0, 1.0)


class FakeNetwork:
    """Moves the content 4 mm towards the patient's right."""

    run_config = configs.RunConfig(
        network=configs.NetworkConfig(image_size=(16, 16, 16)),
        image=configs.ImageConfig("LIA", (2.0, 2.0, 2.0)),
    )

    def __init__(self, precision="float32"):
        self.precision = precision

    def get_weights(self):
        return []

    def __call__(self, fixed, moving):
        return SimpleNamespace(flow=np.zeros((*fixed.shape[:4], 3), np.float32) + (2, 0, 0))


def scan(x, direction, size=(32, 34, 36)):
    """A ball of 6 mm at the point (x, 0, 0), in a field of view about the origin."""
    axes = np.reshape(direction, (3, 3))
    grid = Grid(size, (1.0, 1.0, 1.0), tuple(-axes @ ((np.array(size) - 1) / 2)), direction)
    distance = np.linalg.norm(grid.points(np.indices(size).reshape(3, -1).T) - (x, 0, 0), axis=1)
    return to_image((500 * np.exp(-((distance / 6) ** 2))).reshape(size).astype(np.float32), grid)


@pytest.fixture
def case(tmp_path, monkeypatch):
    """Writes a pair with labels; returns a function that calls the command on it."""
    monkeypatch.setattr(ldr_tf.runs.checkpoints, "load_run", lambda folder, **_: FakeNetwork())
    images = {"fixed": scan(0.0, LIA), "moving": scan(4.0, RAS)}
    for name, image in images.items():
        sitk.WriteImage(image, str(tmp_path / f"{name}.nii.gz"))
        labels = sitk.Cast(image > 200, sitk.sitkUInt16) * 3
        sitk.WriteImage(labels, str(tmp_path / f"{name}_labels.nii.gz"))

    def call(*flags, **changed):
        values = {name: tmp_path / f"{name}.nii.gz" for name in images}
        values.update(model=tmp_path / "run", output=tmp_path / "out")
        values.update(affine="none", quality="fast")
        values.update(changed)
        return register.main(["ldr-register", *[f"--{k}={v}" for k, v in values.items()], *flags])

    return SimpleNamespace(call=call, folder=tmp_path, **images)


def labels_flags(case):
    return [f"--{n}_labels={case.folder / (n + '_labels.nii.gz')}" for n in ("fixed", "moving")]


def test_everything_is_written_and_right(case, capsys):
    assert case.call(*labels_flags(case)) == 0
    out = case.folder / "out"
    assert sorted(os.listdir(out)) == [
        "affine.tfm",
        "displacement.nii.gz",
        "preview.png",
        "summary.json",
        "warped.nii.gz",
        "warped_labels.nii.gz",
    ]
    warped = sitk.ReadImage(str(out / "warped.nii.gz"))
    assert warped.GetPixelID() == sitk.sitkFloat32 and same_grid(warped, case.fixed)
    field = sitk.ReadImage(str(out / "displacement.nii.gz"), sitk.sitkVectorFloat64)
    np.testing.assert_allclose(to_array(field) - (4.0, 0, 0), 0, atol=1e-5)
    again = sitk.Resample(case.moving, case.fixed, sitk.DisplacementFieldTransform(field))
    np.testing.assert_allclose(to_array(again), to_array(warped), atol=0.5)
    assert np.abs(to_array(warped) - to_array(case.fixed)).max() < 30
    labels = sitk.ReadImage(str(out / "warped_labels.nii.gz"))
    assert labels.GetPixelID() == sitk.sitkUInt16
    summary = json.loads((out / "summary.json").read_text())
    assert summary["similarity"]["after"] > 0.99 > summary["similarity"]["before"]
    assert summary["dice"]["after"]["3"] > 0.95 > summary["dice"]["before"]["3"]
    assert summary["folds_percent"] == summary["folds_any_percent"] == 0
    assert {"read", "network", "write"} <= set(summary["seconds"])
    assert {"tensorflow", "SimpleITK", "ldr_tf"} <= set(summary["versions"])
    printed = capsys.readouterr().out
    for word in (str(out / "warped.nii.gz"), "correlation", "Dice", "folds", "seconds"):
        assert word in printed


def test_the_affine_step_is_taken_once(case, monkeypatch):
    found = []
    monkeypatch.setattr(imaging, "align", lambda *scans: found.append(align(*scans)) or found[-1])
    assert case.call(affine="moments") == 0 and len(found) == 1
    seconds = json.loads((case.folder / "out" / "summary.json").read_text())["seconds"]
    assert list(seconds).index("affine") < list(seconds).index("load_model")


def test_a_model_that_is_none_is_refused_before_the_affine_step_ends(case, capsys, monkeypatch):
    def load(source):
        raise InputError(f"{source.model}: is not a run folder.")

    refused, found = threading.Event(), []
    monkeypatch.setattr(register.SetupSource, "load", load)
    monkeypatch.setattr(imaging, "align", lambda *_: found.append(refused.wait(20)))
    try:
        assert case.call(model="nothing") == 2
        assert "nothing: is not a run folder" in capsys.readouterr().err and not found
    finally:
        refused.set()


@pytest.mark.parametrize("asked", [True, False])
def test_what_unfolding_did_is_told(case, capsys, monkeypatch, asked):
    found = Unfolding(0.25, 0.5, changed_percent=1.25, largest_mm=2.75)
    monkeypatch.setattr("ldr_tf.registration.register.unfold", lambda displacement: found)
    assert case.call(f"--unfold={asked}") == 0
    summary = json.loads((case.folder / "out" / "summary.json").read_text())
    assert summary["settings"]["unfold"] is asked
    told = "before unfolding 0.5000 %; that changed 1.25 % of the vectors, by 2.8 mm at most"
    assert summary["unfolding"] == (found._asdict() if asked else None)
    assert (told in capsys.readouterr().out) is asked


def test_an_existing_folder_keeps_other_files_and_loses_stale_labels(case):
    out = case.folder / "out"
    assert case.call(*labels_flags(case), "--view") == 0
    page = (out / "view.html").read_text(encoding="utf-8")
    assert "moving.nii.gz registered to fixed.nii.gz" in page
    assert "view.html" in json.loads((out / "summary.json").read_text())["files"]
    (out / "notes.txt").write_text("mine")
    (out / "warped.nii.gz").write_text("old")
    assert case.call() == 0
    assert sorted(os.listdir(out)) == [
        "affine.tfm",
        "displacement.nii.gz",
        "notes.txt",
        "preview.png",
        "summary.json",
        "warped.nii.gz",
    ]
    assert json.loads((out / "summary.json").read_text())["dice"] is None
    sitk.ReadImage(str(out / "warped.nii.gz"))


def test_the_output_folder_may_be_deep_and_is_open_to_others(case):
    assert case.call(output=case.folder / "a" / "b") == 0
    assert os.listdir(case.folder / "a") == ["b"]
    plain = case.folder / "plain"
    plain.mkdir()
    assert (case.folder / "a" / "b").stat().st_mode == plain.stat().st_mode


def spoil(case, what):
    """Returns the flags of a bad call and the word that must be in the answer."""
    path = case.folder / "bad.nii.gz"
    image = scan(4.0, RAS)
    if what == "missing":
        return {"moving": path}, path
    if what == "2D":
        image = image[:, :, 3]
    elif what == "4D":
        image = sitk.JoinSeries([image, image])
    elif what == "constant":
        image = image * 0 + 5
    elif what == "NaN":
        image[3, 4, 5] = float("nan")
    elif what == "RGB":
        image = sitk.Compose([image] * 3)
    elif what == "far away":
        image.SetOrigin((900.0, 0.0, 0.0))
    elif what == "labels":
        labels = sitk.Cast(scan(4.0, RAS, (32, 34, 35)) > 200, sitk.sitkUInt8)
        sitk.WriteImage(labels, str(path))
        return {"moving_labels": path}, path
    elif what == "fractions":
        sitk.WriteImage(image, str(path))
        return {"moving_labels": path}, path
    elif what == "fixed labels alone":
        return {"fixed_labels": case.folder / "fixed_labels.nii.gz"}, "--moving_labels"
    elif what == "mask":
        image = sitk.Cast(image > 200, sitk.sitkFloat32)
    elif what == "point outside":
        (case.folder / "p.csv").write_text("name,x,y,z\nfar,0,90,0\n")
        points = {n: case.folder / "p.csv" for n in ("fixed_points", "moving_points")}
        return points, "no pair of landmarks lies inside"
    elif what == "points of one scan":
        return {"fixed_points": case.folder / "p.csv"}, "--moving_points"
    elif what == "diffeomorphic":
        return {"diffeomorphic": "true"}, "refine_steps"
    elif what == "no moving scan":
        return {"moving": ""}, "--moving"
    elif what == "pairs and fixed":
        return {"pairs": "pairs.csv"}, "--fixed"
    elif what == "flag":
        return {"colour": "red"}, "colour"
    elif what == "output":
        path.write_text("a file")
        return {"output": path}, path
    sitk.WriteImage(image, str(path))
    if what in ("empty", "truncated"):
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2] if what == "truncated" else b"")
    return {"moving": path}, "moments" if what == "far away" else path


BAD = ["missing", "empty", "truncated", "2D", "4D", "NaN", "constant", "RGB", "far away", "labels"]


BAD += ["fractions", "fixed labels alone", "flag", "output", "mask", "point outside"]
BAD += ["points of one scan", "diffeomorphic", "no moving scan", "pairs and fixed"]


@pytest.mark.parametrize("what", BAD)
def test_bad_input_ends_in_one_sentence_and_leaves_nothing(case, capfd, what):
    flags, word = spoil(case, what)
    if what == "far away":
        flags["affine"] = "auto"
    before = sorted(os.listdir(case.folder))
    capfd.readouterr()
    assert case.call(**flags) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith("ldr-register: ") and err.count("\n") == 1 and str(word) in err
    assert sorted(os.listdir(case.folder)) == before


@pytest.mark.parametrize("kind", ["missing", "empty folder", "broken config"])
def test_a_model_folder_that_is_none(case, monkeypatch, capfd, kind):
    monkeypatch.undo()
    run = case.folder / "run"
    if kind != "missing":
        run.mkdir()
    if kind == "broken config":
        (run / "config.json").write_text("{")
    before = sorted(os.listdir(case.folder))
    assert case.call() == 2
    err = capfd.readouterr().err
    assert err.startswith("ldr-register: ") and err.count("\n") == 1 and str(run) in err
    assert sorted(os.listdir(case.folder)) == before


def test_a_failure_while_writing_leaves_nothing(case, monkeypatch):
    def fail(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("ldr_tf.registration.preview.write_preview", fail)
    before = sorted(os.listdir(case.folder))
    assert case.call() == 1
    assert sorted(os.listdir(case.folder)) == before


_INTERRUPTED = """
import os, signal, sys, time
screen = os.dup(1)  # what is printed while files are written is kept off it
# Tests that run in the background of a shell hand down a Ctrl-C that is ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
from ldr_tf.commands import register
from ldr_tf.commands.folder import held
from ldr_tf.commands.quiet import quiet_tensorflow

quiet_tensorflow()
from ldr_tf.registration import preview

def write_preview(*arguments):
    os.write(screen, b"in the middle\\n")
    while True:  # one long sleep does not see a signal that comes just before it
        time.sleep(0.01)

preview.write_preview = write_preview
sys.exit(register.main(["ldr-register", *sys.argv[1:]]))
"""


@pytest.mark.slow
def test_ctrl_c_leaves_nothing_and_says_one_line(case):
    """A process of its own, interrupted while images are written, and before the summary is."""
    flags = [f"--{name}={case.folder / (name + '.nii.gz')}" for name in ("fixed", "moving")]
    flags += ["--model=none", "--refine_steps=0", f"--output={case.folder / 'out'}"]
    before = sorted(os.listdir(case.folder))
    process = subprocess.Popen(
        [sys.executable, "-c", _INTERRUPTED, *flags],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=pathlib.Path(__file__).parents[2],
    )
    assert process.stdout.readline() == "in the middle\n"
    assert sorted(os.listdir(case.folder)) != before
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert (out, err) == ("", "interrupted\n")
    assert sorted(os.listdir(case.folder)) == before


def test_missing_flags(capsys):
    assert register.main(["ldr-register", "--fixed=a.nii"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_affine_refinement_landmarks_jacobian_and_inverse(case, capsys):
    """Without a network; the content lies 4 mm further to the left in the moving scan."""
    for name, x in (("fixed", 0.0), ("moving", 4.0)):
        lines = f"name,x,y,z\nmiddle,{x},0,0\nfront,{x},-5,0\n"
        (case.folder / f"{name}.csv").write_text(lines)
    flags = [f"--{name}_points={case.folder / name}.csv" for name in ("fixed", "moving")]
    flags += ["--jacobian", "--inverse", "--refine_steps=2"]
    assert case.call(*flags, model="none", affine="moments") == 0
    out = case.folder / "out"
    names = ["jacobian.nii.gz", "inverse_displacement.nii.gz", "affine.tfm"]
    assert set(names) <= set(os.listdir(out))
    affine = sitk.ReadTransform(str(out / "affine.tfm"))
    np.testing.assert_allclose(affine.TransformPoint((0.0, 0.0, 0.0)), (4, 0, 0), atol=0.3)
    summary = json.loads((out / "summary.json").read_text())
    assert summary["model"] is None
    assert summary["affine"]["method"] == "moments"
    assert list(summary["similarity"]["stages_on_the_working_grid"]) == [
        "before",
        "affine",
        "refinement",
    ]
    assert summary["refinement"]["steps"] > 0
    assert summary["landmarks_mm"]["before"] == {"middle": 4.0, "front": 4.0}
    assert summary["landmarks_mm"]["mean_after"] < 1.0
    assert summary["inverse_residual_mm"]["max"] < 0.1
    jacobian = sitk.ReadImage(str(out / "jacobian.nii.gz"))
    assert same_grid(jacobian, case.fixed) and np.median(to_array(jacobian)) == pytest.approx(
        1, abs=0.1
    )
    inverse = sitk.ReadImage(str(out / "inverse_displacement.nii.gz"))
    assert same_grid(inverse, case.moving)
    assert "landmarks" in capsys.readouterr().out
    # Files of another kind of run do not stay.
    assert case.call() == 0
    assert not {"jacobian.nii.gz", "inverse_displacement.nii.gz"} & set(os.listdir(out))


def test_what_is_kept_lies_where_it_is_asked_for(case, capsys, monkeypatch):
    used = []
    monkeypatch.setattr("ldr_tf.cache.use", used.append)
    monkeypatch.setenv("XDG_CACHE_HOME", str(case.folder / "home"))
    for flags in ((), (f"--cache={case.folder / 'kept'}",), ("--cache=none",)):
        assert case.call(*flags) == 0
    assert used == [str(case.folder / "home" / "ldr_tf"), str(case.folder / "kept"), None]
    capsys.readouterr()
    out = case.folder / "nothing"
    assert case.call(f"--cache={case.folder / 'fixed.nii.gz'}", output=out) == 2
    assert "fixed.nii.gz: must be a folder" in capsys.readouterr().err
    assert not out.exists()


def test_a_warning_can_be_read(case, monkeypatch, capsys):
    class Elsewhere(FakeNetwork):
        run_config = configs.RunConfig(
            network=configs.NetworkConfig(image_size=(128, 128, 128)),
            image=configs.ImageConfig("LIA", (2.0, 2.0, 2.0)),
        )

    monkeypatch.setattr(ldr_tf.runs.checkpoints, "load_run", lambda folder, **_: Elsewhere())
    assert case.call() == 0
    err = capsys.readouterr().err
    assert err.startswith("warning: ") and "another anatomy" in err
    summary = json.loads((case.folder / "out" / "summary.json").read_text())
    assert [(n["code"], n["level"]) for n in summary["notices"]] == [
        ("size-unlike-training", "warning")
    ]
    assert summary["notices"][0]["text"] in err


def test_what_was_really_used_is_recorded(case, capsys, monkeypatch):
    def load_run(folder, precision):
        return FakeNetwork(f"mixed_{precision}")

    monkeypatch.setattr(ldr_tf.runs.checkpoints, "load_run", load_run)
    assert case.call("--inverse", "--precision=bfloat16") == 0
    summary = json.loads((case.folder / "out" / "summary.json").read_text())
    assert summary["model"]["precision"] == "bfloat16"
    assert summary["settings"] == {
        "affine": "none",
        "quality": "fast",
        "refine_steps": None,
        "diffeomorphic": False,
        "unfold": True,
        "similarity": "auto",
        "brain": "auto",
        "inverse": True,
        "background": None,
        "points_space": "LPS",
        "series": None,
        "uneven": "refuse",
        "jacobian": False,
        "view": False,
    }
    assert (
        summary["finished"] is True
        and sorted(os.listdir(case.folder / "out")) == (summary["files"])
    )
    assert summary["background"] == 0 and 500 < summary["memory"]["estimated_mb"] < 3000
    assert 100 < summary["memory"]["peak_mb"] < 8000
    assert case.call("--precision=bfloat16", model="none") == 2
    assert "bfloat16 can be asked for of networks" in capsys.readouterr().err


def masks_flags(case):
    """Masks of what is labelled."""
    return [f"--{n}_mask={case.folder / (n + '_labels.nii.gz')}" for n in ("fixed", "moving")]


def test_masks_are_told_of_and_kept_apart_from_results_of_other_masks(case, capsys):
    assert case.call(*masks_flags(case)) == 0
    err = capsys.readouterr().err
    assert "notice: the fixed scan counts inside its mask alone (" in err
    summary = json.loads((case.folder / "out" / "summary.json").read_text())
    voxels = np.count_nonzero(to_array(case.fixed) > 200)
    assert summary["masks"]["fixed"] == {"source": "given", "ml": pytest.approx(voxels / 1000)}
    assert summary["inputs"]["fixed_mask"] == str(case.folder / "fixed_labels.nii.gz")
    assert "fixed_mask.nii.gz" not in summary["files"]  # the user has them


def test_masks_of_brains_that_were_extracted_are_written(case, monkeypatch):
    monkeypatch.setattr(
        "ldr_tf.registration.brains.extract_brains",
        lambda scans: [sitk.Cast(scan > 200, sitk.sitkUInt8) for scan in scans],
    )
    monkeypatch.setattr("ldr_tf.registration.brains.check_extraction", lambda: None)
    assert case.call("--brain=extract", masks_flags(case)[0]) == 0
    out = case.folder / "out"
    summary = json.loads((out / "summary.json").read_text())
    assert {side: mask["source"] for side, mask in summary["masks"].items()} == {
        "fixed": "given",
        "moving": "extracted",
    }
    assert "moving_mask.nii.gz" in summary["files"] and "fixed_mask.nii.gz" not in summary["files"]
    mask = sitk.ReadImage(str(out / "moving_mask.nii.gz"))
    np.testing.assert_array_equal(to_array(mask), to_array(case.moving) > 200)
    assert case.call() == 0
    assert not (out / "moving_mask.nii.gz").exists()


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--brain=given"], "brain=given goes by masks, but neither"),
        (["--brain=none", "--fixed_mask=FOLDER/fixed_labels.nii.gz"], "brain=none goes by"),
        (["--fixed_mask=FOLDER/moving.nii.gz"], "label image must hold whole numbers only"),
        (["--fixed_mask=FOLDER/other.nii.gz"], "other.nii.gz: a mask must lie on the grid of its"),
        (["--moving_mask=FOLDER/empty.nii.gz"], "the moving mask: has no voxel that is not 0."),
        (["--moving_mask=FOLDER/none.nii.gz"], "none.nii.gz: no such file"),
        (["--brain=brain"], "brain"),
    ],
)
def test_bad_masks_are_named(case, flags, words, capsys):
    empty = sitk.Cast(case.moving * 0, sitk.sitkUInt8)
    sitk.WriteImage(empty, str(case.folder / "empty.nii.gz"))
    sitk.WriteImage(empty[1:] + 1, str(case.folder / "other.nii.gz"))
    flags = [flag.replace("FOLDER", str(case.folder)) for flag in flags]
    assert case.call(*flags) == 2
    err = capsys.readouterr().err
    assert words in err and err.count("\n") == 1 and not (case.folder / "out").exists()


def test_an_output_folder_on_another_file_system(case):
    if not os.path.isdir("/dev/shm") or os.stat("/dev/shm").st_dev == os.stat(case.folder).st_dev:
        pytest.skip("there is no second file system")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as other:
        (case.folder / "out").symlink_to(other)
        for _ in range(2):
            assert case.call() == 0
            assert {"warped.nii.gz", "preview.png", "summary.json"} < set(os.listdir(other))


@pytest.mark.parametrize("limit", [3_000, 30_000])
def test_a_full_disk_is_one_sentence_and_the_old_result_stays(case, capfd, limit):
    """No file may grow beyond a limit: of the images, or of the picture."""
    assert case.call() == 0
    out = case.folder / "out"
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    capfd.readouterr()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limits[1]))
    try:
        code = case.call("--inverse")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert code == 2
    err = capfd.readouterr().err
    assert err.startswith(f"ldr-register: {out}/") and err.count("\n") == 1
    assert "cannot be written (" in err
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_inputs_in_the_output_folder_are_not_replaced(case, capsys):
    out = case.folder / "out"
    out.mkdir()
    os.rename(case.folder / "moving.nii.gz", out / "warped.nii.gz")
    scan = (out / "warped.nii.gz").read_bytes()
    (out / "jacobian.nii.gz").write_text("mine")
    assert case.call(moving=out / "warped.nii.gz") == 2
    assert "lies where warped.nii.gz will be written" in capsys.readouterr().err
    assert (out / "warped.nii.gz").read_bytes() == scan
    os.rename(out / "warped.nii.gz", out / "scan.nii.gz")
    assert case.call(moving=out / "scan.nii.gz") == 0
    assert (out / "scan.nii.gz").read_bytes() == scan
    assert (out / "jacobian.nii.gz").read_text() == "mine"


def test_home_and_empty_outputs(case, capsys, monkeypatch):
    monkeypatch.setenv("HOME", str(case.folder))
    monkeypatch.chdir(case.folder)
    assert case.call(output="~/o", fixed="~/fixed.nii.gz", background=-7) == 0
    assert "summary.json" in os.listdir(case.folder / "o") and not os.path.exists("~")
    warped = to_array(sitk.ReadImage(str(case.folder / "o" / "warped.nii.gz")))
    assert warped.min() == -7
    before = sorted(os.listdir(case.folder))
    capsys.readouterr()
    assert case.call(output="") == 2
    assert capsys.readouterr().err.startswith("ldr-register: --output has no value")
    assert sorted(os.listdir(case.folder)) == before


def test_too_much_memory_is_refused_and_nothing_left(case, capsys):
    before = sorted(os.listdir(case.folder))
    assert case.call(max_memory=0.01) == 2
    err = capsys.readouterr().err
    assert "estimated to take" in err and "0.0 GB are allowed" in err and err.count("\n") == 1
    assert sorted(os.listdir(case.folder)) == before


def test_a_folder_in_use_is_refused(case, capsys):
    with held(case.folder / "out"):
        assert case.call() == 2
    assert "another process is writing here" in capsys.readouterr().err
    assert not (case.folder / "out").exists()


def test_quiet_verbose_strict_and_version(case, monkeypatch, capfd):
    assert case.call("--quiet", "--strict") == 0
    assert capfd.readouterr() == ("", "")

    class Away(FakeNetwork):
        def __call__(self, fixed, moving):
            return SimpleNamespace(flow=np.full((*fixed.shape[:4], 3), 5.0, np.float32))

    monkeypatch.setattr(ldr_tf.runs.checkpoints, "load_run", lambda folder, **_: Away())
    assert case.call("--quiet", "--strict") == 3
    out, err = capfd.readouterr()
    assert out == "" and err.startswith("warning: ")
    summary = json.loads((case.folder / "out" / "summary.json").read_text())
    assert summary["finished"] and summary["notices"]
    assert case.call("--quiet", "--verbose") == 2
    assert "--quiet and --verbose exclude each other" in capfd.readouterr().err
    assert register.main(["ldr-register", "--version"]) == 0
    assert capfd.readouterr().out == f"ldr-register {ldr_tf.__version__}\n"
