"""Jobs shared by the processes of dask.distributed, on this machine or on a cluster's nodes.

The face is that of `ldr_tf.workers.results`: a function, a list of jobs, results as they come.
Who gets which job is decided here, one job a worker at a time, rather than by the scheduler. So a
worker that dies tells which job it died of; the scheduler would suspect all that waited for it.
"""

import collections
import concurrent.futures
import contextlib
import logging
import os
import uuid

import ldr_tf
from ldr_tf.errors import InputError
from ldr_tf.workers import Crash

_LIVES = 2
"""Workers that a job may cost before it is left."""

_LOST = Crash(f"{_LIVES} workers, one after the other")

_GONE = object()
"""In place of a result that a worker had and took with it when it ended."""

_LOADED = {}
"""Of a worker: the name of a command's call -> what its `load` returned."""

_SECONDS_TO_ANSWER = 20.0
_SECONDS_TO_LOOK = 0.5


class Cluster:
    """A scheduler of dask.distributed and its workers; a context manager.

    A worker does one job at a time and may use as many threads as dask gives it (`--nthreads`), see
    `hold_threads`.
    """

    def __init__(self, workers=None, scheduler=None):
        """Starts processes here, or connects to a cluster that runs.

        Args:
          workers: processes to start, which share this machine's cores; None with a scheduler.
          scheduler: address, such as tcp://HOST:8786; None with workers. What TLS needs for tls://
            is in dask's own configuration.

        Raises:
          InputError: dask is not installed; the scheduler does not answer.
        """
        distributed = _distributed()
        self.address = scheduler
        with contextlib.ExitStack() as opened:
            if scheduler is None:
                # Others on the machine must not reach processes that do what they are told.
                local = distributed.LocalCluster(
                    n_workers=workers,
                    threads_per_worker=max(1, _cores() // workers),
                    security=_certificates(),
                    dashboard_address=None,
                    memory_limit=None,
                    silence_logs=logging.CRITICAL,
                )
                scheduler = opened.enter_context(local)
                self.address = local.scheduler_address
            try:
                self._client = opened.enter_context(
                    distributed.Client(scheduler, timeout=_SECONDS_TO_ANSWER)
                )
            except (OSError, ValueError) as error:
                raise InputError(
                    f"{scheduler}: no scheduler of dask answers there ({_words(error)})."
                ) from error
            self._closing = opened.pop_all()
        self._place = ldr_tf.__version__, os.getcwd()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        logger = logging.getLogger("distributed")
        logger.setLevel(logging.CRITICAL)  # of connections that end while work is going on
        self._closing.close()

    def workers(self):
        """Returns the addresses of the workers that are there; InputError without a scheduler."""
        try:
            return list(self._client.nthreads())
        except OSError as error:
            raise InputError(
                f"{self.address}: the scheduler does not answer any more ({_words(error)}); what "
                "is finished is kept, and the same command goes on."
            ) from error

    def results(self, function, jobs, load=None):
        """Yields (index, result) of each job, as they finish; a `Crash` where two workers
        died of it.

        Args:
          function: of a module that the workers have; what it raises is raised here.
          jobs: list of tuples, its arguments.
          load: a function, too, or None. Each worker calls it once, before its first job, and
            `function` takes what it returns as its first argument.

        Raises:
          InputError: the scheduler is gone; a worker has another version of this package, or does
            not see the folder from which the command was called.
        """
        # Workers keep what they have loaded for one call: later ones may find other files.
        call = uuid.uuid4().hex, load
        waiting = collections.deque(range(len(jobs)))
        running = {}  # address of a worker -> (index of its job, future)
        lives = [_LIVES] * len(jobs)
        try:
            while waiting or running:
                there = self.workers()
                for address in [address for address in running if address not in there]:
                    index, future = running.pop(address)
                    future.cancel()
                    lives[index] -= 1
                    if lives[index]:
                        waiting.append(index)
                    else:
                        yield index, _LOST
                for address in there:
                    if waiting and address not in running:
                        index = waiting.popleft()
                        running[address] = index, self._submit(address, call, function, jobs[index])
                self._wait([future for _, future in running.values()])
                for address, (index, future) in list(running.items()):
                    if future.cancelled():  # by a scheduler that was started anew
                        del running[address]
                        waiting.append(index)
                    elif future.done():
                        result = self._result(future)
                        if result is not _GONE:
                            del running[address]
                            yield index, result
        finally:
            for _, future in running.values():
                with contextlib.suppress(OSError, RuntimeError):
                    future.cancel()

    def _submit(self, address, call, function, job):
        return self._client.submit(
            _work, *self._place, call, function, job, workers=[address], pure=False, retries=0
        )

    def _wait(self, futures):
        distributed = _distributed()
        # A scheduler that goes takes its futures along: they are cancelled.
        gone = concurrent.futures.CancelledError
        with contextlib.suppress(distributed.TimeoutError, OSError, gone):
            distributed.wait(futures, timeout=_SECONDS_TO_LOOK, return_when="FIRST_COMPLETED")

    def _result(self, future):
        try:
            return future.result(timeout=_SECONDS_TO_ANSWER)
        except _distributed().TimeoutError:
            if future.status == "error":  # it is the job's own
                raise
            return _GONE
        except concurrent.futures.CancelledError:
            return _GONE
        except _distributed().KilledWorker:  # workers that come back under the same address
            return _LOST
        except (ImportError, RuntimeError) as error:
            # As dask has it where a worker cannot even read the job.
            lacking = error if isinstance(error, ImportError) else error.__cause__
            if not isinstance(lacking, ImportError):
                raise
            raise InputError(
                f"{self.address}: a worker lacks what this command has ({_words(lacking)})."
            ) from error


def hold_threads():
    """Keeps the libraries of this process to the threads that dask gives its worker.

    To be called on a worker, before TensorFlow has computed anything; later calls change nothing.
    """
    import SimpleITK as sitk
    import tensorflow as tf

    threads = _distributed().get_worker().state.nthreads
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)
    with contextlib.suppress(RuntimeError):  # it has computed: with these very numbers
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)


def _work(version, folder, call, function, job):
    """Does a job on a worker, if that has the command's version and sees its working folder."""
    who = f"worker {_distributed().get_worker().address}"
    if ldr_tf.__version__ != version:
        raise InputError(
            f"{who}: has ldr_tf {ldr_tf.__version__}, the command {version}; they must be the same."
        )
    try:
        os.chdir(folder)  # paths are as the command has them
    except OSError as error:
        raise InputError(
            f"{who}: does not see {folder}, from which the command was called ({error.strerror}); "
            "both need the same file system."
        ) from error
    return function(*_loaded(*call), *job)


def _loaded(name, load):
    """Returns, as a tuple, what `load` once returned for the call of that name; () without it."""
    if load is None:
        return ()
    if name not in _LOADED:
        _LOADED.clear()
        _LOADED[name] = load()
    return (_LOADED[name],)


def _certificates():
    """Returns a new Security, for processes of this command alone."""
    with _extra():
        return _distributed().Security.temporary()


def _distributed():
    with _extra():
        import distributed
    return distributed


@contextlib.contextmanager
def _extra():
    try:
        yield
    except ImportError as error:
        raise InputError(
            f"several workers need packages that are not installed ({_words(error)}): pip install "
            '"ldr_tf[cluster]".'
        ) from error


def _cores():
    from dask.system import CPU_COUNT  # of the container or the job, where that has fewer

    return CPU_COUNT


def _words(error):
    return " ".join(str(error).split()) or type(error).__name__
