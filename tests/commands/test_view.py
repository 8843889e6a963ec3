import json
import os
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import SimpleITK as sitk

from ldr_tf.commands import view
from ldr_tf.commands.folder import held
from ldr_tf.imaging import to_image
from tests.viewing.scenes import SHIFT, ball, field, grid_of_sides


@pytest.fixture
def stored(tmp_path, monkeypatch):
    """A folder of results and its scans, as ldr-register leaves them; a function that calls."""
    monkeypatch.chdir(tmp_path)
    grid, folder = grid_of_sides(), tmp_path / "out" / "pair"
    folder.mkdir(parents=True)
    (tmp_path / "scans").mkdir()
    scans = {"fixed": ball(np.zeros(3), grid), "moving": ball(SHIFT, grid)}
    inputs = {}
    for side, scan in scans.items():
        sitk.WriteImage(scan, f"scans/{side}.nii.gz")
        sitk.WriteImage(sitk.Cast(scan > 100, sitk.sitkUInt8), f"scans/{side}_labels.nii.gz")
        with open(f"scans/{side}.csv", "w") as file:
            file.write(f"name,x,y,z\ncentre,{SHIFT[0] if side == 'moving' else 0},0,0\n")
        inputs[side] = f"scans/{side}.nii.gz"
        inputs[f"{side}_labels"] = f"scans/{side}_labels.nii.gz"
        inputs[f"{side}_points"] = f"scans/{side}.csv"
    sitk.WriteImage(scans["fixed"], str(folder / "warped.nii.gz"))
    shutil.copy("scans/fixed_labels.nii.gz", folder / "warped_labels.nii.gz")
    sitk.WriteImage(field(SHIFT, grid), str(folder / "displacement.nii.gz"))
    sitk.WriteTransform(sitk.AffineTransform(3), str(folder / "affine.tfm"))
    summary = {"finished": True, "inputs": inputs, "settings": {"points_space": "LPS"}}
    summary["files"] = sorted([*os.listdir(folder), "summary.json"])
    (folder / "summary.json").write_text(json.dumps(summary))

    def data():
        page = (folder / "view.html").read_text(encoding="utf-8")
        return json.loads(page.split('id="data">')[1].split("</script>")[0])

    def call(*words):
        return view.main(["ldr-view", *words])

    return SimpleNamespace(call=call, data=data, folder=folder, summary=summary)


def summary_of(stored):
    return json.loads((stored.folder / "summary.json").read_text())


def test_the_page_of_a_folder(stored, capsys):
    assert stored.call("out/pair") == 0
    data = stored.data()
    assert data["title"] == "moving.nii.gz registered to fixed.nii.gz" and not data["remarks"]
    assert data["labels"] == [0, 1] and data["fixed_labels"] and data["warped_labels"]
    (mark,) = data["landmarks"]
    assert mark["fixed"] == mark["warped"] == [11.5, 17.5, 14.5]
    # It is the registration's file now: the next one deletes it.
    assert summary_of(stored) == {
        **stored.summary,
        "files": sorted([*stored.summary["files"], "view.html"]),
    }
    captured = capsys.readouterr()
    assert "written: out/pair/view.html (2." in captured.out and captured.err == ""
    assert stored.call("--folder=out/pair", "--quiet") == 0  # again
    assert stored.call("--strict", "--fixed", "scans/fixed.nii.gz", "out/pair") == 0


def test_scans_are_found_from_elsewhere(stored, tmp_path, monkeypatch):
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    assert stored.call(str(stored.folder)) == 0


def test_a_scan_that_was_moved_must_be_named(stored, capsys):
    os.rename("scans/moving.nii.gz", "m.nii.gz")
    assert stored.call("out/pair") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "scans/moving.nii.gz: the moving scan of out/pair is not there" in line
    assert not (stored.folder / "view.html").exists()
    assert stored.call("out/pair", "--moving=m.nii.gz") == 0


def test_labels_and_landmarks_that_are_gone_are_left_out(stored, capsys):
    os.remove("scans/fixed_labels.nii.gz")
    os.remove("scans/moving.csv")
    assert stored.call("out/pair", "--strict") == 3
    data = stored.data()
    assert data["fixed_labels"] is None and data["warped_labels"] and data["landmarks"] == []
    assert [remark.split(":")[0] for remark in data["remarks"]] == [
        "scans/fixed_labels.nii.gz",
        "scans/moving.csv",
    ]
    err = capsys.readouterr().err
    assert (
        "warning: scans/moving.csv: is not there any more; moving landmarks are not shown." in err
    )


def test_a_scan_that_was_written_anew_is_remarked_on(stored):
    changed = {**stored.summary, "input_files": {"fixed": {"bytes": 5, "modified": 7}}}
    (stored.folder / "summary.json").write_text(json.dumps(changed))
    assert stored.call("out/pair") == 0
    assert stored.data()["remarks"] == [
        "scans/fixed.nii.gz: was written anew since the registration."
    ]


@pytest.mark.parametrize(
    "name, content, words",
    [
        ("summary.json", {"finished": False}, "holds no finished registration"),
        ("summary.json", {"finished": True}, "names no fixed scan"),
        ("summary.json", {"finished": True, "inputs": ["x"]}, "names no fixed scan"),
        ("affine.tfm", None, "affine.tfm"),
        ("displacement.nii.gz", None, "displacement.nii.gz"),
        ("warped.nii.gz", "junk", "warped.nii.gz"),
    ],
)
def test_a_damaged_folder_is_one_sentence(stored, capsys, name, content, words):
    path = stored.folder / name
    path.unlink()
    if content is not None:
        path.write_text(content if isinstance(content, str) else json.dumps(content))
    assert stored.call("out/pair") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line and "Traceback" not in line
    assert not (stored.folder / "view.html").exists()
    assert not [entry for entry in os.listdir(stored.folder) if entry.startswith(".")]


def test_another_scan_is_refused(stored, capsys):
    other = to_image(
        np.random.default_rng(0).random((9, 9, 9), np.float32), grid_of_sides((9, 9, 9))
    )
    sitk.WriteImage(other, "other.nii.gz")
    assert stored.call("out/pair", "--fixed=other.nii.gz") == 2
    assert "other.nii.gz" in capsys.readouterr().err


def test_folders_that_are_none_and_flags(stored, capsys):
    for words, part in {
        (): "folder",
        ("none",): "none: is no folder",
        ("out/pair", "more"): "unexpected argument 'more'",
    }.items():
        assert stored.call(*words) == 2
        assert part in capsys.readouterr().err
    with held(stored.folder):
        assert stored.call("out/pair") == 2
    assert stored.call("--help") == 0
    assert "ldr-view registered" in capsys.readouterr().out
