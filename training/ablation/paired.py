"""A metric of one row against another's, seed by seed."""

import math
from typing import NamedTuple

import numpy as np
from scipy import stats

LEVEL = 0.95


class Comparison(NamedTuple):
    """An estimate and its interval of confidence."""

    estimate: float
    low: float
    high: float

    def excludes(self, value):
        """Whether the interval does not hold a value."""
        return self.low > value or self.high < value


NEUTRAL = {"ratio": 1.0, "difference": 0.0}


def paired(one, other, kind):
    """How a metric of one row differs from another's with the same seeds.

    Student's interval at level 0.95 of the mean of the differences, or of their logarithms: then
    the estimate is the geometric mean of the quotients one/other.

    Args:
        one, other: as many numbers, of the same seeds.
        kind: ``"ratio"`` or ``"difference"``.

    Returns:
        Comparison; all NaN for less than two seeds, or quotients that are not positive.
    """
    one, other = np.asarray(one, float), np.asarray(other, float)
    if kind == "ratio":
        with np.errstate(divide="ignore", invalid="ignore"):
            differences = np.log(one) - np.log(other)
    else:
        differences = one - other
    if len(differences) < 2 or not np.isfinite(differences).all():
        return Comparison(math.nan, math.nan, math.nan)
    n = len(differences)
    mean, error = differences.mean(), differences.std(ddof=1) / math.sqrt(n)
    half = stats.t.ppf((1 + LEVEL) / 2, n - 1) * error
    ends = mean, mean - half, mean + half
    return Comparison(*(np.exp(ends) if kind == "ratio" else ends))
