"""The work itself: every method on every pair, recorded, resumed, measured in parallel.

A handful of pairs is registered one after the other, with nothing else running, so that the times
are right; then all of them are measured at once, one thread each.
"""

import concurrent.futures
import os

import ldr_tf
from experiments.evaluation.fingerprints import fingerprint
from experiments.progress import Progress
from ldr_tf.errors import InputError
from ldr_tf.evaluation import FIGURES, Measures, measure

_VERSION = 1
"""Of the figures: to be raised when one changes its meaning, so that old rows are not reused."""

_PAIRS_A_THREAD = 2


class Runner:
    """Evaluates methods on pairs and keeps the record."""

    def __init__(self, cases, journal, originals=False, workers=None):
        """Takes what all methods share.

        Args:
          cases: `cases.DatasetCases` or `cases.FileCases`.
          journal: a Journal.
          originals: see `ldr_tf.evaluation.Measures`.
          workers: threads that measure; None: one per core.
        """
        self._cases, self._journal = cases, journal
        self._measures = Measures(originals=originals, surfaces=True, histogram=True)
        self._workers = workers or os.cpu_count() or 1
        self.failures = {}
        """Why pairs failed: {(method, or None for all of them, fixed, moving): sentence}."""

    def run(self, methods, indices):
        """Does what the record lacks, showing progress; returns `collect`'s rows."""
        done = sum(row is not None for method in methods for row in self._found(method, indices))
        step = self._workers * _PAIRS_A_THREAD
        pool = concurrent.futures.ThreadPoolExecutor(self._workers)
        with pool, Progress(len(methods) * len(indices), "pair", done) as progress:
            for method in methods:
                found = self._found(method, indices)
                missing = [index for index, row in zip(indices, found) if row is None]
                for start in range(0, len(missing), step):
                    self._advance(method, missing[start : start + step], pool, progress)
        return self.collect(methods, indices)

    def collect(self, methods, indices):
        """Returns the recorded rows of methods and pairs, in that order, those there are."""
        rows = [row for method in methods for row in self._found(method, indices)]
        return [row for row in rows if row is not None]

    def missing(self, methods, indices):
        """Lists (method, fixed, moving) of what was never tried; takes over what has failed."""
        found = []
        for method in methods:
            for index, row in zip(indices, self._found(method, indices)):
                name = (method.name, *self._cases.ids[index])
                sentence = self._journal.failure(*name, self._key(method, index))
                if row is None and sentence is None:
                    found.append(name)
                elif row is None:
                    self.failures[name] = sentence
        return found

    def _found(self, method, indices):
        ids, key = self._cases.ids, self._key
        return [self._journal.find(method.name, *ids[i], key(method, i)) for i in indices]

    def _key(self, method, index):
        state = self._cases.state(index)
        names = [figure.name for figure in FIGURES]
        code = [_VERSION, ldr_tf.__version__, names]
        return fingerprint(*code, method.state(), state, self._measures.originals)

    def _advance(self, method, indices, pool, progress):
        registered = []
        for index in indices:
            case, outcome = self._register(method, index, progress)
            if outcome is not None:
                registered.append((index, case, outcome))
        measured = pool.map(lambda item: self._measure(*item[1:]), registered)
        for (index, _, outcome), row in zip(registered, measured):
            self._journal.add(self._row(method, index, outcome, row))
            progress.advance(method.name)

    def _register(self, method, index, progress):
        ids, who = self._cases.ids[index], None
        sentence = self.failures.get((None, *ids))
        if sentence is None:
            try:
                case = self._cases.load(index)
                who = method.name
                return case, method(case)
            except (InputError, RuntimeError, ArithmeticError) as error:
                reason = str(error) if isinstance(error, InputError) else _unexpected(error)
                place = f"pair {ids[0]}, {ids[1]}" + (f", {who}" if who else "")
                self.failures[(who, *ids)] = sentence = f"{place}: {reason}"
                progress.write(sentence)
        self._journal.add_failure(method.name, *ids, self._key(method, index), sentence)
        progress.advance(method.name)
        return None, None

    def _measure(self, case, outcome):
        row = measure(
            case.pair,
            outcome.flow,
            outcome.warped,
            self._cases.label_values,
            self._measures,
            outcome.warped_labels,
        )
        return {**row, "warnings": list(case.warnings)}

    def _row(self, method, index, outcome, row):
        return {
            "method": method.name,
            "parameters": method.parameters,
            **row,
            "seconds": outcome.seconds,
            "cpu_seconds": outcome.cpu_seconds,
            "peak_memory_mb": outcome.peak_memory_mb,
            "key": self._key(method, index),
        }


def _unexpected(error):
    line = (str(error).strip().splitlines() or ["no reason given"])[0]
    return f"{type(error).__name__}: {line}"
