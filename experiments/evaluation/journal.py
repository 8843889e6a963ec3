"""The record of finished work, from which a killed call goes on: a line of JSON for each row.

A row is used again only where its key, a fingerprint of data, weights and settings, is the same.
"""

import json
import os

from ldr_tf.errors import InputError

_FIRST, _LAST = "journal", ".jsonl"
_FAILED = "failed"


class Journal:
    """The rows of one evaluation, or of one shard of it."""

    def __init__(self, folder, shard=None):
        """Reads what is there; a line that was cut off by a kill is dropped.

        Args:
          folder: the evaluation's output, made with the first row.
          shard: (number, count) or None.
        """
        self._path = os.path.join(folder, _FIRST + _shard_name(shard) + _LAST)
        self._rows, self._whole = _read(self._path)
        self._file = None  # opened with the first row: a refused call makes no folder

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._file is not None:
            self._file.close()

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
    """Returns the rows by name and the length in bytes of the lines that are whole."""
    rows, whole = {}, 0
    try:
        with open(path, "rb") as file:
            for line in file:
                try:
                    row = json.loads(line) if line.endswith(b"\n") else None
                    rows[_name(row)] = row
                except (ValueError, KeyError, TypeError):
                    break
                whole += len(line)
    except FileNotFoundError:
        pass
    return rows, whole
