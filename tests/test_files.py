"""Outputs are whole or absent."""

import json
import os
import pathlib
import subprocess
import sys

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


def test_a_lock_leaves_what_is_there_and_goes_away(tmp_path):
    (tmp_path / ".lock").write_text("mine")
    with files.only_writer(tmp_path):
        assert (tmp_path / ".lock").read_text() == "mine"
        with pytest.raises(InputError, match="another process"), files.only_writer(tmp_path):
            pass
        with files.only_writer(tmp_path, ".other"):
            assert (tmp_path / ".other").exists()
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "target").write_text("mine")
    (tmp_path / ".lock").symlink_to("target")
    with pytest.raises(InputError, match="cannot be made or locked"), files.only_writer(tmp_path):
        pass
    assert (tmp_path / "target").read_text() == "mine"


def test_locks_of_many_processes_never_overlap(tmp_path):
    # Each holder writes, waits a little and looks: another one in between would show.
    script = (
        "import sys, time\n"
        "from ldr_tf.errors import InputError\n"
        "from ldr_tf.files import only_writer\n"
        "folder, name = sys.argv[1:]\n"
        "held = 0\n"
        "while held < 40:\n"
        "    try:\n"
        "        with only_writer(folder):\n"
        "            open(folder + '/who', 'w').write(name)\n"
        "            time.sleep(0.001)\n"
        "            assert open(folder + '/who').read() == name\n"
        "            held += 1\n"
        "    except InputError:\n"
        "        time.sleep(0.001)\n"
    )
    root = pathlib.Path(__file__).parents[1]
    command = [sys.executable, "-c", script, str(tmp_path)]
    processes = [subprocess.Popen([*command, name], cwd=root) for name in "abc"]
    assert [process.wait(timeout=120) for process in processes] == [0, 0, 0]


def test_a_new_folder_has_one_maker(tmp_path):
    with files.new_folder(tmp_path / "deep" / "run") as temporary:
        os.mkdir(temporary)
        with pytest.raises(InputError, match="another process is writing here"):
            files.new_folder(tmp_path / "deep" / "run").__enter__()
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["run"]
    with pytest.raises(InputError, match="exists already"):
        files.new_folder(tmp_path / "deep" / "run").__enter__()


def test_a_folder_is_cleared_by_name(tmp_path):
    folder = tmp_path / "parts"
    folder.mkdir()
    for name in ("a.h5", "notes.txt"):
        (folder / name).touch()
    files.remove_folder_of(folder, ["a.h5", "b.h5"])
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]
    files.remove_folder_of(folder, ["notes.txt"])
    assert not folder.exists()


def test_a_new_folder_may_have_as_long_a_name_as_linux_takes(tmp_path):
    """The lock beside it has a name of its own, which must not be longer still."""
    path = str(tmp_path / ("n" * 240))
    with files.new_folder(path) as temporary:
        os.mkdir(temporary)
    assert os.listdir(tmp_path) == ["n" * 240]


def test_what_killed_processes_left_goes_and_what_lives_stays(tmp_path):
    """A holder that nobody locks is swept once it is old; a locked one and foreign files stay."""
    dead, killed, young, foreign = (
        tmp_path / name for name in (".writing-a", ".writing-b", ".writing-c", ".writing-file")
    )
    for folder in (dead, killed, young):
        folder.mkdir()
    (dead / "half.txt").write_text("half")
    (killed / "model.old").mkdir()
    (killed / "model.old" / "kept.txt").write_text("kept")
    foreign.write_text("not ours")
    with files.atomic_path(tmp_path / "living.txt") as temporary:
        living = os.path.dirname(temporary)
        for path in (dead, killed, foreign, living):
            os.utime(path, (1e9, 1e9))
        files._SWEPT.clear()
        with files.atomic_path(tmp_path / "other.txt") as other:
            open(other, "w").close()
        open(temporary, "w").close()
    assert sorted(os.listdir(tmp_path)) == [
        *[".writing-c", ".writing-file"],
        *["living.txt", "model", "other.txt"],
    ]
    assert (tmp_path / "model" / "kept.txt").read_text() == "kept"
