"""Jobs on dask's workers: each once, in any order; a worker that dies costs a repetition."""

import functools
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from ldr_tf.cluster import Cluster
from ldr_tf.errors import InputError
from ldr_tf.workers import Crash

distributed = pytest.importorskip("distributed")
pytestmark = pytest.mark.slow


def job(what, place):
    if what == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "die once":
        try:
            place.touch(exist_ok=False)
        except FileExistsError:
            return os.getcwd()
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "refuse":
        raise InputError("a.nii: is no scan.")
    return what


@pytest.fixture(scope="module")
def cluster():
    with Cluster(workers=2) as opened:
        yield opened


def test_a_worker_that_dies_costs_a_repetition_and_a_job_that_kills_is_left(cluster, tmp_path):
    jobs = [(0, None), ("die", None), ("die once", tmp_path / "mark"), *[(n, None) for n in "abc"]]
    found = dict(cluster.results(job, jobs))
    assert found.pop(1) == Crash("2 workers, one after the other")
    assert found == {0: 0, 2: os.getcwd(), 3: "a", 4: "b", 5: "c"}
    with pytest.raises(InputError, match=r"a\.nii: is no scan"):
        list(cluster.results(job, [("refuse", None)]))


def load(record):
    with open(record, "a") as file:
        file.write(f"{os.getpid()}\n")
    return os.getpid()


def loaded_here(loaded, number):
    time.sleep(0.1)
    return loaded == os.getpid()


def test_what_jobs_need_is_loaded_once_a_worker_and_call(cluster, tmp_path):
    jobs = [(number,) for number in range(6)]
    for call in ("first", "second"):
        record = tmp_path / call
        found = dict(cluster.results(loaded_here, jobs, functools.partial(load, record)))
        assert found == dict.fromkeys(range(6), True)
        told = record.read_text().split()  # of one worker where the other is not back yet
        assert len(told) == len(set(told))


class Future:
    """A job that is done; without a result, its worker took that along."""

    status = "finished"

    def __init__(self, result=None, cancelled=False):
        self._result, self._cancelled = result, cancelled

    def done(self):
        return True

    def cancelled(self):
        return self._cancelled

    def cancel(self):
        pass

    def result(self, timeout):
        if self._result is None:
            raise distributed.TimeoutError
        return self._result


@pytest.mark.parametrize(
    "there, first, asked",
    [
        (["a", "b", "b"], Future(), ["a", "b"]),  # it ended with the result in its hands
        (["a", "a"], Future(cancelled=True), ["a", "a"]),  # the scheduler was started anew
    ],
)
def test_a_result_that_was_lost_costs_a_repetition(monkeypatch, there, first, asked):
    looks, futures, submitted = iter(there), iter([first, Future("x")]), []
    cluster = Cluster.__new__(Cluster)
    monkeypatch.setattr(cluster, "workers", lambda: [next(looks)], raising=False)
    monkeypatch.setattr(cluster, "_wait", lambda futures: None, raising=False)

    def submit(address, *_):
        submitted.append(address)
        return next(futures)

    monkeypatch.setattr(cluster, "_submit", submit, raising=False)
    assert list(cluster.results(job, [("x", None)])) == [(0, "x")]
    assert submitted == asked


def test_a_scheduler_that_goes_takes_its_futures_along(monkeypatch):
    """As it came once: the wait ended before anybody asked for the workers."""
    gone = distributed.client.FuturesCancelledError([])
    waits, submitted, futures = [gone, None], [], iter([Future(cancelled=True), Future("x")])
    cluster = Cluster.__new__(Cluster)
    cluster._place = None
    monkeypatch.setattr(cluster, "workers", lambda: ["a"], raising=False)

    def wait(*_, **__):
        error = waits.pop(0)
        if error is not None:
            raise error

    def submit(address, *_):
        submitted.append(address)
        return next(futures)

    monkeypatch.setattr(distributed, "wait", wait)
    monkeypatch.setattr(cluster, "_submit", submit, raising=False)
    assert list(cluster.results(job, [("x", None)])) == [(0, "x")]
    assert submitted == ["a", "a"] and not waits


def test_a_worker_of_another_kind_is_refused(cluster, tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "_place", ("0.0", os.getcwd()))
    with pytest.raises(InputError, match=r"worker tls://.*, the command 0\.0; they must be"):
        list(cluster.results(job, [(1, None)]))
    monkeypatch.undo()
    monkeypatch.setattr(cluster, "_place", (cluster._place[0], str(tmp_path / "gone")))
    with pytest.raises(InputError, match=r"does not see .*gone, .*\(No such file or directory\)"):
        list(cluster.results(job, [(1, None)]))


def test_a_scheduler_elsewhere_and_its_end(tmp_path, monkeypatch):
    """A cluster that runs is used and left as it was; once it is gone, a sentence says so."""
    monkeypatch.setattr("ldr_tf.cluster._SECONDS_TO_ANSWER", 2.0)
    folder, script = tmp_path / "scheduler.json", "import dask.__main__ as d; d.main()"
    here = {"cwd": pathlib.Path(__file__).parent, "stderr": subprocess.DEVNULL}
    words = ["--interface=lo", "--port=0", "--no-dashboard", f"--scheduler-file={folder}"]
    scheduler = subprocess.Popen([sys.executable, "-c", script, "scheduler", *words], **here)
    words = ["--nthreads=1", "--no-dashboard", f"--scheduler-file={folder}"]
    worker = subprocess.Popen([sys.executable, "-c", script, "worker", *words], **here)
    try:
        while not folder.exists():
            time.sleep(0.1)
        address = json.loads(folder.read_text())["address"]
        for _ in range(2):
            with Cluster(scheduler=address) as cluster:
                while not cluster.workers():
                    time.sleep(0.1)
                assert list(cluster.results(int, [("7",)])) == [(0, 7)]
        with Cluster(scheduler=address) as cluster:
            running = cluster.results(int, [("7",), ("8",)])
            next(running)
            scheduler.kill()
            with pytest.raises(InputError, match="does not answer any more"):
                list(running)
    finally:
        for process in (worker, scheduler):
            process.kill()
            process.wait()
    with pytest.raises(InputError, match="no scheduler of dask answers there"):
        Cluster(scheduler="tcp://127.0.0.1:1")


@pytest.mark.parametrize("package", ["distributed", "cryptography"])
def test_without_its_packages_one_sentence(monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InputError, match=r"pip install \"ldr_tf\[cluster\]\""):
        Cluster(workers=2)
