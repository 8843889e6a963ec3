"""Figures of many pairs: mean and spread, and how certain a difference between methods is."""

import typing

import numpy as np
import scipy  # its `stats` is loaded at first use: a mean need not wait for it

CONFIDENCE = 0.95
"""Of every interval here."""

_RESAMPLES = 9999
_AT_ONCE = 1_000_000  # values of as many resamples as are drawn together: some megabytes
_SEED = 0


class Comparison(typing.NamedTuple):
    """Attributes:
    count: pairs on which both methods have the figure.
    difference: mean of second - first over them; NaN without any.
    low, high: its bootstrap confidence interval; NaN below two pairs.
    p: of Wilcoxon's signed-rank test, two-sided; NaN without any.
    """

    count: int
    difference: float
    low: float
    high: float
    p: float


def mean_and_std(values):
    """Returns {"mean", "std" (population), "count"} of the values that are not NaN."""
    values = np.asarray(values, np.float64)
    values = values[~np.isnan(values)]
    if not values.size:
        return {"mean": np.nan, "std": np.nan, "count": 0}
    return {"mean": float(values.mean()), "std": float(values.std()), "count": int(values.size)}


def compare(first, second):
    """Compares two methods on the same pairs.

    The interval is that of the bootstrap's percentiles over pairs (Efron 1979), with a fixed seed;
    the test is Wilcoxon's of 1945, exact for few pairs without ties. Both take pairs for
    independent, which pairs that share a scan are not quite.

    Args:
      first, second: [n], a figure of each pair, NaN where it is missing.

    Returns:
      a Comparison.

    Raises:
      ValueError: the lengths differ.
    """
    first, second = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if first.shape != second.shape:
        raise ValueError(f"both methods need the same pairs, not {first.size} and {second.size}.")
    differences = second - first
    differences = differences[~np.isnan(differences)]
    if not differences.size:
        return Comparison(0, np.nan, np.nan, np.nan, np.nan)
    low, high = _interval(differences)
    # Wilcoxon's own way with pairs that do not differ: they are dropped.
    unequal = differences[differences != 0]
    p = float(scipy.stats.wilcoxon(unequal).pvalue) if unequal.size else 1.0
    return Comparison(differences.size, float(differences.mean()), low, high, p)


def holm(p_values):
    """Returns p-values corrected for many tests by Holm's step-down method (1979), NaN kept."""
    p_values = np.asarray(p_values, np.float64)
    corrected = np.full(p_values.shape, np.nan)
    known = np.flatnonzero(~np.isnan(p_values))
    order = known[np.argsort(p_values[known], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(p_values[order] * factors), 1.0)
    return corrected


def _interval(differences):
    if differences.size < 2:
        return np.nan, np.nan
    found = scipy.stats.bootstrap(
        (differences,),
        np.mean,
        n_resamples=_RESAMPLES,
        batch=max(1, _AT_ONCE // differences.size),
        confidence_level=CONFIDENCE,
        method="percentile",
        random_state=np.random.default_rng(_SEED),
    ).confidence_interval
    return float(found.low), float(found.high)
