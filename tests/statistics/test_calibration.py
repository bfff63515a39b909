"""A reliability diagram: the labels' mean where the judge gave about the same."""

import pytest

from judgekit.records import Scale
from judgekit.statistics.calibration import BINS, calibration

SCORE = Scale(label="score", low=0, high=100)


def test_few_values_have_an_entry_each_and_many_fall_into_parts_of_the_scale():
    few = calibration([(f"i{n}", 10.0 * (n % 3), 20.0) for n in range(9)], SCORE)
    assert [(one.low, one.high, one.judge, one.n_items) for one in few] == [(v, v, v, 3) for v in (0.0, 10.0, 20.0)]
    many = calibration([(f"i{n}", float(n), float(n)) for n in range(101)], SCORE)
    assert [(one.low, one.n_pairs) for one in many] == [(20.0 * part, 20 + (part == BINS - 1)) for part in range(BINS)]
    assert sum(one.n_pairs for one in many) == 101, "the last part is closed"


def test_responses_of_one_item_are_averaged_first():
    (found,) = calibration([("a", 50.0, 0.0), ("a", 50.0, 40.0), ("b", 50.0, 80.0)], SCORE)
    assert (found.n_pairs, found.n_items) == (3, 2)
    assert found.label == pytest.approx((20 + 80) / 2)
    assert calibration([], SCORE) == ()
