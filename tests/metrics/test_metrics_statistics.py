"""Statistics over pairs: normal theory, tables of Wilcoxon's test, numbers by hand."""

import numpy as np
import pytest
from scipy import stats

from ldr_tf.metrics.endpoint import endpoint_error
from ldr_tf.metrics.similarity import correlation
from ldr_tf.metrics.statistics import compare, holm, mean_and_std


def test_mean_and_spread_leave_nan_out():
    assert mean_and_std([1, np.nan, 3]) == {"mean": 2, "std": 1, "count": 2}
    empty = mean_and_std([np.nan])
    assert empty["count"] == 0 and np.isnan(empty["mean"])


def test_the_second_better_on_every_pair():
    first = np.array([0.5, 0.6, 0.55, 0.4, 0.7, np.nan])
    second = first + np.array([0.1, 0.12, 0.08, 0.15, 0.05, 0.1])
    result = compare(first, second)
    assert result.count == 5
    assert result.difference == pytest.approx(0.1)
    assert 0.05 < result.low < 0.1 < result.high < 0.15
    assert result.p == pytest.approx(2 / 2**5)  # all five signs alike, two-sided


@pytest.mark.parametrize("count", [40, 3000])
def test_interval_is_that_of_normal_theory_and_the_same_every_time(count):
    first, second = np.random.default_rng(4).normal(size=(2, count))
    result = compare(first, second)
    differences = second - first
    # The mean of many independent differences is nearly normal: 1.96 standard errors each way.
    reach = 1.96 * differences.std() / np.sqrt(count)
    assert result.low == pytest.approx(differences.mean() - reach, abs=0.1 * reach)
    assert result.high == pytest.approx(differences.mean() + reach, abs=0.1 * reach)
    assert compare(first, second) == result


def test_few_and_equal_pairs():
    assert compare([0.5, 0.5], [0.5, 0.5]) == (2, 0, 0, 0, 1)
    one = compare([0.5], [0.7])
    assert one.difference == pytest.approx(0.2) and np.isnan(one.low) and one.p == 1
    nothing = compare([np.nan], [1.0])
    assert nothing.count == 0 and np.isnan(nothing.p)
    with pytest.raises(ValueError, match="same pairs"):
        compare([1, 2], [1])


def test_holm_by_hand():
    # Sorted 0.01, 0.02, 0.04 times 3, 2, 1, never falling: 0.03, 0.04, 0.04.
    np.testing.assert_allclose(holm([0.04, 0.01, np.nan, 0.02]), [0.04, 0.03, np.nan, 0.04])
    np.testing.assert_allclose(holm([0.9, 0.8]), [1, 1])


def test_endpoint_error_in_mm():
    truth = np.zeros((4, 4, 4, 3))
    flow = np.broadcast_to([3.0, 0.0, 2.0], truth.shape)
    assert endpoint_error(flow, truth, (1, 1, 2)) == pytest.approx(5)
    truth[:2] = np.nan  # unknown there
    truth[2:] = [3, 0, 0]
    assert endpoint_error(flow, truth, (1, 1, 2)) == pytest.approx(4)
    assert np.isnan(endpoint_error(flow, np.full(truth.shape, np.nan)))
    with pytest.raises(ValueError, match="one shape"):
        endpoint_error(flow, truth[:2])


def test_correlation_is_pearsons():
    rng = np.random.default_rng(2)
    first, second = rng.normal(size=(2, 6, 7, 8))
    expected = stats.pearsonr(first.ravel(), second.ravel())[0]
    assert correlation(first, second) == pytest.approx(expected)
    assert correlation(first, 5 - 2 * first) == pytest.approx(-1)
    assert np.isnan(correlation(first, np.ones(first.shape)))
