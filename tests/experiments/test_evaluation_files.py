"""Pairs of files: scans on grids of their own, measured in mm on the fixed scan's."""

import csv

import numpy as np
import pytest
import SimpleITK as sitk
import tensorflow as tf

from experiments import evaluate
from experiments.evaluation import methods
from tests.experiments.conftest import Output

SPACING = (1.0, 2.0, 1.5)


def write_scan(folder, name, start, size=(40, 32, 32), origin=(10.0, -5.0, 3.0)):
    """A box of 8 x 8 x 8 voxels from x = `start` on, its labels and two landmarks; axes RAS."""
    labels = np.zeros(size, np.uint8)
    labels[start : start + 8, 10:18, 10:18] = 3
    texture = np.indices(size).sum(axis=0) % 5
    for suffix, array in (("", np.float32(labels * 30 + texture)), ("_seg", labels)):
        image = sitk.GetImageFromArray(array.transpose(2, 1, 0))
        image.SetSpacing(SPACING)
        image.SetOrigin(origin)
        image.SetDirection(np.diag([-1.0, -1.0, 1.0]).ravel())
        sitk.WriteImage(image, str(folder / f"{name}{suffix}.nii.gz"))
    corners = [(start, 10, 10), (start + 7, 17, 17)]
    rows = [image.TransformIndexToPhysicalPoint(corner) for corner in corners]
    with open(folder / f"{name}.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["name", "x", "y", "z"])
        writer.writerows([(f"corner {i}", *row) for i, row in enumerate(rows)])


@pytest.fixture
def scans(tmp_path):
    """Two scans, the moving one's box 4 voxels further; the list of pairs is `write_list`'s."""
    write_scan(tmp_path, "a", 10)
    write_scan(tmp_path, "b", 14)
    return tmp_path


def write_list(folder, *lines, columns="fixed,moving,fixed_labels,moving_labels"):
    path = folder / "list.csv"
    path.write_text("\n".join([columns, *lines]) + "\n")
    return path


def call(folder, path, *others):
    output = folder / "results"
    flags = ["--run=runs/student", f"--pairs={path}", f"--output={output}", "--report=none"]
    return evaluate.main(["evaluate", *flags, "--affine=none", *others]), output


def read_csv(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_figures_are_in_mm_on_the_fixed_scans_grid(scans, fake_runs):
    columns = "fixed,moving,fixed_labels,moving_labels,fixed_points,moving_points"
    line = "a.nii.gz,b.nii.gz,a_seg.nii.gz,b_seg.nii.gz,a.csv,b.csv"
    code, output = call(scans, write_list(scans, line, columns=columns))
    assert code == 0
    identity, student = read_csv(output / "pairs.csv")
    assert (identity["fixed"], identity["moving"]) == ("a.nii.gz", "b.nii.gz")
    # Half of the box overlaps; the landmarks are 4 voxels of 1 mm apart, so are the end faces.
    assert [float(identity[key]) for key in ("dice", "landmark", "tre_mm")] == [0.5, 4, 4]
    assert float(identity["hd95_mm"]) == 4
    assert float(identity["endpoint_mm"] or 0) == 0
    # The network moves everything alike, on a grid of its own: not the same, and no folds.
    assert float(student["tre_mm"]) != 4 and student["folds"] == "0"
    assert float(student["seconds"]) > 0 and float(student["peak_memory_mb"]) > 10
    assert [row["label"] for row in read_csv(output / "labels.csv")] == ["3", "3"]


@pytest.mark.parametrize("masked", [True, False])
def test_networks_go_by_the_masks_of_the_list_and_by_nothing_else(
    scans, fake_runs, monkeypatch, masked
):
    seen, real = [], methods.register

    def register(*scans, brain, **others):
        result = real(*scans, brain=brain, **others)
        seen.append((brain, result.masks))
        return result

    monkeypatch.setattr(methods, "register", register)
    columns, line = "fixed,moving", "a.nii.gz,b.nii.gz"
    if masked:
        columns, line = columns + ",moving_mask", line + ",b_seg.nii.gz"
    assert call(scans, write_list(scans, line, columns=columns))[0] == 0
    assert len(seen) == 2  # the first one warms up
    for brain, masks in seen:
        assert (brain, list(masks)) == (("given", ["moving"]) if masked else ("none", []))
        for mask in masks.values():  # 8^3 voxels of 3 mm^3
            assert mask.millilitres == pytest.approx(8**3 * 3 / 1000)


def test_folds_are_those_of_the_network(scans, fake_runs, monkeypatch):
    shift = fake_runs["runs/student"]

    class Folding(type(shift)):
        def __call__(self, fixed, moving):
            flow = super().__call__(fixed, moving).flow.numpy()
            flow[:, 30:33, 30:33, 30:33] += 8.0
            return Output(tf.constant(flow), moving)

    monkeypatch.setitem(fake_runs, "runs/student", Folding())
    code, output = call(scans, write_list(scans, "a.nii.gz,b.nii.gz"))
    _, student = read_csv(output / "pairs.csv")
    assert code == 0 and 0 < float(student["folds_any_percent"]) < 5  # few enough to be unfolded


def test_scans_on_different_grids(scans, fake_runs):
    # The same box in a larger scan whose first voxel lies 6 voxels further out along x.
    write_scan(scans, "c", 16, (50, 32, 32), (16.0, -5.0, 3.0))
    path = write_list(scans, "a.nii.gz,c.nii.gz,a_seg.nii.gz,c_seg.nii.gz")
    code, output = call(scans, path)
    assert code == 0
    assert float(read_csv(output / "pairs.csv")[0]["dice"]) == 1


def test_a_bad_file_fails_its_pair_alone(scans, fake_runs, capsys):
    (scans / "broken.nii.gz").write_bytes(b"no image")
    path = write_list(
        scans,
        "broken.nii.gz,b.nii.gz,,",
        "a.nii.gz,b.nii.gz,b_seg.nii.gz,",
        "b.nii.gz,a.nii.gz,,a_seg.nii.gz",
    )
    code, output = call(scans, path)
    message = capsys.readouterr().err
    assert code == 2
    assert "pair broken.nii.gz, b.nii.gz: " in message and "1 failed" in message
    assert "only the fixed scan has labels" in message
    assert "only the moving scan has labels" in message
    rows = read_csv(output / "pairs.csv")
    assert len(rows) == 4 and {row["dice"] for row in rows} == {""}
    assert all(float(row["correlation"]) > 0 for row in rows)


def test_labels_on_another_grid_than_their_scan(scans, fake_runs, capsys):
    write_scan(scans, "c", 16, (50, 32, 32))
    path = write_list(scans, "a.nii.gz,b.nii.gz,c_seg.nii.gz,b_seg.nii.gz")
    code, output = call(scans, path)
    assert code == 2
    message = capsys.readouterr().err
    assert "c_seg.nii.gz: labels must lie on the grid of their scan" in message
    assert not (output / "pairs.csv").exists()


@pytest.mark.parametrize(
    "lines, others, culprit",
    [
        ([], [], "lists no pairs"),
        (["a.nii.gz"], [], "moving"),
        (["a.nii.gz,b.nii.gz,,"] * 2, [], "output"),
        (["a.nii.gz,b.nii.gz,,"], ["--format=rcn"], "--dataset"),
    ],
)
def test_bad_lists(scans, fake_runs, capsys, lines, others, culprit):
    code, output = call(scans, write_list(scans, *lines), *others)
    message = capsys.readouterr().err
    assert code == 2
    assert culprit in message and len(message.splitlines()) == 1
    assert not output.exists()


def test_a_list_that_is_not_there(scans, fake_runs, capsys):
    assert call(scans, scans / "none.csv")[0] == 2
    assert "none.csv" in capsys.readouterr().err
