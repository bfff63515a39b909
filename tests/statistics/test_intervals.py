import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from judgekit.statistics.betting import betting
from judgekit.statistics.bootstrap import bootstrap, generator
from judgekit.statistics.intervals import (
    Range,
    carriers,
    choose,
    clopper_pearson,
    plus_two_bounds,
    plus_two_t,
    t_interval,
    trials,
    wilson,
)

PERCENT, UNIT = Range(0, 100), Range(0, 1)
SKEWED = np.clip(np.random.default_rng(5).beta(1.7, 0.75, 110) * 100, 0, 100)


def rng():
    return generator(7, "metric", "system")


def binary(k, n):
    return np.repeat([1.0, 0.0], [k, n - k])


MAKERS = {
    "t": t_interval,
    "plus_two_t": plus_two_t,
    "bootstrap": lambda x, c, s: bootstrap(x, c, s, rng(), resamples=499),
    "bca": lambda x, c, s: bootstrap(x, c, s, rng(), "bca", 499),
    "percentile": lambda x, c, s: bootstrap(x, c, s, rng(), "percentile", 499),
    "wilson_neff": lambda x, c, s: wilson(x, c, s, 3),
    "betting": lambda x, c, s: betting(x, c, s, rng()),
}
BINARY = {"wilson": wilson, "clopper_pearson": clopper_pearson}
scores = st.lists(st.integers(0, 100), min_size=2, max_size=40).map(lambda v: np.asarray(v, dtype=float))


@pytest.mark.parametrize("k", [0, 1, 7, 19, 20])
@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
@pytest.mark.parametrize(("maker", "oracle"), [(wilson, "wilson"), (clopper_pearson, "exact")])
def test_rates_agree_with_scipy(k, confidence, maker, oracle):
    expected = stats.binomtest(k, 20).proportion_ci(confidence, method=oracle)
    interval = maker(binary(k, 20), confidence, UNIT)
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_t_agrees_with_scipy():
    expected = stats.ttest_1samp(SKEWED, 0).confidence_interval(0.95)
    interval = t_interval(SKEWED, 0.95, PERCENT)
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_plus_two_by_hand():
    # 40 and 60 with pseudo-items 0 and 100: mean 50, sd √((10² + 10² + 50² + 50²)/3), t(3 df, .975) = 3.18245
    half = 3.182446305 * math.sqrt(5200 / 3 / 4)
    assert plus_two_bounds(np.asarray([40.0, 60.0]), 0.95, 0, 100) == pytest.approx((50 - half, 50 + half))
    assert plus_two_t(np.asarray([40.0, 60.0]), 0.95, PERCENT).low == 0


def test_n_eff_by_hand():
    x = np.asarray([0.0, 1.0, 1 / 3, 2 / 3] * 5)
    shrink = (stats.norm.ppf(0.975) / stats.t.ppf(0.975, 19)) ** 2
    n = 0.25 / (x.std(ddof=1) ** 2 / 20) * shrink
    z = stats.norm.ppf(0.975)
    half = z / (1 + z * z / n) * math.sqrt(0.25 / n + z * z / (4 * n * n))
    interval = wilson(x, 0.95, UNIT, 3)
    assert (interval.method, interval.low, interval.high) == ("wilson_neff", pytest.approx(0.5 - half), 0.5 + half)


def test_n_eff_is_not_believed_beyond_the_trials_there_were():
    nearly = np.asarray([0.5] * 19 + [1.0])
    interval = wilson(nearly, 0.95, UNIT, 2)
    assert interval.high - interval.low > 0.25  # as of 40 trials; by the SE alone it would be .1


@pytest.mark.parametrize("name", MAKERS)
@settings(deadline=None, max_examples=50)
@given(x=scores, confidence=st.floats(0.8, 0.99))
def test_inside_the_scale_and_around_the_mean(name, x, confidence):
    interval = MAKERS[name](x, confidence, PERCENT)
    if interval.low is None:
        assert interval.high is None
        assert interval.note
        assert np.ptp(x) == 0 or name == "bca"
        return
    assert 0 <= interval.low <= interval.high <= 100
    if name != "bca":  # at the edge BCa's bias correction may pass the mean by
        assert interval.low - 1e-9 <= x.mean() <= interval.high + 1e-9


@pytest.mark.parametrize("name", MAKERS)
@settings(deadline=None, max_examples=50)
@given(x=scores, data=st.data())
def test_more_confidence_is_no_narrower_and_order_does_not_matter(name, x, data):
    small, large = (MAKERS[name](x, c, PERCENT) for c in (0.8, 0.95))
    if small.low is not None and large.low is not None:
        assert large.low <= small.low + 1e-9
        assert large.high >= small.high - 1e-9
    shuffled = np.asarray(data.draw(st.permutations(x.tolist())))
    again = MAKERS[name](shuffled, 0.8, PERCENT)
    assert (again.low, again.high) == pytest.approx((small.low, small.high), nan_ok=False)


@pytest.mark.parametrize("name", [*MAKERS, *BINARY])
@pytest.mark.parametrize("x", [[], [1.0]])
def test_no_item_and_one_item_have_no_interval(name, x):
    interval = {**MAKERS, **BINARY}[name](np.asarray(x), 0.95, UNIT)
    assert (interval.low, interval.high) == (None, None)
    assert "item" in interval.note


@pytest.mark.parametrize("name", ["t", "bootstrap", "bca", "percentile"])
def test_equal_scores_give_no_interval_rather_than_one_of_no_width(name):
    interval = MAKERS[name](np.full(20, 0.1) + np.linspace(0, 1e-17, 20), 0.95, UNIT)
    assert (interval.low, interval.note) == (None, "all scores are equal")


@pytest.mark.parametrize("maker", [plus_two_t, wilson, MAKERS["wilson_neff"], clopper_pearson, MAKERS["betting"]])
def test_the_others_have_an_honest_width_for_equal_scores(maker):
    interval = maker(np.ones(20), 0.95, UNIT)
    assert interval.high == 1
    assert 0.5 < interval.low < 0.9


@pytest.mark.parametrize("maker", [wilson, clopper_pearson])
def test_rates_need_0_or_1(maker):
    assert maker(np.asarray([0.0, 0.3, 1.0]), 0.95, UNIT).note == "needs 0/1 values"


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (binary(3, 40), "wilson"),
        (np.asarray([0, 0.5, 1] * 20), "wilson"),
        (np.asarray([0, 0.25, 0.75, 1] * 20), "bootstrap"),
        (np.linspace(0, 1, 49), "plus_two_t"),
        (np.linspace(0, 1, 50), "bootstrap"),
        (np.concatenate((np.full(30, 0.995), np.linspace(0, 0.9, 30))), "plus_two_t"),
        (np.concatenate((np.full(29, 0.995), np.linspace(0, 0.9, 31))), "bootstrap"),
        (np.full(60, 0.3), "plus_two_t"),
        (np.concatenate((np.full(100, 0.95), np.linspace(0, 0.5, 6))), "plus_two_t"),  # six items carry the spread
        (np.concatenate((np.full(100, 0.95), np.linspace(0, 0.5, 20))), "bootstrap"),
    ],
)
def test_the_rule_of_auto(rows, expected):
    assert choose(rows, rows, UNIT) == expected


@pytest.mark.parametrize(("right", "expected"), [(0, "wilson"), (3, "plus_two_t"), (30, "wilson"), (50, "wilson")])
@pytest.mark.parametrize("share", [False, True])
def test_repeats_have_wilsons_interval_where_enough_items_carry_the_spread(right, expected, share):
    x = np.where(np.arange(50) < right, 0.8, 0.0)
    rows = np.asarray([1.0, 1.0, 1.0, 1.0, 0.0] * right + [0.0] * 5 * (50 - right))
    assert choose(x, x if share else rows, UNIT, share) == ("wilson" if right == 50 else expected)


def test_carriers_are_the_items_that_the_spread_hangs_on():
    assert carriers(np.asarray([0.0, 1.0] * 30), UNIT) == pytest.approx(60)
    x = np.concatenate((np.full(996, 50.0), np.asarray([0.0, 0.0, 100.0, 100.0])))
    assert carriers(x, PERCENT) == pytest.approx(4)
    assert carriers(np.full(60, 30.0), PERCENT) == 60


def test_trials_of_an_item():
    assert trials(binary(3, 9), 3, UNIT) == 3
    assert trials(np.asarray([0, 50.0, 100]), 3, PERCENT) == 6
    assert trials(np.asarray([0, 0.2, 1]), 3, UNIT) is None


@pytest.mark.parametrize(("low", "high"), [(0, 0), (1, 0), (math.nan, 1), (0, math.inf)])
def test_a_scale_has_two_finite_ends(low, high):
    with pytest.raises(ValueError, match="scale"):
        Range(low, high)


@pytest.mark.parametrize("value", [math.nan, math.inf, -0.1, 100.1])
def test_values_off_the_scale_are_refused(value):
    with pytest.raises(ValueError):
        PERCENT.check(np.asarray([50.0, value]))
