"""Which differences between methods are unlikely to be chance."""

import itertools
import math

from experiments.evaluation.tables import by_method
from ldr_tf.evaluation.figures import TESTS, figures_for
from ldr_tf.metrics.statistics import compare, holm


def compare_methods(rows):
    """Compares every two methods, pair by pair.

    Returns:
      list of dicts: figure, first, second, then the fields of `ldr_tf.metrics.statistics.compare`
      (difference is second - first), and p_holm, corrected for all comparisons of that figure. A
      figure that two methods share on no pair is left out.
    """
    tables = {
        name: {(row["fixed"], row["moving"]): row for row in group}
        for name, group in by_method(rows).items()
    }
    found = []
    for figure in [figure.name for figure in figures_for(TESTS)]:
        lines = []
        for first, second in itertools.combinations(tables, 2):
            pairs = [pair for pair in tables[first] if pair in tables[second]]
            values = [
                [tables[name][pair].get(figure, math.nan) for pair in pairs]
                for name in (first, second)
            ]
            result = compare(*values)
            if result.count:
                names = {"figure": figure, "first": first, "second": second}
                lines.append({**names, **result._asdict()})
        for line, p in zip(lines, holm([line["p"] for line in lines])):
            found.append({**line, "p_holm": float(p)})
    return found
