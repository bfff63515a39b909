"""Coefficients of agreement against krippendorff, scikit-learn and scipy; degenerate data give no number."""

import math
import warnings

import krippendorff
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import stats
from sklearn.metrics import cohen_kappa_score

from judgekit.statistics.agreement import COEFFICIENTS, LEVELS, Labelled, Ratings, coefficient, krippendorff_alpha
from judgekit.statistics.agreement_measures import agreement_measures, ceiling, percentile
from judgekit.statistics.intervals import Range

GRADES = st.integers(0, 5) | st.just(math.nan)
MATRICES = arrays.arrays(np.float64, st.tuples(st.integers(2, 5), st.integers(1, 15)), elements=GRADES)


def pairable(matrix):
    """The ratings of the items that two raters rated."""
    kept = matrix[:, (~np.isnan(matrix)).sum(axis=0) >= 2]
    return kept, kept[~np.isnan(kept)]


@settings(deadline=None, max_examples=300)
@given(MATRICES, st.sampled_from(LEVELS))
def test_alpha_is_krippendorffs(matrix, level):
    kept, ratings = pairable(matrix)
    alpha = krippendorff_alpha(matrix, level)
    if kept.shape[1] < 2 or len(np.unique(ratings)) < 2:
        assert alpha is None
    else:
        expected = krippendorff.alpha(reliability_data=matrix, level_of_measurement=level)
        assert alpha == pytest.approx(expected, abs=1e-12)


def test_alpha_of_krippendorffs_own_example():
    """Krippendorff (2011), section C: four observers, twelve units; nominal .743, ordinal .815, interval .849, ratio
    .797."""
    _ = math.nan
    data = [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, _, _, _],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, _, 3],
        [_, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, _],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, _],
    ]
    found = {level: round(krippendorff_alpha(data, level) or 0, 3) for level in LEVELS}
    assert found == {"nominal": 0.743, "ordinal": 0.815, "interval": 0.849, "ratio": 0.797}


@pytest.mark.parametrize("wrong", [[1, 2], [[math.inf, 1], [1, 2]]])
def test_alpha_refuses_what_is_no_matrix_of_ratings(wrong):
    with pytest.raises(ValueError, match=r"matrix|infinities"):
        krippendorff_alpha(wrong)


def test_alpha_refuses_levels_that_do_not_fit():
    with pytest.raises(ValueError, match="unknown level 'ordnal'"):
        krippendorff_alpha([[1, 2], [1, 2]], "ordnal")
    with pytest.raises(ValueError, match="ratio is for values from 0"):
        krippendorff_alpha([[1, -2], [1, 2]], "ratio")


def oracles(a, b):
    whole = [x.astype(int) for x in (a, b)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {
            "kappa": cohen_kappa_score(*whole),
            "kappa_quadratic": cohen_kappa_score(*whole, weights="quadratic", labels=list(range(6))),
            "pearson": stats.pearsonr(a, b)[0],
            "spearman": stats.spearmanr(a, b)[0],
            "kendall": stats.kendalltau(a, b)[0],
        }


@settings(deadline=None, max_examples=150)
@given(arrays.arrays(np.float64, st.tuples(st.just(2), st.integers(2, 30)), elements=st.integers(0, 5)))
def test_coefficients_are_those_of_sklearn_and_scipy(pair):
    ratings = Ratings.of(*pair)
    for name, expected in oracles(*pair).items():
        if math.isfinite(expected):
            assert coefficient(name, ratings) == pytest.approx(expected, abs=1e-9), name
        else:
            assert coefficient(name, ratings) is None, name


def test_coefficients_on_many_different_scores_are_scipys():
    rng = np.random.default_rng(0)
    a = rng.normal(60, 20, 1200)
    b = a + rng.normal(0, 15, 1200)
    ratings = Ratings.of(a, b)
    assert coefficient("kendall", ratings) == pytest.approx(stats.kendalltau(a, b)[0], abs=1e-12)
    assert coefficient("spearman", ratings) == pytest.approx(stats.spearmanr(a, b)[0], abs=1e-12)
    assert coefficient("pearson", ratings) == pytest.approx(stats.pearsonr(a, b)[0], abs=1e-12)
    few = Ratings.of(a[:90], b[:90])
    for level in ("ordinal", "interval"):
        expected = krippendorff.alpha(reliability_data=[few.a, few.b], level_of_measurement=level)
        assert coefficient(f"alpha_{level}", few) == pytest.approx(expected, abs=1e-12)


def test_weights_are_copies_of_items():
    """A bootstrap's weight of 2 is the item twice; only then is the resampled figure that of a resample."""
    rng = np.random.default_rng(1)
    a, b = rng.integers(0, 5, (2, 12)).astype(float)
    weights = rng.multinomial(12, np.full(12, 1 / 12), size=20)
    ratings = Ratings.of(a, b)
    for name, measure in COEFFICIENTS.items():
        got = measure(ratings, weights.astype(float))
        for row, value in zip(weights, got, strict=True):
            copied = Ratings.of(np.repeat(a, row), np.repeat(b, row))
            expected = measure(copied, np.ones((1, copied.n_items)))[0]
            assert value == pytest.approx(expected, nan_ok=True, abs=1e-9), name


def test_a_scale_that_is_moved_or_stretched_changes_no_coefficient_but_the_values_own():
    rng = np.random.default_rng(2)
    a, b = rng.integers(0, 5, (2, 40)).astype(float)
    one, other = Ratings.of(a, b), Ratings.of(a * 1e6 + 1e9, b * 1e6 + 1e9)
    for name in set(COEFFICIENTS) - {"alpha_ratio"}:
        assert coefficient(name, other) == pytest.approx(coefficient(name, one), abs=1e-6), name


def test_an_item_counts_once_however_many_labels_it_has():
    found = {
        f.name: f
        for f in agreement_measures(Ratings.of([1, 1, 1, 0], [1, 1, 1, 1], [0, 0, 0, 1]), "binary", Range(0, 1))
    }
    assert found["agreement"].value == 0.5


def test_the_ceiling_is_one_labeller_against_another():
    _ = math.nan
    matrix = np.asarray([[1, 2, 3, 4, _], [1, 2, 4, 4, 2], [1, 3, 3, _, _]])
    labeller, item = np.nonzero(~np.isnan(matrix))
    labels = Labelled.pairs(matrix[labeller, item], item, np.arange(5))
    found = {f.name: f for f in ceiling(labels, "score", Range(0, 5))}
    assert found["agreement"].value == pytest.approx((1 + 1 / 3 + 1 / 3 + 1) / 4)
    for level in ("ordinal", "interval"):
        expected = krippendorff.alpha(reliability_data=matrix, level_of_measurement=level)
        assert found[f"alpha_{level}"].value == pytest.approx(expected)
    assert set(found) & {"bias", "majority"} == set()
    with pytest.raises(ValueError, match="no response has two labels"):
        Labelled.pairs(np.asarray([1.0, 2.0]), np.asarray([0, 1]), np.asarray([0, 1]))


def test_values_off_the_scale_are_refused():
    with pytest.raises(ValueError, match="leave the scale"):
        agreement_measures(Ratings.of([1, 120], [1, 2]), "score", Range(0, 100))
    with pytest.raises(ValueError, match="NaN"):
        Ratings.of([1, math.nan], [1, 2])


def test_the_same_seed_gives_the_same_interval_and_the_order_of_items_nothing():
    rng = np.random.default_rng(4)
    a, b = rng.integers(0, 101, (2, 25)).astype(float)
    settings = {"kind": "score", "scale": Range(0, 100), "seed": 7}
    assert agreement_measures(Ratings.of(a, b), **settings) == agreement_measures(Ratings.of(a, b), **settings)
    assert agreement_measures(Ratings.of(a, b), **settings) != agreement_measures(
        Ratings.of(a, b), **settings | {"seed": 8}
    )


def test_too_many_resamples_without_a_value_give_no_interval():
    values = np.concatenate((np.linspace(0, 1, 90), np.full(10, math.nan)))
    assert percentile(values, 0.95).note == "too little variety: 10 of 100 resamples have no value"
    assert percentile(values[:92], 0.95).low is not None
    assert percentile(np.ones(9), 0.95).note == "the same in every resample"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["kappa_quadratic", "alpha_ordinal", "spearman"])
def test_intervals_cover(name):
    """Five-point ratings of a common truth, 50 items: 95 % intervals cover 92–97 % in 600 simulations."""
    rng = np.random.default_rng(5)

    def simulated(n):
        truth = rng.standard_normal(n)
        return (np.clip(np.round(truth + 0.6 * rng.standard_normal(n) + 3), 1, 5) for _ in range(2))

    true = coefficient(name, Ratings.of(*simulated(200_000)))
    hits = 0
    for seed in range(600):
        found = {
            f.name: f
            for f in agreement_measures(Ratings.of(*simulated(50)), "score", Range(1, 5), seed=seed, resamples=999)
        }[name].interval  # fmt: skip
        hits += found.low <= true <= found.high
    assert 0.92 <= hits / 600 <= 0.97
