"""The bootstrap, against scipy and a plain loop."""

import math

import numpy as np
import pytest
from scipy import stats

from judgekit.statistics.bootstrap import bootstrap, generator
from judgekit.statistics.intervals import Range

PERCENT = Range(0, 100)


SKEWED = np.clip(np.random.default_rng(5).beta(1.7, 0.75, 110) * 100, 0, 100)


def rng():
    return generator(7, "metric", "system")


@pytest.mark.parametrize("kind", ["bca", "percentile"])
def test_bootstrap_agrees_with_scipy(kind):
    method = {"bca": "BCa", "percentile": "percentile"}[kind]
    expected = stats.bootstrap((SKEWED,), np.mean, n_resamples=20_000, method=method, rng=1).confidence_interval
    interval = bootstrap(SKEWED, 0.95, PERCENT, rng(), kind, 20_000)
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high), abs=0.25)  # of a width of 9


def test_studentised_bootstrap_agrees_with_a_plain_loop():
    random = np.random.default_rng(2)
    mean, error = SKEWED.mean(), SKEWED.std(ddof=1) / math.sqrt(110)
    star = []
    for _ in range(20_000):
        sample = random.choice(SKEWED, 110)
        star.append((sample.mean() - mean) / (sample.std(ddof=1) / math.sqrt(110)))
    expected = (mean - np.quantile(star, 0.975) * error, mean - np.quantile(star, 0.025) * error)
    interval = bootstrap(SKEWED, 0.95, PERCENT, rng(), resamples=20_000)
    assert (interval.low, interval.high) == pytest.approx(expected, abs=0.25)


def test_drawing_counts_and_drawing_values_give_the_same_interval():
    few = np.repeat([0.0, 50.0, 100.0], [10, 30, 60])
    many = few + np.linspace(-1e-6, 1e-6, 100).clip(-few, 100 - few)
    one, other = (bootstrap(x, 0.95, PERCENT, rng(), resamples=20_000) for x in (few, many))
    assert (one.low, one.high) == pytest.approx((other.low, other.high), abs=0.3)


def test_a_resample_without_spread_runs_to_the_end_of_the_scale():
    interval = bootstrap(np.asarray([100.0] * 19 + [0.0]), 0.95, PERCENT, rng())
    assert interval.low == 0
    assert interval.high > 95


def test_seed_and_name_make_the_bootstrap():
    first, same = (bootstrap(SKEWED, 0.95, PERCENT, generator(1, "a"), resamples=199) for _ in range(2))
    seed = bootstrap(SKEWED, 0.95, PERCENT, generator(2, "a"), resamples=199)
    name = bootstrap(SKEWED, 0.95, PERCENT, generator(1, "b"), resamples=199)
    assert first == same
    assert len({first.low, seed.low, name.low}) == 3
