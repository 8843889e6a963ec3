"""Lists of pairs as CSV files; bad ones: tests/commands/test_batch.py."""

import os

import pytest

from ldr_tf.errors import InputError
from ldr_tf.registration.pair_lists import read_pairs


def test_paths_are_seen_from_the_lists_folder(tmp_path):
    (tmp_path / "p.csv").write_text("fixed,moving,moving_labels\nx/a.nii.gz,/y/dicom/,l.nii\n")
    (pair,) = read_pairs(str(tmp_path / "p.csv"), "out")
    assert pair.fixed == str(tmp_path / "x" / "a.nii.gz") and pair.moving == "/y/dicom/"
    assert pair.output == os.path.join("out", "dicom_to_a") and pair.fixed_labels is None
    (tmp_path / "p.csv").write_text("fixed,moving,output\n~/a.nii,b.nii,deep/er\n")
    (pair,) = read_pairs(str(tmp_path / "p.csv"), "out")
    assert pair.fixed == os.path.expanduser("~/a.nii") and pair.output == "out/deep/er"
    with pytest.raises(InputError, match="none"):
        read_pairs(str(tmp_path / "none.csv"), "out")


@pytest.mark.parametrize("name", ["../x", "../../x", "/tmp/x", "a/../../x", "..", ".", "a/.."])
def test_results_lie_below_the_output_folder(tmp_path, name):
    (tmp_path / "p.csv").write_text(f"fixed,moving,output\na.nii,b.nii,{name}\n")
    with pytest.raises(InputError, match="line 2: output must be a name below"):
        read_pairs(str(tmp_path / "p.csv"), "out")
