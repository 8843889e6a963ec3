"""Pairs read from files, and whether the files changed."""

import os

import numpy as np
import pytest
import SimpleITK as sitk

from ldr_tf.errors import InputError
from ldr_tf.imaging import to_array
from ldr_tf.registration.pair import PairFiles, read_pair


@pytest.fixture
def paths(tmp_path):
    """Two scans with labels and landmarks, at the points (x, 2, 3)."""
    given = {}
    for side, x in (("fixed", 1), ("moving", 4)):
        image = sitk.GetImageFromArray(np.linspace(0, 10.0 * x, 336, dtype="f4").reshape(6, 7, 8))
        given[side] = str(tmp_path / f"{side}.nii.gz")
        given[f"{side}_labels"] = str(tmp_path / f"{side}_labels.nii.gz")
        given[f"{side}_points"] = str(tmp_path / f"{side}.csv")
        sitk.WriteImage(image, given[side])
        sitk.WriteImage(sitk.Cast(image, sitk.sitkUInt8), given[f"{side}_labels"])
        (tmp_path / f"{side}.csv").write_text(f"name,x,y,z\ntip,{x},2,3\n")
    return PairFiles(output=str(tmp_path / "out"), **given)


def test_all_is_read(paths):
    pair = read_pair(paths)
    assert to_array(pair.fixed).max() == 10 and to_array(pair.moving).max() == 40
    assert to_array(pair.moving_labels).dtype == np.uint8
    np.testing.assert_allclose(pair.moving_points.positions, [[4, 2, 3]])
    pair.check()
    alone = read_pair(PairFiles(paths.fixed, paths.moving, "out"))
    assert alone.fixed_labels is None and alone.moving_points is None


def test_what_does_not_fit_is_named(paths, tmp_path):
    small = sitk.GetImageFromArray(np.ones((5, 7, 8), np.uint8))
    sitk.WriteImage(small, paths.moving_labels)
    with pytest.raises(InputError, match=r"moving_labels.nii.gz: labels must lie on the grid"):
        read_pair(paths)
    sitk.WriteImage(sitk.Image(8, 7, 6, sitk.sitkUInt8), paths.moving_labels)
    (tmp_path / "fixed.csv").write_text("name,x,y,z\nbase,1,2,3\n")
    with pytest.raises(InputError, match=r"fixed.csv, .*moving.csv: .*no name in common"):
        read_pair(paths)


def test_the_state_tells_which_file_was_written_anew(paths):
    before = paths.state()
    assert set(before) == {name for name, path in paths.inputs.items() if path}
    assert before == paths.state()
    os.utime(paths.fixed_points, ns=(0, 5))
    after = paths.state()
    assert [name for name in before if before[name] != after[name]] == ["fixed_points"]
    assert PairFiles("no such file", paths.moving, "out").state()["fixed"] == {}
