"""What is kept on disk from process to process, and that nothing depends on it."""

import os

import pytest

from ldr_tf import cache


@pytest.fixture
def folder(tmp_path):
    """The folder in use, which does not exist yet."""
    place = tmp_path / "kept" / "things"
    cache.use(str(place))
    return place


def test_what_was_kept_is_read(folder):
    assert cache.read("words", "one") is None
    cache.keep("words", "one", b"first", most=4)
    cache.keep("words", "one", b"second", most=4)
    cache.keep("other", "one", b"third", most=4)
    assert (cache.read("words", "one"), cache.read("other", "one")) == (b"second", b"third")
    assert sorted(os.listdir(folder)) == ["other", "words"]
    assert os.listdir(folder / "words") == ["one"]


def test_what_was_of_no_use_for_longest_is_forgotten(folder):
    for number in range(4):
        cache.keep("words", f"word {number}", bytes([number]), most=9)
        os.utime(folder / "words" / f"word {number}", (number, number))
    assert cache.read("words", "word 0") == bytes([0])
    cache.keep("words", "a new one", b"", most=3)
    assert sorted(os.listdir(folder / "words")) == ["a new one", "word 0", "word 3"]


@pytest.mark.parametrize("damage", [b"", b"noise " * 99, None], ids=["empty", "noise", "renamed"])
def test_what_was_damaged_is_not_read(folder, damage):
    cache.keep("words", "one", b"first", most=4)
    cache.keep("words", "two", b"second", most=4)
    path = folder / "words" / "one"
    path.write_bytes((folder / "words" / "two").read_bytes() if damage is None else damage)
    assert cache.read("words", "one") is None


def test_a_folder_that_may_only_be_read_is_read(folder, monkeypatch):
    def refuse(path):
        raise PermissionError(path)

    cache.keep("words", "one", b"first", most=4)
    monkeypatch.setattr(os, "utime", refuse)
    assert cache.read("words", "one") == b"first"


def test_without_a_folder_nothing_is_kept(folder):
    cache.use(None)
    cache.keep("words", "one", b"first", most=4)
    assert cache.read("words", "one") is None and not folder.exists()


def test_a_folder_that_cannot_be_written_is_borne(folder, tmp_path):
    (tmp_path / "kept").write_text("a file, where the folder should be")
    cache.keep("words", "one", b"first", most=4)
    assert cache.read("words", "one") is None
