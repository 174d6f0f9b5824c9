"""A metric of one row against another's, seed by seed."""

import math
from typing import NamedTuple

import numpy as np
from scipy import stats

LEVEL = 0.95
ROUNDING = 1e-15


class Comparison(NamedTuple):
    """An estimate, its interval of confidence, and the p-value of no difference (two-sided)."""

    estimate: float
    low: float
    high: float
    p: float

    def excludes(self, value):
        """Whether the interval does not hold a value."""
        return bool(self.low > value or self.high < value)


NEUTRAL = {"ratio": 1.0, "difference": 0.0}


def paired(one, other, kind, overlap=0.0):
    """How a metric of one row differs from another's with the same seeds.

    Student's interval at level 0.95 of the mean of the differences, or of their logarithms: then
    the estimate is the geometric mean of the quotients one/other. Where every seed splits the same
    points anew it is an interval for other splits of these; splits overlap, and for other points
    the variance of the mean is not s²/n but s² (1/n + n_test/n_train) (Nadeau and Bengio, Machine
    Learning 52, 2003).

    Args:
        one, other: as many numbers, of the same seeds.
        kind: ``"ratio"`` or ``"difference"``.
        overlap: n_test/n_train, for an interval for other points.

    Returns:
        Comparison; all NaN for less than two seeds, or quotients that are not positive. Numbers
        that differ by rounding alone are the same, and p is 1 where all are.
    """
    one, other = np.asarray(one, float), np.asarray(other, float)
    if kind == "ratio":
        with np.errstate(divide="ignore", invalid="ignore"):
            differences = np.log(one) - np.log(other)
    else:
        differences = one - other
    differences[np.isclose(one, other, ROUNDING, 0) & np.isfinite(differences)] = 0
    if len(differences) < 2 or not np.isfinite(differences).all():
        return Comparison(math.nan, math.nan, math.nan, math.nan)
    n = len(differences)
    mean, error = differences.mean(), differences.std(ddof=1) * math.sqrt(1 / n + overlap)
    half = stats.t.ppf((1 + LEVEL) / 2, n - 1) * error
    ends = mean, mean - half, mean + half
    p = 2 * stats.t.sf(abs(mean) / error, n - 1) if error else float(mean == 0)
    with np.errstate(over="ignore"):
        return Comparison(*(np.exp(ends) if kind == "ratio" else ends), p)


def survivors(p_values):
    """Which of several hypotheses of no difference fall, at 1 − 0.95 for all of them (Holm, 1979).

    The i-th smallest of m p-values, i = 0, 1, ..., is compared with 0.05/(m − i), until the first
    that is larger. NaN is no test and does not count.

    Returns:
        Whether it falls, for each.
    """
    tested = [i for i, p in enumerate(p_values) if not math.isnan(p)]
    falls = [False] * len(p_values)
    for rank, i in enumerate(sorted(tested, key=lambda i: p_values[i])):
        if p_values[i] > (1 - LEVEL) / (len(tested) - rank):
            break
        falls[i] = True
    return falls
