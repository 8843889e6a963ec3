"""Mean, deviation and correlation of numbers that come piece by piece.

Source: Chan, Golub, LeVeque, "Updating formulae and a pairwise algorithm for computing sample
variances", COMPSTAT 1982.
"""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Moments:
    """Count, mean, and sum of squared differences from it, of numbers.

    Two of them added are those of the numbers of both.
    """

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0

    @classmethod
    def of(cls, array):
        """Returns the Moments of an array of any shape."""
        if not array.size:
            return cls()
        mean = float(np.mean(array, dtype=np.float64))
        return cls(array.size, mean, float(np.var(array, dtype=np.float64)) * array.size)

    def __add__(self, other):
        count = self.count + other.count
        if not count:
            return self
        step = other.mean - self.mean
        share = other.count / count
        return Moments(
            count,
            self.mean + step * share,
            self.squares + other.squares + step**2 * self.count * share,
        )

    @property
    def deviation(self):
        """The population standard deviation."""
        return (self.squares / self.count) ** 0.5


class PairedMoments:
    """Pearson's correlation of two arrays that come piece by piece."""

    def __init__(self):
        self._shift = None
        self._count, self._means, self._products = 0, np.zeros(2), np.zeros((2, 2))

    def add(self, first, second):
        """Adds two arrays of one shape."""
        if not first.size:
            return
        if self._shift is None:
            # From here on a constant is 0 exactly, and stays so.
            self._shift = np.array([[float(first.flat[0])], [float(second.flat[0])]])
        both = np.stack([first.ravel(), second.ravel()]).astype(np.float64) - self._shift
        means = both.mean(axis=1)
        both -= means[:, None]
        count, step = self._count + both.shape[1], means - self._means
        share = both.shape[1] / count
        self._products += both @ both.T + np.outer(step, step) * (self._count * share)
        self._means += step * share
        self._count = count

    @property
    def correlation(self):
        """-1..1; NaN without numbers or where either array is constant."""
        scale = np.sqrt(self._products[0, 0] * self._products[1, 1])
        return float(self._products[0, 1] / scale) if scale > 0 else np.nan
