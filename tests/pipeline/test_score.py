"""A judge's score of one answer is a number among numbers, and no key."""

import pytest

from judgekit import NotScored, Scale, Score, Verdict
from judgekit.statistics.intervals import no_interval


def score(value):
    interval = no_interval("rerun_t", "one verdict on one answer has no interval")
    status = "scored" if value is not None else "unparsed"
    verdict = Verdict(value=value, status=status, raw="x", rationale="")
    return Score("main", Scale(label="score", low=0, high=100), (verdict,), interval)


def test_scores_are_equal_by_value_and_no_keys_of_a_dict():
    assert score(70) == score(70) == 70
    assert score(70) != score(71)
    with pytest.raises(TypeError, match="unhashable"):
        {score(70): "a grade"}
    with pytest.raises(NotScored):
        assert score(None) != 70
