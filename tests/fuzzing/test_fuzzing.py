"""Damaged input of every kind ends in 0 or in one sentence; `make fuzz` tries for longer."""

import os

import pytest

from ldr_tf.errors import InputError
from tests.fuzzing.__main__ import run_child
from tests.fuzzing.attempt import attempt
from tests.fuzzing.targets import TARGETS


@pytest.mark.parametrize("name", TARGETS)
def test_damaged_input_is_refused_in_one_sentence(name):
    # In a process of its own: a crash of a library must not take the other tests along.
    count = 12 if name == "ldr-register" else 60  # whose every good case takes a second
    cases, wrong = run_child(name, number=1, count=count)
    assert wrong == []
    assert cases >= 0.8 * count


@pytest.mark.parametrize(
    ("use", "words"),
    [
        (lambda folder: {}["bug"], "KeyError"),
        (lambda folder: open(f"{folder}/new", "w").close(), "changed"),
        (lambda folder: 1, "exit code 1"),
        (lambda folder: os.write(1, b"hello\n") and None, "said without need"),
        (lambda folder: 2, "not one sentence"),
    ],
)
def test_what_would_be_wrong_is_noticed(use, words):
    assert words in attempt(use, {"set.json": b"{}"})


def test_what_is_half_written_is_noticed():
    def use(folder):
        os.mkdir(os.path.join(os.path.dirname(folder), "output"))
        open(os.path.join(os.path.dirname(folder), "output", "rest"), "w").close()
        raise InputError("the file is bad.")

    assert "half-written" in attempt(use, {"set.json": b"{}"})
