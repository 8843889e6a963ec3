"""Tells whether a recorded row is still that of the same data, weights and settings."""

import hashlib
import json
import os


def file_state(path):
    """Returns path, size and time of change of a file or folder; what is missing has none."""
    path = os.path.abspath(path)
    try:
        found = os.stat(path)
    except OSError:
        return [path]
    return [path, found.st_size, found.st_mtime_ns]


def fingerprint(*states):
    """Returns a short word that differs where anything in `states` (JSON values) differs."""
    text = json.dumps(states, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
