"""The record of finished work, from which a killed call goes on: a line of JSON for each row.

A row is used again only where its key, a fingerprint of data, weights and settings, is the same.
"""

import contextlib
import json
import os

from ldr_tf.errors import InputError
from ldr_tf.files import only_writer, open_regular
from ldr_tf.json_text import parse_json

_FIRST, _LAST = "journal", ".jsonl"
_FAILED = "failed"


class Journal:
    """The rows of one evaluation, or of one shard of it; a context manager.

    Inside, no other process has the journal of that folder and shard.
    """

    def __init__(self, folder, shard=None):
        """Reads what is there; a line that was cut off by a kill is dropped.

        Args:
          folder: the evaluation's output; made when entered, deleted again where it stays empty.
          shard: (number, count) or None.
        """
        self._folder = folder
        self._path = os.path.join(folder, _FIRST + _shard_name(shard) + _LAST)
        self._lock = f".{_FIRST}{_shard_name(shard)}.lock"
        self._rows, self._whole = _read(self._path)
        self._file = None
        self._held = contextlib.ExitStack()

    def __enter__(self):
        """Takes the journal; InputError where another process has it."""
        with contextlib.ExitStack() as held:
            if not os.path.isdir(self._folder):
                os.makedirs(self._folder)
                held.callback(self._delete_empty)
            held.enter_context(only_writer(self._folder, self._lock))
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
        row = self._rows.get((method, fixed, moving, key))
        return None if row is None or _FAILED in row else row

    def failure(self, method, fixed, moving, key):
        """Returns why a method failed on a pair when it was last tried, or None."""
        return self._rows.get((method, fixed, moving, key), {}).get(_FAILED)

    def add_failure(self, method, fixed, moving, key, sentence):
        """Records that a method failed on a pair; a later call tries again."""
        names = {"method": method, "fixed": fixed, "moving": moving, "key": key}
        self.add({**names, _FAILED: sentence})

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

    def add_all_shards(self, folder):
        """Takes over the rows of all shards in `folder`; InputError where there is none."""
        there = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
        names = [name for name in there if name.startswith(_FIRST + "-")]
        if not names:
            raise InputError(
                f"{folder}: holds no shards; --shard=1/n, 2/n ... come before --merge."
            )
        for file in names:
            rows, _ = _read(os.path.join(folder, file))
            for name, row in rows.items():
                if self.find(*name) is None:
                    self.add(row)


def _shard_name(shard):
    return "" if shard is None else "-{}of{}".format(*shard)


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
                rows[_name(row)] = row
    return rows, whole
