"""The record of finished work, from which a killed call goes on: a line of JSON for each row.

A row is used again only where its key, a fingerprint of data, weights and settings, is the same.
"""

import contextlib
import json
import os

from ldr_tf.errors import InputError
from ldr_tf.files import only_writer, open_regular
from ldr_tf.json_text import parse_json

_NAME = "journal.jsonl"
_LOCK = ".journal.lock"
_FAILED = "failed"
"""Of rows of earlier versions, which recorded failures too."""


class Journal:
    """The rows of one evaluation; a context manager.

    Inside, no other process has the journal of that folder.
    """

    def __init__(self, folder):
        """Reads what is there; a line that was cut off by a kill is dropped.

        Args:
          folder: the evaluation's output; made when entered, deleted again where it stays empty.
        """
        self._folder = folder
        self._path = os.path.join(folder, _NAME)
        self._rows, self._whole = _read(self._path)
        self._file = None
        self._held = contextlib.ExitStack()

    def __enter__(self):
        """Takes the journal; InputError where another process has it."""
        with contextlib.ExitStack() as held:
            if not os.path.isdir(self._folder):
                os.makedirs(self._folder)
                held.callback(self._delete_empty)
            held.enter_context(only_writer(self._folder, _LOCK))
            self._rows, self._whole = _read(self._path)  # as its last holder left it
            self._held = held.pop_all()
        return self

    def __exit__(self, *_):
        with self._held:
            if self._file is not None:
                self._file.close()

    def _delete_empty(self):
        with contextlib.suppress(OSError):  # it is not empty
            os.rmdir(self._folder)

    def find(self, method, fixed, moving, key):
        """Returns the row of a method and a pair, or None where there is none of that key."""
        return self._rows.get((method, fixed, moving, key))

    def add(self, row):
        """Records a row (with "method", "fixed", "moving", "key"), on disk when this returns."""
        if self._file is None:
            os.makedirs(os.path.dirname(self._path), exist_ok=True)
            self._file = open(self._path, "ab")  # noqa: SIM115 (closed by __exit__)
            self._file.truncate(self._whole)
        self._file.write((json.dumps(row) + "\n").encode())
        self._file.flush()
        os.fsync(self._file.fileno())
        self._rows[_name(row)] = row


def _name(row):
    return row["method"], row["fixed"], row["moving"], row["key"]


def _read(path):
    """Returns the rows by name and the length in bytes of the lines that are whole.

    A line that is none of ours is passed over; one without an end was cut off by a kill.
    """
    rows, whole = {}, 0
    with contextlib.suppress(FileNotFoundError), open_regular(path) as file:
        for line in file:
            if not line.endswith(b"\n"):
                break
            whole += len(line)
            with contextlib.suppress(InputError, KeyError, TypeError):
                row = parse_json(line, path, nan=True)
                if _FAILED not in row:
                    rows[_name(row)] = row
    return rows, whole
