"""Paired comparisons of rows: intervals, for other splits and other points, and many at once."""

import math

import numpy as np
import pytest
from scipy import stats

from training.ablation.paired import paired, survivors


def test_intervals_are_students():
    rng = np.random.default_rng(0)
    one, other = rng.lognormal(size=(2, 6))
    for kind, x in (("difference", one - other), ("ratio", np.log(one / other))):
        test = stats.ttest_1samp(x, 0)
        expected = np.array([x.mean(), *test.confidence_interval(0.95)])
        *found, p = paired(one, other, kind)
        assert np.allclose(found, np.exp(expected) if kind == "ratio" else expected)
        assert p == pytest.approx(test.pvalue)


def test_intervals_cover_as_often_as_they_say():
    rng = np.random.default_rng(1)
    covered = [
        not paired(*rng.normal([[0.3], [0.0]], 1, (2, 5)), "difference").excludes(0.3)
        for _ in range(2000)
    ]
    # Five standard errors of a share of 0.95 among 2000.
    assert abs(np.mean(covered) - 0.95) < 5 * math.sqrt(0.95 * 0.05 / 2000)


def resplit(rng, n_train, n_test, seeds):
    """Test errors of two rows over splits of the same points, of which each row sees its own half.

    Each predicts the mean of its training points: for points at large they are equally good.
    """
    points = rng.normal(size=(2, n_train + n_test))
    one, other = [], []
    for _ in range(seeds):
        shuffled = rng.permutation(points, axis=1)
        train, test = shuffled[:, :n_train], shuffled[:, n_train:]
        centre = train.mean(1)
        one.append(np.abs(test[0] - centre[0]).mean())
        other.append(np.abs(test[1] - centre[1]).mean())
    return one, other


def test_splits_that_overlap_say_less_of_other_points():
    """Two rows that are alike for points at large: Student's interval is wrong far too often."""
    rng = np.random.default_rng(2)
    cases = [resplit(rng, 40, 20, 10) for _ in range(400)]
    wrong, corrected = (
        np.mean([paired(*case, "difference", overlap).excludes(0) for case in cases])
        for overlap in (0.0, 0.5)
    )
    assert wrong > 0.2
    # 0.05 and five standard errors of a share of 400; the correction is an approximation.
    assert corrected < 0.05 + 5 * math.sqrt(0.05 * 0.95 / 400)
    assert corrected < wrong / 2
    plain, wide = (paired(*cases[0], "difference", overlap) for overlap in (0.0, 0.5))
    assert wide.high - wide.low == pytest.approx((plain.high - plain.low) * math.sqrt(6))


def test_what_survives_among_many():
    """Two of four fall; then one that stops at the first that is too large, and one without end."""
    assert survivors([0.01, 0.04, 0.03, 0.005]) == [True, False, False, True]
    assert survivors([0.03, 0.026, math.nan, 0.001]) == [False, False, False, True]
    assert survivors([0.03, 0.02, math.nan]) == [True, True, False]
    assert survivors([0.03, 1.0]) == [False, False]
    assert survivors([]) == []


def test_a_difference_that_is_the_same_for_all_seeds():
    assert paired([2.0, 4.0], [1.0, 2.0], "ratio")[:3] == pytest.approx((2, 2, 2))
    assert paired([2.0, 4.0], [1.0, 2.0], "ratio").p == pytest.approx(0)
    assert paired([2.0, 4.0], [2.0, 4.0], "ratio") == (1, 1, 1, 1)
    assert paired([0.1 + 0.2] * 3, [0.3] * 3, "difference") == (0, 0, 0, 1)


def test_nothing_is_said_of_one_seed_or_of_nothing():
    assert math.isnan(paired([1.0], [2.0], "ratio").estimate)
    assert math.isnan(paired([1.0, 0.0], [2.0, 1.0], "ratio").estimate)
