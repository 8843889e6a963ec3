"""What several tests need: a small data set in RCN's form and a small trained run."""

import h5py
import numpy as np
import pytest

from data.anatomy import LABELS
from data.manifest import write_manifest
from data.phantoms import make_subject
from data.volumes import write_scan
from ldr_tf import cache
from ldr_tf.config import ImageConfig
from ldr_tf.runs import precision

SIZE = 32


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    """What commands keep for later ones is the tests' own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def nothing_kept(monkeypatch):
    """What a command of one test keeps is of no use to the next test in its process."""
    monkeypatch.setattr(cache, "_chosen", {"folder": None})


@pytest.fixture(autouse=True)
def float32_everywhere(monkeypatch):
    """Where nobody says, networks compute as on a processor without bfloat16."""
    monkeypatch.setattr(precision, "has_bfloat16", lambda: False)


@pytest.fixture(scope="session")
def phantoms(tmp_path_factory):
    """Path of the JSON of eight phantoms of 32^3: four to train on, two to validate, two apart."""
    folder = tmp_path_factory.mktemp("phantoms")
    names = [f"{index:03d}" for index in range(8)]
    with h5py.File(folder / "phantoms.h5", "w") as file:
        for index, name in enumerate(names):
            subject = make_subject(1, index, SIZE)
            write_scan(file, name, subject.volume, subject.labels, subject.points)
    subsets = {"train": names[:4], "validation": names[4:6], "test": names[6:]}
    path = folder / "phantoms.json"
    write_manifest(
        str(path),
        file_paths={"phantoms": "phantoms.h5"},
        subsets={key: [f"phantoms/{name}" for name in value] for key, value in subsets.items()},
        schemes={"1": {"train": 1.0}, "2": {"validation": 1.0}},
        image_size=(SIZE,) * 3,
        image=ImageConfig(orientation="RAS", intensity="none"),
        segmentation_class_value=LABELS,
    )
    return path


@pytest.fixture(scope="session")
def student_run(phantoms, tmp_path_factory):
    """Folder of a student with four channels, trained for a few steps on the phantoms."""
    from experiments import train

    folder = tmp_path_factory.mktemp("runs") / "student"
    flags = [
        "--stage=student",
        f"--dataset={phantoms}",
        f"--output={folder}",
        "--set=network.channels=4",
    ]
    assert (
        train.main(
            ["train", *flags, "--set=optimisation.steps=6", "--set=optimisation.learning_rate=1e-3"]
        )
        == 0
    )
    return folder


@pytest.fixture
def volumes():
    """A pair of smooth volumes, float32 [1, 32, 32, 32, 1] in 0..1."""
    grid = np.stack(np.meshgrid(*[np.arange(SIZE)] * 3, indexing="ij"), -1) / SIZE
    fixed = np.sin(7 * grid).prod(-1)
    moving = np.sin(7 * grid + 0.4).prod(-1)
    return [v.astype("float32")[None, ..., None] / 2 + 0.5 for v in (fixed, moving)]
