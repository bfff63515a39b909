"""A limit on a mean: only a whole interval is within it or beyond it."""

import pytest

from gate_folders import a_run
from judgekit.errors import DataError
from judgekit.regression.thresholds import Limit
from judgekit.results import Interval
from judgekit.run_folder import RunFolder


@pytest.mark.parametrize(
    ("low", "high", "holds", "missed"),
    [(5, 9, True, False), (4, 9, False, False), (1, 4, False, True), (1, 5, False, False), (None, None, False, False)],
)
def test_an_interval_is_within_a_minimum_or_beyond_it_or_neither(low, high, holds, missed):
    found = Interval(method="t", low=low, high=high)
    assert (Limit.holds(found, 5, upper=False), Limit.missed(found, 5, upper=False)) == (holds, missed)
    turned = Interval(method="t", low=None if high is None else -high, high=None if low is None else -low)
    assert (Limit.holds(turned, -5, upper=True), Limit.missed(turned, -5, upper=True)) == (holds, missed)


def test_missing_verdicts_lie_at_the_ends_of_the_scale(tmp_path):
    view = RunFolder(a_run(tmp_path / "run", {"quality": {"a": [50, 55, 60, 45, 40, 52, 48, None, None]}})).view()
    limit = Limit.of(view, "quality", "a")
    assert limit.missing == 2
    low, high = limit.extreme(high=False), limit.extreme(high=True)
    assert low.low < limit.estimate.interval.low < limit.estimate.interval.high < high.high
    assert 0.5 == limit.p(10, upper=False) > limit.p(55, upper=False) > limit.p(90, upper=False)
    with pytest.raises(DataError):
        Limit.of(view, "quality", "b")
