"""The work itself: every method on every pair, recorded, resumed, measured in parallel.

Alone, a handful of pairs is registered one after the other, with nothing else running, so that the
times are right; then all of them are measured at once, one thread each. On a cluster a pair is a
job, with all its methods.
"""

import concurrent.futures
import functools
import os

import ldr_tf
from experiments.evaluation.fingerprints import fingerprint
from experiments.evaluation.work import Failure, load_on_worker, on_worker
from experiments.progress import Progress
from ldr_tf.evaluation import FIGURES
from ldr_tf.workers import Crash

_VERSION = 1
"""Of the figures: to be raised when one changes its meaning, so that old rows are not reused."""

_PAIRS_A_THREAD = 2


class Runner:
    """Evaluates methods on pairs and keeps the record."""

    def __init__(self, bench, journal):
        """Takes a Bench and a Journal."""
        self._bench, self._cases, self._journal = bench, bench.cases, journal
        self.failures = {}
        """Why pairs failed: {(method, or None for all of them, fixed, moving): sentence}."""

    def run(self, methods, indices, threads=None):
        """Does here what the record lacks, showing progress.

        Args:
          methods, indices: what is registered.
          threads: that measure; None: one per core.

        Returns:
          The rows of methods and pairs, in that order, those there are.
        """
        threads = threads or os.cpu_count() or 1
        step = threads * _PAIRS_A_THREAD
        pool = concurrent.futures.ThreadPoolExecutor(threads)
        with pool, self._progress(methods, indices) as progress:
            for method in methods:
                missing = self._missing(method, indices)
                for start in range(0, len(missing), step):
                    self._advance(method, missing[start : start + step], pool, progress)
        return self._collected(methods, indices)

    def run_on(self, cluster, plan, methods, indices):
        """Does the same on the workers of a `ldr_tf.cluster.Cluster`, as `plan` says."""
        wanted = {}  # index -> methods
        for method in methods:
            for index in self._missing(method, indices):
                wanted.setdefault(index, []).append(method)
        places = list(wanted)
        jobs = [(index, [method.name for method in wanted[index]]) for index in places]
        load = functools.partial(load_on_worker, plan)
        with self._progress(methods, indices) as progress:
            for place, found in cluster.results(on_worker, jobs, load):
                index = places[place]
                if isinstance(found, Crash):
                    names = "pair {}, {}".format(*self._cases.ids[index])
                    failure = Failure(None, f"{names}: ended its process: {found.reason}.")
                    found = [failure] * len(wanted[index])
                for method, row in zip(wanted[index], found):
                    self._record(method, index, row, progress)
        return self._collected(methods, indices)

    def _progress(self, methods, indices):
        total = len(methods) * len(indices)
        done = total - sum(len(self._missing(method, indices)) for method in methods)
        return Progress(total, "pair", done)

    def _collected(self, methods, indices):
        rows = [row for method in methods for row in self._found(method, indices)]
        return [row for row in rows if row is not None]

    def _missing(self, method, indices):
        found = self._found(method, indices)
        return [index for index, row in zip(indices, found) if row is None]

    def _found(self, method, indices):
        ids, key = self._cases.ids, self._key
        return [self._journal.find(method.name, *ids[i], key(method, i)) for i in indices]

    def _key(self, method, index):
        state = self._cases.state(index)
        names = [figure.name for figure in FIGURES]
        code = [_VERSION, ldr_tf.__version__, names]
        return fingerprint(*code, method.state(), state, self._bench.measures.originals)

    def _advance(self, method, indices, pool, progress):
        registered = []
        for index in indices:
            sentence = self.failures.get((None, *self._cases.ids[index]))
            if sentence is not None:  # it cannot be read
                self._record(method, index, Failure(None, sentence), progress)
                continue
            case, outcome = self._bench.register(method, index)
            if isinstance(outcome, Failure):
                self._record(method, index, outcome, progress)
            else:
                registered.append((index, case, outcome))
        measured = pool.map(lambda item: self._bench.measure(method, *item[1:]), registered)
        for (index, _, _), row in zip(registered, measured):
            self._record(method, index, row, progress)

    def _record(self, method, index, found, progress):
        """Records a row or a Failure; the latter is shown and tried again by a later call."""
        ids, key = self._cases.ids[index], self._key(method, index)
        if isinstance(found, Failure):
            if (found.method, *ids) not in self.failures:
                self.failures[(found.method, *ids)] = found.sentence
                progress.write(found.sentence)
        else:
            self._journal.add({**found, "key": key})
        progress.advance(method.name)
