"""prepare, evaluate and export killed at any moment: the same command then ends well.

Training has a test of its own, test_resume.py; ldr-register tests/commands/test_kills.py.
"""

import csv
import os
import pathlib
import random
import subprocess
import sys
import time

import h5py
import numpy as np
import pytest
import SimpleITK as sitk

from data.manifest import read_manifest

pytestmark = [pytest.mark.slow, pytest.mark.chain]
_ROOT = pathlib.Path(__file__).parents[2]
_KILLS = 5


def start(command, log):
    line = [sys.executable, "-m", *command]
    return subprocess.Popen(line, cwd=_ROOT, stdout=log, stderr=subprocess.STDOUT)


def kill_and_end(command, log, look, kills=_KILLS):
    """Runs a command to its end, whose result it returns, then kills it at random and repeats it.

    Args:
      command: callable that gives the command of an output folder, given its name.
      look: callable that reads an output folder's result; called after every kill, too, to find
        what should not be there.
    """
    with open(log, "w") as screen:
        begin = time.monotonic()
        assert start(command("whole"), screen).wait(300) == 0, log.read_text()
        length, chance = time.monotonic() - begin, random.Random(3)
        for _ in range(kills):
            process = start(command("parts"), screen)
            try:
                process.wait(timeout=chance.uniform(0.3, 1.0) * length)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            look("parts", finished=False)
        assert start(command("parts"), screen).wait(300) == 0, log.read_text()
    return look("whole", finished=True), look("parts", finished=True)


def test_prepare(tmp_path):
    scans = tmp_path / "scans"
    scans.mkdir()
    places = np.stack(np.meshgrid(*[np.linspace(-1, 1, 48)] * 3, indexing="ij"), -1)
    for index in range(8):
        array = 500 * np.exp(-4 * ((places - 0.05 * index) ** 2).sum(-1))
        image = sitk.GetImageFromArray(array.astype(np.float32))
        sitk.WriteImage(image, str(scans / f"s{index}.nii.gz"))

    def command(name):
        flags = [f"--input={scans}", f"--output={tmp_path / name}", "--size=32", "--spacing=1.5"]
        return ["experiments.prepare", *flags]

    def look(name, finished):
        path = tmp_path / name / "dataset.json"
        if not path.exists():
            assert not finished
            return None
        manifest = read_manifest(path)
        volumes = {}
        for key in (key for subset in manifest.subsets.values() for key in subset):
            file, scan = key.split("/")
            with h5py.File(manifest.file_path(file)) as opened:
                volumes[key] = opened[scan]["volume"][...]
        return volumes

    whole, parts = kill_and_end(command, tmp_path / "log", look)
    assert len(whole) == 8 and whole.keys() == parts.keys()
    for key, volume in whole.items():
        np.testing.assert_array_equal(parts[key], volume)
    assert sorted(os.listdir(tmp_path / "whole")) == sorted(os.listdir(tmp_path / "parts"))


def test_evaluate(tmp_path, phantoms, student_run):
    def command(name):
        flags = [f"--run={student_run}", f"--dataset={phantoms}", "--subset=1"]
        return ["experiments.evaluate", *flags, f"--output={tmp_path / name}"]

    def look(name, finished):
        path = tmp_path / name / "pairs.csv"
        if not path.exists():
            assert not finished
            return None
        with open(path, newline="") as file:
            return [
                (row["method"], row["fixed"], row["moving"], round(float(row["dice"]), 6))
                for row in csv.DictReader(file)
            ]

    whole, parts = kill_and_end(command, tmp_path / "log", look)
    assert len(whole) == 24 and parts == whole  # 12 ordered pairs, before and after


def test_export(tmp_path, student_run):
    def command(name):
        flags = [f"--run={student_run}", f"--output={tmp_path / name}", "--overwrite"]
        return ["experiments.export", *flags, "--nomeasure"]

    def look(name, finished):
        version = tmp_path / name / "1"
        if not version.exists():
            assert not finished
            return None
        assert (version / "saved_model.pb").stat().st_size > 0  # a version is whole or not there
        if finished:
            # What a killed process was writing is hidden: servers look at numbers alone.
            names = os.listdir(tmp_path / name)
            assert [one for one in names if not one.startswith(".")] == ["1"]
        found = (path for path in version.rglob("*") if path.is_file())
        return sorted(path.relative_to(version).as_posix() for path in found)

    whole, parts = kill_and_end(command, tmp_path / "log", look, kills=3)
    assert parts == whole
