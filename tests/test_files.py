"""Outputs are whole or absent."""

import json

import pytest

from ldr_tf import files
from ldr_tf.errors import InputError
from ldr_tf.files import file_state


def test_success_replaces_what_was_there(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("old")
    files.write_json(path, {"x": 1})
    assert json.loads(path.read_text()) == {"x": 1}
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_failure_leaves_what_was_there_and_nothing_else(error, tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(error), files.atomic_path(path) as temporary:
        assert temporary.endswith("a.txt")
        with open(temporary, "w") as file:
            file.write("half")
        raise error
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_output_folders_are_looked_at_first(tmp_path):
    files.check_output_folder(tmp_path / "new" / "deep")
    assert not (tmp_path / "new").exists()
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(InputError, match="is a file"):
            files.check_output_folder(path)


def test_the_state_of_a_folder_and_of_a_scan_in_two_files(tmp_path):
    for name in ("scan.hdr", "scan.img", "scan.txt", "other.img", "plain.nii"):
        (tmp_path / name).write_bytes(b"four")
    assert file_state(tmp_path / "plain.nii")["bytes"] == 4
    assert file_state(tmp_path / "scan.hdr") == file_state(tmp_path / "scan.img")
    before = file_state(tmp_path), file_state(tmp_path / "scan.hdr")
    (tmp_path / "scan.img").write_bytes(b"five.")
    after = file_state(tmp_path), file_state(tmp_path / "scan.hdr")
    assert all(b["bytes"] + 1 == a["bytes"] for b, a in zip(before, after))
    assert file_state(tmp_path / "none") == {}
