"""Measures of agreement with their intervals: ties, constants, clusters, and data that give no number."""

import math

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from judgekit.statistics.agreement import Ratings
from judgekit.statistics.agreement_measures import _Maker, agreement_measures
from judgekit.statistics.intervals import Range

DEGENERATE = {
    "no item": ([], []),
    "one item": ([3], [4]),
    "all equal": ([3, 3, 3], [3, 3, 3]),
    "a constant rater": ([3, 3, 3], [1, 2, 3]),
    "constant labels": ([1, 2, 3], [3, 3, 3]),
    "two constants": ([1, 1, 1], [3, 3, 3]),
}


@pytest.mark.parametrize("data", DEGENERATE.values(), ids=DEGENERATE)
@pytest.mark.parametrize("kind", ["score", "preference", "binary"])
def test_degenerate_data_give_no_number_and_say_why(data, kind):
    scaled = [np.asarray(x) / 4 for x in data] if kind == "preference" else [np.asarray(x) > 2 for x in data]
    a, b = data if kind == "score" else scaled
    scale = Range(0, 4) if kind == "score" else Range(0, 1)
    for figure in agreement_measures(Ratings.of(a, b), kind, scale):
        assert figure.value is None or math.isfinite(figure.value), figure
        assert (figure.interval.low is None) == bool(figure.interval.note), figure
        assert figure.value is not None or figure.interval.note, figure


def test_a_constant_rater_is_named():
    found = {f.name: f for f in agreement_measures(Ratings.of([3, 3, 3], [1, 2, 3]), "score", Range(0, 4))}
    assert (found["pearson"].value, found["pearson"].interval.note) == (None, "the first gives the same to every item")
    assert found["kappa"].value == 0  # no more than chance: this is known


def test_perfect_agreement_has_wilsons_interval():
    found = {f.name: f for f in agreement_measures(Ratings.of(range(20), range(20)), "score", Range(0, 19))}
    assert found["agreement"].value == 1
    assert found["agreement"].interval.low == pytest.approx(0.8389, abs=1e-4)
    assert found["kappa"].value == found["pearson"].value == found["alpha_ordinal"].value == 1


@pytest.mark.parametrize("name", ["pearson", "kappa_quadratic", "alpha_interval", "kappa", "spearman", "agreement"])
def test_twenty_labels_that_hug_the_ends_are_covered(name):
    """Nominal 95 %, on labels of 0, 50 and 100 and a judge that uses other steps; percentiles cover 60 to 88."""
    rng = np.random.default_rng(5)
    label = rng.choice([0.0, 0, 20, 50, 100, 100, 100], 4000)
    judge = np.clip(np.round(0.7 * label + 22 + rng.normal(0, 18, 4000), -1), 0, 100)
    scale, hits, runs = Range(0, 100), 0, 150
    truth = {f.name: f.value for f in agreement_measures(Ratings.of(judge, label), "score", scale, resamples=99)}[name]
    for seed in range(runs):
        chosen = rng.integers(0, 4000, 20)
        make = _Maker(scale, 0.95, seed, 199)
        ratings = Ratings.of(judge[chosen], label[chosen])
        made = (
            make.share(name, "", ratings, ratings.a == ratings.b)
            if name == "agreement"
            else make.coefficient(name, "", ratings)
        )
        hits += made.interval.low <= truth <= made.interval.high
    assert hits / runs >= 0.92 - 0.05  # two standard errors


def test_ties_count_and_are_left_out():
    judge, label = [1, 1, 0.5, 0.5, 0, 0.75], [1, 0, 0.5, 1, 0, 1]
    found = {f.name: f for f in agreement_measures(Ratings.of(judge, label), "preference", Range(0, 1))}
    assert found["agreement"].value == pytest.approx(4 / 6)  # three quarters is a win
    assert (found["agreement_no_ties"].value, found["agreement_no_ties"].n_items) == (0.75, 4)
    assert found["kappa"].value == pytest.approx(cohen_kappa_score(list("wwttlw"), list("wltwlw")))
    assert found["majority"].value == 0.5
    assert found["bias"].value == pytest.approx(np.mean(np.subtract(judge, label)))


def test_labels_of_one_item_move_together():
    """Ten copies of an item bring no new item: the interval stays that of the items."""
    rng = np.random.default_rng(3)
    a, b = rng.integers(0, 101, (2, 30)).astype(float)
    once = agreement_measures(Ratings.of(a, b), "score", Range(0, 100))
    copied = agreement_measures(
        Ratings.of(np.tile(a, 10), np.tile(b, 10), np.tile(np.arange(30), 10)), "score", Range(0, 100)
    )
    for one, other in zip(once, copied, strict=True):
        assert other.n_items == 30
        if not one.name.startswith("alpha"):
            assert other.value == pytest.approx(one.value, abs=1e-12)
        if one.name in ("pearson", "mae"):
            assert other.interval.low == pytest.approx(one.interval.low, abs=1e-9)
