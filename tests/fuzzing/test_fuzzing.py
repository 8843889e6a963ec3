"""Damaged input of every kind ends in 0 or in one sentence; `make fuzz` tries for longer."""

import pytest

from tests.fuzzing.__main__ import run_child
from tests.fuzzing.targets import TARGETS, attempt


@pytest.mark.parametrize("name", TARGETS)
def test_damaged_input_is_refused_in_one_sentence(name):
    # In a process of its own: a crash of a library must not take the other tests along.
    cases, wrong = run_child(name, number=1, count=60)
    assert wrong == []
    assert cases >= 50


def test_what_would_be_wrong_is_noticed(monkeypatch):
    def fail(folder):
        raise KeyError("bug")

    def write(folder):
        open(f"{folder}/new", "w").close()

    for use, words in ((fail, "KeyError"), (write, "changed"), (lambda folder: 1, "exit code 1")):
        monkeypatch.setitem(TARGETS, "manifest", {"use": use})
        assert words in attempt("manifest", {"set.json": b"{}"})
