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
    with pytest.raises(InputError, match="none"):
        read_pairs(str(tmp_path / "none.csv"), "out")
