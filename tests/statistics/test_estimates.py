import csv
import json
import math
import os
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from judgekit.records import Scale
from judgekit.statistics.estimates import NOT_TO_BE_USED, IntervalTerms, Subject, difference, estimate
from judgekit.statistics.items import ItemTable
from judgekit.statistics.methods import METHODS

SCORE = Scale(label="score", low=0, high=100)
WIN = Scale(label="win rate", low=0, high=1)
SHARED = Path(os.environ.get("JUDGEKIT_SHARED", Path(__file__).parents[3] / "shared")) / "data" / "alpaca_eval"
ALPACA = ("alpaca-7b", "falcon-7b-instruct", "gemma-7b-it", "vicuna-7b-v1.5")


def table_of(values, clusters=None, prefix="i"):
    """A table of `values[item]` or `values[item][repeat]`; None is an unparsed verdict."""
    table = ItemTable(clusters)
    for i, row in enumerate(values):
        for repeat, value in enumerate(row if isinstance(row, (list, tuple)) else [row]):
            table.add(f"{prefix}{i:03}", repeat, 0, value, "unparsed" if value is None else "scored")
    return table


def single(values, series=SCORE, **options):
    table = table_of(values, options.pop("clusters", None))
    of = Subject(options.pop("metric", "m"), "s", series, share=options.pop("share", False))
    return estimate(table, of, IntervalTerms(**options))[0]


def paired(a, b, series=SCORE, **options):
    return difference(a, b, Subject("m", "a", series), "b", IntervalTerms(resamples=999, **options))


def noisy(n, repeats, seed=0):
    rng = np.random.default_rng(seed)
    item = rng.uniform(20, 80, (n, 1))
    return (item + rng.uniform(-10, 10, (n, repeats))).tolist()


def test_an_estimate_says_all_that_is_needed_to_read_it():
    new, rerun = estimate(table_of(noisy(60, 3)), Subject("quality", "sft", SCORE), IntervalTerms(seed=4))
    assert new.value == rerun.value == pytest.approx(np.mean(noisy(60, 3)))
    assert new.se == pytest.approx(stats.sem(np.mean(noisy(60, 3), axis=1))), "over items, not rows"
    assert (new.estimand, rerun.estimand) == ("new items", "rerun on these items")
    assert (new.n_items, new.repeats, new.n_clusters, new.counts) == (60, 3, None, {"scored": 180})
    assert new.interval.method == "bootstrap"
    assert new.interval == new.bootstrap
    assert rerun.bootstrap is None
    assert new.interval.low < rerun.interval.low < new.value < rerun.interval.high < new.interval.high


def test_the_bootstrap_is_there_beside_another_headline():
    made = single([10.0, 30.0, 55.0, 80.0])
    assert made.interval.method == "plus_two_t"
    assert made.bootstrap.method == "bootstrap"
    assert made.bootstrap.low is not None


def test_missing_verdicts_are_counted_and_bounded():
    made = single([80.0, None, 60.0, None])
    assert made.value == 70
    assert made.n_items == 2
    assert made.counts == {"scored": 2, "unparsed": 2}
    assert made.bounds == (35, 85)


def test_nothing_scored_has_no_value_and_no_interval():
    made = single([None, None])
    assert (made.value, made.se, made.interval.low, made.n_items) == (None, None, None, 0)
    assert made.interval.note == made.bootstrap.note == "no scored item"
    assert made.interval.method == made.bootstrap.method == "none"
    assert made.bounds == (0, 100)
    empty = estimate(ItemTable(), Subject("m", "s", SCORE))[0]
    assert (empty.value, empty.bounds, empty.counts) == (None, None, {})


def test_one_item_has_a_value_and_no_interval():
    made = single([42.0])
    assert (made.value, made.se, made.interval.low, made.interval.note) == (42, None, None, "one item has no interval")


@pytest.mark.parametrize(("value", "expected"), [(100.0, "wilson"), (50.0, "wilson_neff"), (30.0, "plus_two_t")])
def test_equal_scores_get_an_interval_that_has_a_width(value, expected):
    made = single([value] * 20)
    assert made.interval.method == expected
    assert made.interval.high - made.interval.low > 5
    assert made.bootstrap.note == "all scores are equal"


@pytest.mark.parametrize("n", [49, 50, 60])
def test_equal_scores_have_one_rule_at_every_size(n):
    made = single([30.0] * n)
    assert made.interval.method == "plus_two_t"
    assert made.interval.low < 30 < made.interval.high
    assert made.bootstrap.note == "all scores are equal"


def test_a_bootstrap_that_a_few_items_carry_is_not_to_be_used():
    few = single([95.0] * 57 + [0.0, 3.0, 7.0])
    assert few.interval.method == "plus_two_t"
    assert few.bootstrap.note == NOT_TO_BE_USED
    many = single(list(np.linspace(0, 100, 40)))
    assert (many.interval.method, many.bootstrap.note) == ("plus_two_t", "")


@pytest.mark.parametrize("method", [m for m in METHODS if m != "auto"])
def test_every_method_can_be_named(method):
    values = [0.0, 1.0, 1.0, 0.0, 1.0] * 6
    interval = single(values, WIN, method=method, resamples=999).interval
    assert interval.method == method
    assert interval.low < 0.6 < interval.high
    assert interval.high - interval.low < 0.55


@pytest.mark.parametrize("bad", [{"method": "magic"}, {"confidence": 1.0}, {"confidence": math.nan}])
def test_bad_options_and_values_off_the_scale_are_refused(bad):
    with pytest.raises(ValueError):
        single([1.0, 2.0], **bad)
    for value in (-1.0, 100.5):
        with pytest.raises(ValueError, match="leave the scale"):
            single([50.0, value])


def test_the_order_of_rows_and_of_estimates_does_not_matter():
    values = noisy(60, 1)
    backwards = ItemTable()
    for i, (value,) in reversed(list(enumerate(values))):
        backwards.add(f"i{i:03}", 0, 0, value)
    other = estimate(backwards, Subject("m", "s", SCORE))[0]
    assert single(values) == other


def test_rerun_interval_by_hand():
    values = [[10.0, 20.0], [50.0, 54.0], [90.0, 80.0]]
    _, rerun = estimate(table_of(values), Subject("m", "s", SCORE))
    error = math.sqrt((50 + 8 + 50) / 2) / 3  # √(Σ s_i²/R)/n
    assert rerun.se == pytest.approx(error)
    half = stats.t.ppf(0.975, 3) * error
    assert (rerun.interval.low, rerun.interval.high) == pytest.approx((rerun.value - half, rerun.value + half))


def test_a_rerun_of_the_judge_alone_says_so():
    table = ItemTable()
    for i, values in enumerate([[10.0, 20.0], [50.0, 54.0], [90.0, 80.0]]):
        for judge_repeat, value in enumerate(values):
            table.add(f"i{i}", 0, judge_repeat, value)
    _, rerun = estimate(table, Subject("m", "s", SCORE))
    assert rerun.interval.note == "of the judgements alone: every item was answered once"
    assert rerun.interval.low < rerun.value < rerun.interval.high


def test_unbalanced_repeats_are_pooled():
    """SE = √(s²·Σ 1/R_i)/n, s² pooled over the items that were repeated."""
    values = [[10.0, 20.0, 30.0], [50.0, None, 54.0], [90.0, None, None]]
    new, rerun = estimate(table_of(values), Subject("m", "s", SCORE))
    pooled = (200 + 8) / (2 + 1)
    assert new.value == rerun.value == pytest.approx((20 + 52 + 90) / 3)
    assert rerun.se == pytest.approx(math.sqrt(pooled * (1 / 3 + 1 / 2 + 1)) / 3)
    half = stats.t.ppf(0.975, 3) * rerun.se
    assert rerun.interval.high == pytest.approx(rerun.value + half)
    assert new.counts == {"scored": 6, "unparsed": 3}


def test_repeats_that_never_differ_give_no_rerun_interval():
    _, rerun = estimate(table_of([[10.0, 10.0], [20.0, 20.0]]), Subject("m", "s", SCORE))
    assert (rerun.interval.low, rerun.interval.note) == (None, "every repeat gave the same score")


def test_clusters_of_one_size_are_their_means():
    rng = np.random.default_rng(1)
    values = rng.uniform(0, 100, 60)
    clusters = {f"i{i:03}": str(i // 5) for i in range(60)}
    made = single(values.tolist(), clusters=clusters)
    means = values.reshape(12, 5).mean(axis=1)
    expected = stats.ttest_1samp(means, 0).confidence_interval(0.95)
    assert (made.interval.method, made.n_clusters, made.n_items) == ("cluster_t", 12, 60)
    assert (made.interval.low, made.interval.high) == pytest.approx((expected.low, expected.high))
    assert made.se == pytest.approx(stats.sem(means))


def test_clusters_of_unequal_size_keep_the_mean_over_items():
    values = np.random.default_rng(1).uniform(0, 100, 66)
    labels = np.repeat(np.arange(11), np.arange(1, 12))
    made = single(values.tolist(), clusters={f"i{i:03}": str(g) for i, g in enumerate(labels)})
    totals = [np.sum(values[labels == g] - values.mean()) for g in range(11)]
    assert made.value == pytest.approx(values.mean())
    assert made.se == pytest.approx(math.sqrt(11 / 10 * np.sum(np.square(totals))) / 66)
    assert (made.interval.low + made.interval.high) / 2 == pytest.approx(values.mean())


def test_too_few_clusters_have_no_interval():
    made = single([10.0, 20.0, 30.0, 40.0] * 5, clusters={f"i{i:03}": str(i % 4) for i in range(20)})
    assert made.value == 25
    assert made.interval.low is None
    assert made.interval.note == made.bootstrap.note == "too few clusters: 4 of at least 10"


def test_items_without_a_cluster_leave_no_interval():
    made = single([10.0, 20.0], clusters={"i000": "x"})
    assert (made.value, made.se, made.interval.note) == (15, None, "1 of 2 items have no cluster")


def test_methods_for_independent_items_refuse_clusters():
    clusters = {f"i{i:03}": str(i // 2) for i in range(40)}
    made = single([float(i) for i in range(40)], clusters=clusters, method="plus_two_t")
    assert made.interval.low is None
    assert "independent" in made.interval.note
    named = single([float(i) for i in range(40)], clusters=clusters, method="bootstrap")
    assert named.interval.low < named.value < named.interval.high


def test_differences_are_matched_by_id():
    a, b = ItemTable(), ItemTable()
    for i in range(120):
        a.add(f"i{i}", 0, 0, i / 2 + 10 + i % 3)
        b.add(f"i{119 - i}", 0, 0, (119 - i) / 2)
    a.add("only in a", 0, 0, 100.0)
    made = paired(a, b)
    expected = stats.ttest_1samp([*(10 + i % 3 for i in range(120)), -50, 50], 0).confidence_interval(0.95)
    assert (made.against, made.n_items, made.interval.method) == ("b", 120, "paired_t+plus_two")
    assert (made.interval.low, made.interval.high) == pytest.approx((expected.low, expected.high))
    assert (made.scale.low, made.scale.high) == (-100, 100)
    assert made.bounds == pytest.approx(((120 * 11 + 0) / 121, (120 * 11 + 100) / 121))


def test_both_intervals_must_agree():
    d = np.random.default_rng(4).normal(5, 3, 30)
    made = paired(table_of((50 + d).tolist()), table_of([50.0] * 30))
    t = stats.ttest_1samp(d, 0).confidence_interval(0.95)
    plus = stats.ttest_1samp([*d, -50, 50], 0).confidence_interval(0.95)
    assert made.interval.method == "paired_t+plus_two"
    assert made.interval.low == pytest.approx(min(t.low, plus.low))
    assert made.interval.high == pytest.approx(max(t.high, plus.high))


@pytest.mark.parametrize("n", [20, 200])
def test_equal_differences_still_have_a_width(n):
    made = paired(table_of([50.0] * n), table_of([50.0] * n))
    assert made.interval.method == "paired_plus_two"
    assert made.interval.low < 0 < made.interval.high


def test_missing_sides_bound_the_difference():
    none = paired(table_of([1.0, 2.0]), table_of([1.0, 2.0], prefix="j"))
    assert (none.value, none.n_items, none.interval.low, none.interval.note) == (None, 0, None, "no scored item")
    clusters = {f"i{i:03}": str(i // 3) for i in range(60)}
    known = paired(*(table_of(noisy(60, 1, seed=seed), clusters) for seed in (1, 2)))
    assert (known.interval.method, known.n_clusters) == ("cluster_t", 20)
    made = paired(table_of([80.0, None]), table_of([60.0, 60.0]))
    assert (made.value, made.n_items) == (20, 1)
    assert made.bounds == ((20 - 60) / 2, (20 + 40) / 2)
    assert made.counts == {"scored": 3, "unparsed": 1}


@pytest.mark.shared
@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared AlpacaEval preferences are not beside the checkout")
@pytest.mark.parametrize("model", ALPACA)
def test_published_win_rates_and_standard_errors(model):
    published = json.loads((SHARED / "published.json").read_text())[model]
    table = ItemTable()
    with (SHARED / f"{model}.csv").open() as lines:
        for row in csv.DictReader(lines):
            preference = float(row["preference"] or 0)
            table.add(row["id"], 0, 0, 0.5 if preference == 0 else preference - 1)
    made = estimate(table, Subject("win rate", model, WIN), IntervalTerms(resamples=999))[0]
    assert 100 * made.value == pytest.approx(published["win_rate"], abs=1e-9)
    assert 100 * made.se == pytest.approx(published["standard_error"], abs=1e-9)
    assert made.interval.method == "plus_two_t"
