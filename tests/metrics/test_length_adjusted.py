"""The length-adjusted win rate, against an optimiser that knows nothing of it."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit, log_expit

from judgekit.statistics import Range, RefitTerms
from judgekit_metrics.length_adjusted import length_adjusted
from tables import each


def adjusted(win, longer, resamples=199, labels=None):
    terms = RefitTerms(0.95, Range(0, 1), resamples, labels)
    return length_adjusted(win, longer, terms, np.random.default_rng(0))


def simulated(n, seed, intercept=0.4, slope=1.5):
    rng = np.random.default_rng(seed)
    longer = np.round(rng.normal(80, 200, n))
    return (rng.random(n) < expit(slope * np.tanh(longer / longer.std(ddof=1)) + intercept)).astype(float), longer


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("soft", [False, True])
def test_it_is_the_maximum_of_the_likelihood(seed, soft):
    win, longer = simulated(150, seed)
    win = np.clip(win + np.random.default_rng(seed).uniform(-0.3, 0.3, 150), 0, 1) if soft else win
    x = np.tanh(longer / np.std(longer, ddof=1))

    def loss(w):
        eta = w[0] * x + w[1]
        return float(-np.sum(win * log_expit(eta) + (1 - win) * log_expit(-eta)))

    best = minimize(loss, np.zeros(2), method="Nelder-Mead", options={"xatol": 1e-10, "fatol": 1e-12, "maxiter": 5000})
    found = adjusted(win, longer)
    assert found.value == pytest.approx(expit(best.x[1]), abs=1e-6)


def test_a_bias_for_length_is_taken_out_and_none_is_put_in():
    win, longer = simulated(4000, 1, intercept=0.0, slope=2.0)
    found = adjusted(win, longer)
    assert win.mean() > 0.57
    assert found.value == pytest.approx(0.5, abs=0.03)
    rng = np.random.default_rng(3)
    win, longer = (rng.random(2000) < 0.7).astype(float), rng.normal(0, 100, 2000)
    assert adjusted(win, longer).value == pytest.approx(win.mean(), abs=0.01)
    win, longer = simulated(80, 5)
    order = np.random.default_rng(0).permutation(80)
    assert adjusted(win, longer) == adjusted(win[order], longer[order])


@pytest.mark.parametrize(("longer", "known"), [(3, False), (9, False), (12, True), (88, True), (95, False)])
def test_few_answers_on_one_side_of_equal_length_identify_nothing(longer, known):
    rng = np.random.default_rng(0)
    delta = np.where(np.arange(100) < longer, 1, -1) * rng.uniform(1, 500, 100)
    found = length_adjusted(rng.uniform(0, 1, 100), delta, RefitTerms(0.95, Range(0, 1), 99), rng)
    assert (found.value is not None) == known
    assert found.interval.note.startswith("not identified") != known


@each(
    ([1, 0, 1, 0], [5, 5, 5, 5], "the same length"),
    ([1, 1, 1, 1], [1, 2, 3, 4], "every item is won"),
    ([0, 0, 0], [1, 2, 3], "every item is lost"),
    ([0, 0, 1, 1], [-4, -1, 2, 3], "the lengths part the wins from the losses"),
    ([1, 1, 0, 0], [-4, -1, -1, 3], "the lengths part the wins from the losses"),
    ([1, 0, 1, 0], [500, 501, 501, 500], "by far more than they vary"),
    ([], [], "no scored item"),
    ([1], [3], "the same length"),
)
def test_what_cannot_be_fitted_has_no_value_and_says_why(win, longer, why):
    found = adjusted(np.asarray(win, dtype=float), np.asarray(longer, dtype=float))
    assert found.value is None
    assert (found.interval.low, found.interval.high) == (None, None)
    assert why in found.interval.note


def test_clusters_are_drawn_whole_and_lost_fits_widen():
    found = adjusted(np.asarray([1.0, 0, 1, 0, 1]), np.asarray([-3.0, -2, 0, 1, 2]), resamples=999)
    assert found.value is not None
    assert (found.interval.low, found.interval.high) == (0, 1)
    win, longer = simulated(30, 7)
    labels = np.repeat(np.arange(30), 8)
    whole = adjusted(np.repeat(win, 8), np.repeat(longer, 8), 999, labels=labels)
    alone = adjusted(np.repeat(win, 8), np.repeat(longer, 8), 999)
    assert whole.se is not None
    assert alone.se is not None
    assert whole.se > 2 * alone.se, "eight copies of an item are one item"
    few = adjusted(win, longer, labels=np.arange(30) % 4)
    assert few.interval.note == "too few clusters: 4 of at least 10"


@pytest.mark.slow
def test_the_interval_covers():
    hits = 0
    for seed in range(200):
        win, longer = simulated(120, 1000 + seed)
        interval = adjusted(win, longer, resamples=399).interval
        assert interval.low is not None
        assert interval.high is not None
        hits += interval.low <= expit(0.4) <= interval.high
    assert 180 <= hits <= 199, hits
