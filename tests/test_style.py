"""What `make lint` asks of the code, so that `make test` finds it first."""

import importlib.util
import pathlib
import subprocess
import sys

import pytest

PROJECT = pathlib.Path(__file__).parents[1]


@pytest.mark.skipif(importlib.util.find_spec("ruff") is None, reason="ruff is not installed")
@pytest.mark.parametrize("words", [("check",), ("format", "--check")], ids=" ".join)
def test_ruff_finds_nothing(words):
    command = [sys.executable, "-m", "ruff", *words, "."]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
