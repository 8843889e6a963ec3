"""One pair and one method: registered and measured, here or on a cluster's worker."""

import contextlib
import dataclasses
from typing import Optional

from ldr_tf.cluster import hold_threads
from ldr_tf.errors import InputError
from ldr_tf.evaluation import Measures, measure


@dataclasses.dataclass(frozen=True)
class Failure:
    """Why a method has no row for a pair.

    Attributes:
      method: its name; None where the pair could not be read, for whatever method.
      sentence: names the pair, and the method where there is one.
    """

    method: Optional[str]
    sentence: str


class Bench:
    """The pairs of an evaluation and what is measured of them."""

    def __init__(self, cases, originals=False):
        """Takes the pairs.

        Args:
          cases: `cases.DatasetCases` or `cases.FileCases`.
          originals: see `ldr_tf.evaluation.Measures`.
        """
        self.cases = cases
        self.measures = Measures(originals=originals, surfaces=True, histogram=True)

    def register(self, method, index):
        """Returns the Case at `index` and the method's Outcome; or None and a Failure."""
        ids, who = self.cases.ids[index], None
        try:
            case = self.cases.load(index)
            who = method.name
            return case, method(case)
        except (InputError, RuntimeError, ArithmeticError) as error:
            reason = str(error) if isinstance(error, InputError) else _unexpected(error)
            place = f"pair {ids[0]}, {ids[1]}" + (f", {who}" if who else "")
            return None, Failure(who, f"{place}: {reason}")

    def measure(self, method, case, outcome):
        """Returns the row of a method and a pair, without its key."""
        row = measure(
            case.pair,
            outcome.flow,
            outcome.warped,
            self.cases.label_values,
            self.measures,
            outcome.warped_labels,
        )
        return {
            "method": method.name,
            "parameters": method.parameters,
            **row,
            "warnings": list(case.warnings),
            "seconds": outcome.seconds,
            "cpu_seconds": outcome.cpu_seconds,
            "peak_memory_mb": outcome.peak_memory_mb,
        }


def load_on_worker(plan):
    """Returns what `on_worker` takes first: a Plan and its methods by their names."""
    hold_threads()
    return plan, {method.name: method for method in plan.methods()}


def on_worker(loaded, index, names):
    """Does a pair on a cluster's worker.

    Args:
      loaded: of `load_on_worker`.
      index: of the pair.
      names: of the methods.

    Returns:
      A row or a Failure for each method.
    """
    (plan, methods), found = loaded, []
    with contextlib.closing(plan.cases()) as cases:
        bench = Bench(cases, plan.originals)
        for name in names:
            case, outcome = bench.register(methods[name], index)
            failed = isinstance(outcome, Failure)
            found.append(outcome if failed else bench.measure(methods[name], case, outcome))
    return found


def _unexpected(error):
    line = (str(error).strip().splitlines() or ["no reason given"])[0]
    return f"{type(error).__name__}: {line}"
