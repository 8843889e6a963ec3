"""The recipe of the shipped model, on made-up heads: every stage, the going on, the refusals."""

import collections
import csv
import json
import pathlib

import numpy as np
import pytest
import SimpleITK as sitk

from data.brain_labels import BRAIN_LABELS
from experiments import brain_t1
from ldr_tf.imaging import Grid, to_image

SIZE = (40, 48, 56)
DIRECTION = (1.0, 0, 0, 0, 0, -1.0, 0, -1.0, 0)


def head(seed):
    """Labels of a lopsided head: two tissues, a ventricle, a skull (506) around."""
    stretch = 1 + 0.06 * np.random.default_rng(seed).uniform(-1, 1, 3)
    grid = (np.stack(np.indices(SIZE), -1) - (np.array(SIZE) - 1) / 2) * stretch
    radius = np.linalg.norm(grid / (14, 17, 19), axis=-1)
    labels = np.zeros(SIZE, np.uint16)
    labels[radius < 1.3] = 506
    labels[radius < 1.0] = 3
    labels[np.linalg.norm((grid - (2, 3, 1)) / (8, 9, 10), axis=-1) < 1] = 2
    labels[np.linalg.norm(grid - (-4, -5, 3), axis=-1) < 4] = 4
    return labels


def write(array, path):
    origin = tuple(-np.reshape(DIRECTION, (3, 3)) @ ((np.array(SIZE) - 1) * 2.0))
    image = to_image(array, Grid(SIZE, (4.0, 4.0, 4.0), origin, DIRECTION))
    sitk.WriteImage(image, str(path))


@pytest.fixture
def folders(tmp_path):
    """Two scans, four label maps, two validation scans labelled 1 to 35, four scanned heads."""
    scans, maps, validation, heads = (
        tmp_path / name for name in ("scans", "maps", "validation", "heads")
    )
    for folder in (scans, maps, validation, heads):
        folder.mkdir()
    rows = ["image,labels"]
    for seed in range(10, 14):
        labels = head(seed)
        muse = np.select([labels == 2, labels == 3, labels == 4], [82, 101, 52])
        write(np.where(labels == 506, 99, 40 * (labels > 0) * (6 - labels)), heads / f"h{seed}.nii")
        write(muse.astype(np.uint8), heads / f"h{seed}_labels.nii")
        rows.append(f"h{seed}.nii,h{seed}_labels.nii")
    (heads / "list.csv").write_text("\n".join(rows))
    shade = np.zeros(600, np.float32)
    shade[[2, 3, 4]] = 220, 145, 30
    rank = np.zeros(600, np.uint8)
    rank[list(BRAIN_LABELS.values())] = np.arange(1, 36)
    for seed in range(8):
        labels = head(seed)
        if seed < 4:
            write(labels, maps / f"map_{seed}.nii.gz")
        else:
            folder = scans if seed < 6 else validation
            write(shade[labels], folder / f"s{seed}.nii.gz")
            if seed == 4:
                write(labels * np.uint16(labels < 500), folder / f"s{seed}_seg.nii.gz")
            if seed >= 6:
                write(rank[labels], folder / f"s{seed}_seg.nii.gz")
    return tmp_path


def call(folders, *more):
    flags = [f"--{name}={folders / folder}" for name, folder in FOLDERS.items()]
    return brain_t1.main(["brain_t1", *flags, "--validation_numbers=oasis35", *more])


FOLDERS = {
    "scans": "scans",
    "label_maps": "maps",
    "validation": "validation",
    "output": "out",
}


@pytest.mark.slow
@pytest.mark.chain
def test_from_scans_and_label_maps_to_figures(folders, capfd):
    configs = []
    for number, path in enumerate([*brain_t1.COARSE_CONFIGS, *brain_t1.CONFIGS]):
        values = json.loads(pathlib.Path(path).read_text())
        values["network"]["channels"] = 2
        values["optimisation"] |= {"validate_every": 3, "checkpoint_every": 3, "summarize_every": 1}
        configs.append(folders / f"config{number}.json")
        configs[-1].write_text(json.dumps(values))
    flags = [f"--coarse_configs={configs[0]}", f"--configs={','.join(map(str, configs[1:]))}"]
    flags += ["--steps=3"]
    flags += ["--coarse_size=32", "--size=48", "--held_out=2", "--heads_numbers=muse"]
    flags += [f"--heads={folders / 'heads' / 'list.csv'}"]
    assert call(folders, *flags) == 0
    out = folders / "out"
    with open(out / "aligned" / "list.csv", newline="") as file:
        subsets = [row["subset"] for row in csv.DictReader(file)]
    training = {"maps": 3, "scans": 2, "heads": 2}  # the labels of one scan are painted, too
    held_out = {"validation": 2, "validation_maps": 2, "validation_heads": 2}
    assert collections.Counter(subsets) == training | held_out
    schemes = json.loads((out / "prepared" / "brain.json").read_text())["schemes"]
    assert schemes["1"] == {"scans": 0.2, "scans_and_heads": 0.35, "maps": 0.45}
    summary = json.loads((out / "evaluation" / "summary.json").read_text())
    identity = summary["methods"]["identity"]
    assert identity["dice"]["count"] == 6  # both ways in each of the three validations
    assert identity["dice"]["mean"] > 0.8  # aligned, and the labels' numbers agree
    grids = [json.loads((out / run / "config.json").read_text()) for run in ("run_1", "run_2")]
    assert [grid["network"]["image_size"] for grid in grids] == [[32] * 3, [48] * 3]
    last = json.loads((out / "run" / "config.json").read_text())
    assert (last["network"]["descents"], last["init"]) == (2, str(out / "run_3" / "best"))
    logged = (out / "run" / "metrics.jsonl").read_text()
    assert '"overlap"' in logged and "validation/dice" in logged
    assert call(folders, *flags) == 0
    assert "resuming at step 3" in capfd.readouterr().out


@pytest.mark.parametrize(
    "spoil, word",
    [
        (lambda folder: (folder / "validation" / "s6_seg.nii.gz").unlink(), "has no labels"),
        (lambda folder: write(head(0), folder / "validation" / "s7_seg.nii.gz"), "0..35"),
        (lambda folder: (folder / "maps" / "map_0.nii.gz").unlink(), "kept for validation"),
    ],
)
def test_bad_input_is_one_sentence(folders, spoil, word, capfd):
    spoil(folders)
    assert call(folders, "--held_out=2") == 2
    err = capfd.readouterr().err
    assert err.count("\n") == 1 and word in err
    assert not (folders / "out" / "prepared").exists()
