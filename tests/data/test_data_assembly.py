"""Many scans into one data set: processes, resuming, disks that fill up, two writers."""

import dataclasses
import functools
import os
import pathlib
import signal
import subprocess
import sys
import types

import h5py
import numpy as np
import pytest

from data import assembly
from data.preparation import Settings
from data.sources import Source, find_sources
from ldr_tf import imaging
from ldr_tf.config import ImageConfig
from ldr_tf.errors import InputError
from ldr_tf.files import only_writer
from ldr_tf.workers import results

ROOT = pathlib.Path(__file__).parents[2]
GRID = imaging.Grid((20, 18, 22), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), tuple(np.eye(3).ravel()))
SETTINGS = Settings((16, 16, 16), ImageConfig())


def share(workers):
    return functools.partial(results, workers=workers)


@pytest.fixture
def scans(tmp_path):
    folder = tmp_path / "scans"
    folder.mkdir()
    generator = np.random.default_rng(0)
    for index in range(3):
        array = generator.uniform(0, 99, GRID.size).astype(np.float32)
        imaging.write_image(imaging.to_image(array, GRID), folder / f"{index}.nii.gz")
    (folder / "0_landmarks.csv").write_text("name,x,y,z\na,5,5,5\nb,9,9,9\n")
    (folder / "2_landmarks.csv").write_text("name,x,y,z\nc,4,4,4\nb,8,8,8\n")
    return folder


def content(output):
    found = {}

    def add(name, item):
        found[name] = dict(item.attrs), item[()] if isinstance(item, h5py.Dataset) else None

    with h5py.File(output / "volumes.h5", "r") as file:
        file.visititems(add)
        return found, dict(file.attrs)


def test_processes_and_resuming_make_the_same(scans, tmp_path):
    sources = find_sources(scans)
    one, two = tmp_path / "one", tmp_path / "two"
    list(assembly.assemble(sources, one, SETTINGS))
    steps = assembly.assemble(sources, two, SETTINGS, share=share(2))
    next(steps)
    steps.close()  # stopped after the first scan
    assert not (two / "volumes.h5").exists()
    resumed = list(assembly.assemble(sources, two, SETTINGS))
    assert resumed[0].seconds == 0 < resumed[2].seconds or resumed[2].seconds == 0
    np.testing.assert_equal(content(one), content(two))
    # On a finished data set only what has changed is prepared.
    os.utime(sources[1].image, (1, 1))
    seconds = [outcome.seconds for outcome in assembly.assemble(sources, two, SETTINGS)]
    assert seconds[0] == seconds[2] == 0 < seconds[1]
    np.testing.assert_equal(content(one)[1], content(two)[1])
    assert not (two / ".parts").exists()


def test_landmarks_have_one_order_in_all_scans(scans, tmp_path):
    list(assembly.assemble(find_sources(scans), tmp_path / "out", SETTINGS))
    with h5py.File(tmp_path / "out" / "volumes.h5", "r") as file:
        assert file.attrs["point_names"] == '["a", "b", "c"]'
        first, last = file["0/point"][()], file["2/point"][()]
        assert "point" not in file["1"]
    # Stretched from 20, 18, 22 voxels of 1 mm to 16: (mm + 1/2) * 16 / n - 1/2.
    wanted = (np.array([9, 9, 9]) + 0.5) * 16 / np.array(GRID.size) - 0.5
    np.testing.assert_allclose(first[1], wanted, atol=1e-5)
    assert (first[2] == -1).all() and (last[0] == -1).all() and (last[1] > 0).all()


def test_one_writer_at_a_time(scans, tmp_path):
    output = tmp_path / "out"
    (output / ".parts").mkdir(parents=True)
    with only_writer(output / ".parts"), pytest.raises(InputError, match="another process is"):
        next(assembly.assemble(find_sources(scans), output, SETTINGS))
    list(assembly.assemble(find_sources(scans), output, SETTINGS))


def test_a_disk_that_fills_up(scans, tmp_path):
    # A limit on the size of files stands in for a full disk: writes fail in the same place.
    script = (
        "import resource, signal, sys\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (6000, 6000))\n"
        "from experiments import prepare\n"
        f"sys.exit(prepare.main(['prepare', '--input={scans}', '--output={tmp_path / 'out'}', "
        "'--size=32', '--workers=1']))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2, done.stderr
    assert "cannot be written" in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "out" / "volumes.h5").exists()
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    list(assembly.assemble(find_sources(scans), tmp_path / "out", SETTINGS))


class Surprise(str):
    """A path that becomes what a call returns, or is its end, in the process that gets it."""

    def __new__(cls, path, *call):
        made = super().__new__(cls, path)
        made.call = call
        return made

    def __reduce__(self):
        return self.call

    def __deepcopy__(self, _):
        return str(self)


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(
    ("call", "words"),
    [
        ((os.abort, ()), "1.nii.gz: cannot be prepared (reading it ended its process: SIGAB"),
        ((signal.raise_signal, (signal.SIGSEGV,)), "ended its process: SIGSEGV)"),
        ((os._exit, (7,)), "ended its process: exit code 7)"),
        ((frozenset, ()), "cannot be prepared ("),  # a TypeError, which nobody foresaw
    ],
)
def test_a_scan_that_ends_its_process_costs_itself_alone(scans, tmp_path, call, words, workers):
    sources = find_sources(scans)
    sources[1] = dataclasses.replace(sources[1], image=Surprise(sources[1].image, *call))
    outcomes = list(assembly.assemble(sources, tmp_path / "out", SETTINGS, share=share(workers)))
    assert [outcome.problem is None for outcome in outcomes] == [True, False, True]
    assert words in outcomes[1].problem
    with h5py.File(tmp_path / "out" / "volumes.h5", "r") as file:
        assert sorted(file) == ["0", "2"]


def test_what_is_not_from_here_stays(scans, tmp_path):
    sources, output = find_sources(scans), tmp_path / "out"
    output.mkdir()
    for name in ("volumes.h5", "dataset.json"):
        (output / name).write_text("mine")
        with pytest.raises(InputError, match=f"{name}: .*move it away"):
            list(assembly.assemble(sources, output, SETTINGS))
        assert (output / name).read_text() == "mine"
        (output / name).unlink()
    (output / ".parts").mkdir(exist_ok=True)
    (output / ".parts" / "notes.txt").write_text("mine")
    (output / ".parts" / ".lock").write_text("mine")  # not even emptied by a refused call
    with only_writer(output / ".parts"), pytest.raises(InputError, match="another process"):
        list(assembly.assemble(sources, output, SETTINGS))
    list(assembly.assemble(sources, output, SETTINGS))
    assert (output / ".parts" / "notes.txt").read_text() == "mine"
    text = (output / "dataset.json").read_text().replace("train", "study")
    (output / "dataset.json").write_text(text)
    with pytest.raises(InputError, match=r"dataset.json: was changed since"):
        list(assembly.assemble(sources, output, SETTINGS))
    assert (output / "dataset.json").read_text() == text


def test_a_missing_file(tmp_path):
    with pytest.raises(InputError, match="no scan could be prepared"):
        list(assembly.assemble([Source("a", str(tmp_path / "a.nii"))], tmp_path / "o", SETTINGS))
    assert list((tmp_path / "o").iterdir()) == []


def test_no_room_for_the_whole(scans, tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda _: types.SimpleNamespace(free=1))
    with pytest.raises(InputError, match=r"volumes.h5: cannot be written \(No space left"):
        list(assembly.assemble(find_sources(scans), tmp_path / "out", SETTINGS))
    assert not (tmp_path / "out" / "volumes.h5").exists()
    monkeypatch.undo()
    outcomes = list(assembly.assemble(find_sources(scans), tmp_path / "out", SETTINGS))
    assert [outcome.seconds for outcome in outcomes] == [0, 0, 0]
