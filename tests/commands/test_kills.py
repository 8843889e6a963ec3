"""Processes that are killed or run side by side: what they leave is whole, or is made so again."""

import csv
import json
import os
import pathlib
import random
import subprocess
import sys
import time

import numpy as np
import pytest
import SimpleITK as sitk

from ldr_tf.registration.result_names import SUMMARY

pytestmark = [pytest.mark.slow, pytest.mark.chain]
_ROOT = pathlib.Path(__file__).parents[2]
_NAMES = ("a", "b", "c")
_FILES = {"affine.tfm", "displacement.nii.gz", "preview.png", SUMMARY, "warped.nii.gz"}


@pytest.fixture
def scans(tmp_path):
    """Writes three scans and a list of their pairs; returns the folder."""
    places = np.stack(np.meshgrid(*[np.linspace(-1, 1, 40)] * 3, indexing="ij"), -1)
    for index, name in enumerate(_NAMES):
        array = 500 * np.exp(-4 * ((places - 0.05 * index) ** 2).sum(-1))
        image = sitk.GetImageFromArray(array.astype(np.float32))
        sitk.WriteImage(image, str(tmp_path / f"{name}.nii.gz"))
    rows = [f"{one}.nii.gz,{two}.nii.gz" for one in _NAMES for two in _NAMES if one != two]
    (tmp_path / "pairs.csv").write_text("\n".join(["fixed,moving", *rows]) + "\n")
    return tmp_path


def start(folder, kind):
    flags = ["--model=none", "--refine_steps=0", "--affine=none", "--inverse", "--jacobian"]
    flags += [f"--output={folder / 'out'}"]
    if kind == "pairs":
        flags += [f"--pairs={folder / 'pairs.csv'}"]
    else:
        flags += [f"--fixed={folder / 'a.nii.gz'}", f"--moving={folder / 'b.nii.gz'}"]
    return subprocess.Popen(
        [sys.executable, "-m", "ldr_tf.commands.register", *flags],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=_ROOT,
    )


def check_finished(folder):
    """A folder that says that it is finished holds the files that it lists, all of them whole."""
    summary = json.loads((folder / SUMMARY).read_text())
    if not summary["finished"]:
        return False
    assert set(summary["files"]) <= set(os.listdir(folder))
    for name in summary["files"]:
        if name.endswith(".nii.gz"):
            assert sitk.ReadImage(str(folder / name)).GetSize() == (40, 40, 40)
    return True


def folders(scans, kind):
    out = scans / "out"
    if kind == "single":
        return [out] if out.exists() else []
    return [path for path in out.iterdir() if path.is_dir()] if out.exists() else []


@pytest.mark.parametrize("kind", ["single", "pairs"])
def test_killed_at_any_moment_the_same_command_ends_well(scans, kind):
    begin = time.monotonic()
    whole = start(scans, kind)
    assert whole.wait() == 0, whole.stderr.read()
    length, rng = time.monotonic() - begin, random.Random(7)
    for _ in range(6):
        process = start(scans, kind)
        try:
            process.wait(timeout=rng.uniform(0.2, 1.0) * length)
        except subprocess.TimeoutExpired:
            process.kill()
        process.communicate()
        for folder in folders(scans, kind):
            if (folder / SUMMARY).exists():
                check_finished(folder)
        for folder in folders(scans, kind)[:1]:  # so that there is something to do again
            if (folder / SUMMARY).exists() and rng.random() < 0.7:
                (folder / SUMMARY).unlink()
    last = start(scans, kind)
    out, err = last.communicate()
    assert last.returncode == 0, (out, err)
    made = folders(scans, kind)
    assert len(made) == (1 if kind == "single" else 6)
    for folder in made:
        assert check_finished(folder) and set(os.listdir(folder)) >= _FILES
        assert not [name for name in os.listdir(folder) if name.startswith(".")]
    if kind == "pairs":
        with open(scans / "out" / "results.csv", newline="") as file:
            assert [row["status"] for row in csv.DictReader(file)] == ["finished"] * 6


@pytest.mark.parametrize("kind", ["single", "pairs"])
def test_two_at_once_do_not_spoil_each_other(scans, kind):
    both = [start(scans, kind) for _ in range(2)]
    answers = [process.communicate() for process in both]
    codes = sorted(process.returncode for process in both)
    assert codes in ([0, 0], [0, 2]), answers  # one after the other, or the second refused
    if codes == [0, 2]:
        assert any("another process is writing here" in err for _, err in answers)
    for folder in folders(scans, kind):
        assert check_finished(folder)
