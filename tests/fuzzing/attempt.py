"""Runs a case of damaged input through the commands' own frame; says what is wrong with it."""

import contextlib
import functools
import hashlib
import io
import os
import tempfile

import h5py
import numpy as np
from absl import flags

from ldr_tf.commands import cli

OUTPUT = "output"
"""Folder beside the input where a command may write, if all goes well."""

SECRET = 77
"""The value of every voxel in a file that no data set may reach."""

SIZE = (4, 5, 6)
"""Voxels of what is damaged."""


def attempt(use, content):
    """Runs one case; returns a sentence on what is wrong, or None.

    Args:
      use: of a target, see `tests.fuzzing.targets`.
      content: {file name: bytes}.
    """
    with tempfile.TemporaryDirectory(prefix="fuzz-") as place:
        folder = os.path.join(place, "input")
        os.mkdir(folder)
        secret = os.path.join(place, "secret.h5")
        with h5py.File(secret, "w") as file:
            file["volume"] = np.full(SIZE, SECRET, np.uint8)
        for file, data in content.items():
            with open(os.path.join(folder, file), "wb") as out:
                out.write(data)
        before = _state(place)
        with _screen() as shown:
            try:
                code = cli.main(functools.partial(use, folder), flags.FlagValues(), "", ["fuzz"])
            except AssertionError as wrong:
                return f"wrong: {wrong}"
            except Exception as wrong:
                return f"{type(wrong).__name__}: {wrong}"
            lines = shown()
        after = _state(place)
        written = [path for path in after if path.startswith(os.path.join(place, OUTPUT))]
        if {path: after[path] for path in after if path not in written} != before:
            return "the input, or files beside it, changed"
        if code not in (0, 2):
            return f"exit code {code}"
        lines = [line for line in lines if not line.startswith(("warning: ", "notice: "))]
        if code == 0 and lines:
            return f"said without need: {lines}"
        if code == 2 and (len(lines) != 1 or not lines[0].rstrip().endswith((".", "?"))):
            return f"not one sentence: {lines}"
        if code == 2 and written:
            return f"half-written: {written}"
        return None


@contextlib.contextmanager
def _screen():
    """Yields a function that returns the lines written to the screen, by C libraries too."""
    kept = [os.dup(stream) for stream in (1, 2)]
    with tempfile.TemporaryFile() as file, contextlib.redirect_stderr(io.StringIO()) as error:

        def shown():
            file.seek(0)
            text = file.read().decode(errors="replace") + error.getvalue()
            return text.splitlines()

        try:
            for stream in (1, 2):
                os.dup2(file.fileno(), stream)
            yield shown
        finally:
            for stream, copy in zip((1, 2), kept):
                os.dup2(copy, stream)
                os.close(copy)


def _state(place):
    found = {}
    for folder, _, names in os.walk(place):
        for name in names:
            path = os.path.join(folder, name)
            with open(path, "rb") as file:
                found[path] = hashlib.sha256(file.read()).hexdigest()
    return found
