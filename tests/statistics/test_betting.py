"""The betting interval: it holds the truth, knows no order, and is wide where there is little."""

import numpy as np
import pytest

from judgekit.statistics.betting import betting
from judgekit.statistics.intervals import Range

UNIT = Range(0, 1)


def test_the_mean_is_covered_at_least_as_often_as_promised():
    rng = np.random.default_rng(0)
    held = 0
    for seed in range(200):
        found = betting(rng.beta(8, 1, size=40), 0.9, UNIT, np.random.default_rng(seed))
        held += found.low <= 8 / 9 <= found.high
    assert held >= 180


def test_items_in_another_order_on_another_scale_give_the_same():
    x = np.random.default_rng(1).beta(2, 3, size=60)
    first = betting(x, 0.95, UNIT, np.random.default_rng(0))
    again = betting(x[::-1], 0.95, UNIT, np.random.default_rng(0))
    wide = betting(x * 100, 0.95, Range(0, 100), np.random.default_rng(0))
    assert first == again
    assert (wide.low, wide.high) == pytest.approx((first.low * 100, first.high * 100))


def test_more_items_are_narrower_and_one_has_none():
    x = np.random.default_rng(2).beta(2, 3, size=1600)
    few, many = (betting(x[:n], 0.95, UNIT, np.random.default_rng(0)) for n in (25, 1600))
    assert many.high - many.low < (few.high - few.low) / 3
    assert betting(x[:1], 0.95, UNIT, np.random.default_rng(0)).low is None
    same = betting(np.full(50, 0.5), 0.95, UNIT, np.random.default_rng(0))
    assert same.low < 0.5 < same.high
