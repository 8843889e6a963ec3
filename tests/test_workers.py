"""Processes that do jobs, and what becomes of a job that ends its process."""

import os
import pathlib
import signal
import time

import pytest

from ldr_tf.errors import InputError
from ldr_tf.files import atomic_path
from ldr_tf.workers import Crash, Worker


def job(what):
    if what == "abort":
        os.abort()
    if what == "exit":
        os._exit(7)
    if what == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "refuse":
        raise InputError("a.nii: is no scan.")
    if isinstance(what, pathlib.Path):
        with atomic_path(what) as temporary:
            pathlib.Path(temporary).write_text("half")
            time.sleep(60)
    os.write(2, b"a library's line\n")
    return os.getpid(), what


def test_a_worker_is_one_process_until_a_job_ends_it(capfd):
    with Worker(job) as worker:
        first, answer = worker("a")
        assert answer == "a" and first != os.getpid() and worker("b") == (first, "b")
        with pytest.raises(InputError, match="is no scan"):
            worker("refuse")
        assert worker("c")[0] == first
        for what, reason in (("abort", "SIGABRT"), ("exit", "exit code 7"), ("killed", "SIGKILL")):
            crash = worker(what)
            assert isinstance(crash, Crash) and crash.reason == reason
            second, answer = worker("d")
            assert answer == "d" and second != first
            first = second
    with pytest.raises(ProcessLookupError):
        os.kill(first, 0)
    assert capfd.readouterr() == ("", "")


def test_a_worker_that_is_stopped_leaves_nothing_half_written(tmp_path):
    with Worker(job) as worker:
        worker._end.send((tmp_path / "whole",))  # and does not wait for the answer
        while not list(tmp_path.glob(".writing-*/whole")):
            time.sleep(0.01)
    assert list(tmp_path.iterdir()) == []


def test_a_worker_that_misses_a_signal_is_reminded(tmp_path):
    with Worker(stubborn) as worker:
        worker._end.send((tmp_path / "seen",))
        while not (tmp_path / "seen").exists():
            time.sleep(0.01)
    assert (tmp_path / "seen").read_text() == "left"  # it was not killed


def stubborn(path):
    """Loses the first SIGTERM, as it may be lost just before a process begins to wait."""
    leave = signal.signal(signal.SIGTERM, lambda *_: signal.signal(signal.SIGTERM, leave))
    path.touch()
    try:
        while True:
            time.sleep(60)
    finally:
        path.write_text("left")
