"""The paired interval: the one that the gate bounds, and its width without spread."""

import numpy as np
import pytest

from judgekit.statistics.gating import Design, bounds
from judgekit.statistics.intervals import Range
from judgekit.statistics.paired import paired_interval

RNG = np.random.default_rng(1)


def stats(x):
    return float(np.mean(x)), float(np.std(x, ddof=1))


@pytest.mark.parametrize("n", [2, 5, 20, 99, 100, 110, 500])
def test_the_bounds_are_the_ends_of_the_printed_paired_interval(n):
    x = RNG.normal(-2, 9, n)
    low, high = bounds(*stats(x), Design(n, 100))
    printed = paired_interval(x, 0.90, Range(0, 100))
    assert (max(float(low), -100), min(float(high), 100)) == pytest.approx((printed.low, printed.high))


@pytest.mark.parametrize("n", [30, 150])
def test_differences_without_spread_have_the_plus_two_interval(n):
    x = np.zeros(n)
    low, high = bounds(0.0, 0.0, Design(n, 100))
    printed = paired_interval(x, 0.90, Range(0, 100))
    assert (float(low), float(high)) == pytest.approx((printed.low, printed.high))
    assert low < 0 < high
