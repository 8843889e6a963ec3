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


@dataclasses.dataclass(frozen=True)
class PairedMoments:
    """Of two arrays, number by number: count, means, sums of products of differences from these.

    Two of them added are those of the numbers of both.
    """

    count: int = 0
    means: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(2))
    products: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros((2, 2)))

    @classmethod
    def of(cls, first, second):
        """Returns the PairedMoments of two arrays of one shape."""
        if not first.size:
            return cls()
        both = np.stack([first.ravel(), second.ravel()]).astype(np.float64)
        # Less its first number, a constant is 0 exactly, and its mean is exact too.
        start = both[:, 0].copy()
        both -= start[:, None]
        means = both.mean(axis=1)
        both -= means[:, None]
        return cls(both.shape[1], start + means, both @ both.T)

    def __add__(self, other):
        if not self.count or not other.count:
            return self if self.count else other
        count, step = self.count + other.count, other.means - self.means
        share = other.count / count
        products = self.products + other.products + np.outer(step, step) * (self.count * share)
        return PairedMoments(count, self.means + step * share, products)

    @property
    def correlation(self):
        """Pearson's, -1..1; NaN without numbers or where either array is constant."""
        scale = np.sqrt(self.products[0, 0] * self.products[1, 1])
        return float(self.products[0, 1] / scale) if scale > 0 else np.nan
