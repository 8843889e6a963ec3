"""The record of an evaluation: one process at a time, and lines that are none of ours."""

import math

import pytest

from experiments.evaluation.journal import Journal
from ldr_tf.errors import InputError

ROW = {"method": "m", "fixed": "a", "moving": "b", "key": "k", "dice": math.nan}


def test_one_process_a_journal(tmp_path):
    folder = str(tmp_path / "out")
    with Journal(folder) as journal:
        with pytest.raises(InputError, match="another process is writing here"), Journal(folder):
            pass
        journal.add(ROW)
    with Journal(folder) as journal:
        assert math.isnan(journal.find("m", "a", "b", "k")["dice"])
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["journal.jsonl"]


def test_a_call_that_adds_nothing_leaves_nothing(tmp_path):
    with Journal(str(tmp_path / "out")):
        assert (tmp_path / "out").is_dir()
    assert not (tmp_path / "out").exists()


def test_rows_behind_a_line_that_is_none_stay(tmp_path):
    with Journal(str(tmp_path)) as journal:
        journal.add(ROW)
        journal.add({**ROW, "moving": "c"})
    path = tmp_path / "journal.jsonl"
    first, second = path.read_text().splitlines(keepends=True)
    bad = "edited\n" + "[" * 100_000 + "\n" + '{"method": []}\n[1]\n'
    path.write_text(first + bad + second + '{"cut')
    with Journal(str(tmp_path)) as journal:
        assert journal.find("m", "a", "c", "k") is not None
        journal.add({**ROW, "moving": "d"})
    lines = path.read_text().splitlines(keepends=True)
    assert "".join(lines[:-1]) == first + bad + second and '"d"' in lines[-1]
