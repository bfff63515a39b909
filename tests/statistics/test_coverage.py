"""A small simulation with a known truth: `benchmarks/coverage.py` is the large one."""

import numpy as np
import pytest
from scipy import stats

from judgekit.records import Scale
from judgekit.statistics.bootstrap import bootstrap
from judgekit.statistics.estimates import IntervalTerms, Subject, estimate
from judgekit.statistics.intervals import Range, t_interval, wilson
from judgekit.statistics.items import ItemTable

SIMULATIONS = 300
NOISE = 300 * np.sqrt(0.95 * 0.05 / SIMULATIONS)  # three standard errors: 3.8 points
UNIT = Range(0, 1)
SERIES = Scale(label="score", low=0, high=1)


def skewed(rng, n, repeats):
    """Mean .69, item sd .25, sd inside an item .12."""
    item = np.clip(rng.beta(0.69 * 2.4224, 0.31 * 2.4224, n), 1e-6, 1 - 1e-6)[:, None]
    return rng.beta(9 * item, 9 * (1 - item), (n, repeats))


def saturated(rng, n, repeats):
    """Nine of ten items get exactly 1. Mean .95."""
    return np.where(rng.random((n, 1)) < 0.9, 1.0, rng.random((n, repeats)))


def low_rate(rng, n, repeats):
    """Soft preferences for a much weaker system. Mean .09."""
    item = np.clip(rng.beta(0.09, 0.91, n), 1e-6, 1 - 1e-6)[:, None]
    return np.clip(rng.beta(20 * item, 20 * (1 - item), (n, repeats)), 0, 1)


def crowded(rng, n, repeats):
    """A judge that gives 95 of 100 to nine of ten items, and anything to the others. Mean .905."""
    return np.where(rng.random((n, 1)) < 0.9, 0.95, rng.random((n, repeats)))


def coverage(draw, truth, make, n, repeats, seed):
    rng, hits = np.random.default_rng(seed), 0
    for _ in range(SIMULATIONS):
        interval = make(draw(rng, n, repeats), rng)
        hits += interval.low is not None and interval.low <= truth <= interval.high
    return 100 * hits / SIMULATIONS


def auto(rows, rng):
    table = ItemTable()
    for i, values in enumerate(rows.tolist()):
        for repeat, value in enumerate(values):
            table.add(f"{i:03}", repeat, 0, value)
    return estimate(table, Subject("m", "s", SERIES), IntervalTerms(resamples=999))[0].interval


def percentile_of(axis):
    def make(rows, rng):
        values = rows.ravel() if axis is None else rows.mean(axis=axis)
        return bootstrap(values, 0.95, UNIT, rng, "percentile", 199)

    return make


@pytest.mark.parametrize(("n", "repeats"), [(20, 3), (60, 1), (60, 3), (110, 5)])
def test_auto_covers_what_it_claims_on_skewed_scores(n, repeats):
    assert 94 - NOISE <= coverage(skewed, 0.69, auto, n, repeats, 1) <= 98 + NOISE


@pytest.mark.parametrize("n", [20, 60])
def test_auto_covers_saturated_scores_where_the_item_percentile_does_not(n):
    assert coverage(saturated, 0.95, auto, n, 1, 2) >= 94 - NOISE
    if n == 20:
        assert coverage(saturated, 0.95, percentile_of(1), n, 1, 2) < 90


@pytest.mark.parametrize(("n", "repeats"), [(20, 3), (60, 1), (110, 3)])
def test_auto_covers_low_rates_where_the_t_interval_does_not(n, repeats):
    assert coverage(low_rate, 0.09, auto, n, repeats, 4) >= 94 - NOISE
    if n == 20:
        assert coverage(low_rate, 0.09, lambda rows, rng: t_interval(rows.mean(axis=1), 0.95, UNIT), n, repeats, 4) < 89


def test_scores_that_crowd_away_from_the_ends_are_covered_without_waste():
    """Few items carry the spread: the studentised bootstrap would cover it too, with intervals over twice as wide."""
    widths = {"auto": [], "bootstrap": []}

    def both(rows, rng):
        made, drawn = auto(rows, rng), bootstrap(rows.mean(axis=1), 0.95, UNIT, rng, resamples=999)
        if drawn.low is not None:  # now and then all fifty items have the same score
            widths["auto"].append(made.high - made.low)
            widths["bootstrap"].append(drawn.high - drawn.low)
        return made

    assert coverage(crowded, 0.905, both, 50, 1, 5) >= 94 - NOISE
    assert 2 * np.mean(widths["auto"]) < np.mean(widths["bootstrap"])


@pytest.mark.parametrize("n", [20, 50, 110, 500])
def test_wilson_covers_right_and_wrong_at_95_on_average_and_90_at_the_worst(n):
    """Exactly, over the rates .01, .02 … .99."""
    rates, k = np.arange(1, 100) / 100, np.arange(n + 1)[:, None]
    bounds = [wilson(np.repeat([1.0, 0.0], [i, n - i]), 0.95, UNIT) for i in range(n + 1)]
    inside = np.asarray([[bound.low <= rate <= bound.high for rate in rates] for bound in bounds])
    covered = 100 * (stats.binom.pmf(k, n, rates) * inside).sum(axis=0)
    assert covered.mean() == pytest.approx(95, abs=0.5)
    assert covered.min() >= 90


def test_the_two_natural_mistakes_fail():
    assert coverage(skewed, 0.69, percentile_of(None), 60, 3, 3) < 85
    assert coverage(skewed, 0.69, percentile_of(0), 60, 3, 3) < 50
