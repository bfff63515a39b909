"""The variance budget: its parts sum to the squared standard error, and its advice is the better buy."""

import re

import numpy as np
import pytest

from judgekit.records import Scale
from judgekit.statistics.estimates import IntervalTerms, Subject, estimate
from judgekit.statistics.items import ItemTable
from judgekit.statistics.variance import variance_budget

SCORE = Scale(label="score", low=-100, high=200)
SHARE = Scale(label="win rate", low=0, high=1, unit="%")


def draw(n, generations, judgements, item=0.0, generation=0.0, judge=0.0, seed=0, middle=50.0):
    """Values[item, generation, judgement] with these standard deviations."""
    rng = np.random.default_rng(seed)
    shape = (n, generations, judgements)
    return (
        middle
        + rng.normal(0, 1, (n, 1, 1)) * item
        + rng.normal(0, 1, (n, generations, 1)) * generation
        + rng.normal(0, 1, shape) * judge
    )


def budget_of(values, series=SCORE, clusters=None):
    table = ItemTable(clusters)
    for (i, g, j), value in np.ndenumerate(values):
        missing = np.isnan(value)
        table.add(f"{i:04}", g, j, None if missing else float(value), "unparsed" if missing else "scored")
    whole = estimate(table, Subject("m", "s", series), IntervalTerms(resamples=99))[0]
    return variance_budget(table, whole), whole


def total(budget):
    return budget.item + (budget.generation or 0) + (budget.judge or 0)


def test_the_parts_are_found_again_and_sum_to_the_squared_error():
    budget, whole = budget_of(draw(3000, 3, 2, item=8, generation=5, judge=3))
    assert total(budget) == pytest.approx(whole.se**2)
    assert budget.item == pytest.approx(64 / 3000, rel=0.1)
    assert budget.generation == pytest.approx(25 / (3000 * 3), rel=0.1)
    assert budget.judge == pytest.approx(9 / (3000 * 6), rel=0.1)
    assert (budget.n_items, budget.generations, budget.judgements) == (3000, 3, 2)


def test_unbalanced_repeats_weigh_as_they_average_out():
    """Items with one generation carry σ²/1 of its noise, those with three σ²/3."""
    values = draw(2000, 3, 1, item=4, generation=6)
    values[::2, 1:] = np.nan
    budget, whole = budget_of(values)
    assert total(budget) == pytest.approx(whole.se**2)
    assert budget.generation == pytest.approx(36 * (1 + 1 / 3) / 2 / 2000, rel=0.1)
    assert budget.item == pytest.approx(16 / 2000, rel=0.2)


def test_clusters_are_the_unit_of_the_items_part():
    clusters = {f"{i:04}": str(i // 10) for i in range(300)}
    budget, whole = budget_of(draw(300, 2, 1, item=8, generation=2), clusters=clusters)
    assert total(budget) == pytest.approx(whole.se**2)
    assert budget.n_clusters == 30
    assert budget.advice.startswith("Buy clusters: twice the clusters")


def test_where_items_differ_items_are_bought():
    budget, whole = budget_of(draw(200, 3, 2, item=20, generation=3, judge=2))
    found = re.fullmatch(
        r"Buy items: twice the items would bring the standard error from ([\d.]+) to ([\d.]+); any number of repeats "
        r"of these, to ([\d.]+) at best\.",
        budget.advice,
    )
    now, twice, limit = map(float, found.groups())
    assert now == pytest.approx(whole.se, rel=0.01)
    assert twice == pytest.approx(whole.se / 2**0.5, rel=0.01)
    assert limit == pytest.approx(budget.item**0.5, rel=0.01)
    assert twice < limit < now


def test_where_the_judge_is_most_of_it_judgements_are_bought():
    budget, whole = budget_of(draw(200, 2, 2, item=1, generation=1, judge=15))
    found = re.match(
        r"Buy judgements: \d+% of the variance is the judge's noise\. Twice as many of each answer would bring the "
        r"standard error from ([\d.]+) to ([\d.]+); twice the items would bring the standard error to ([\d.]+), for "
        r"1\.5 times the calls\.",
        budget.advice,
    )
    now, judged, more = map(float, found.groups())
    assert judged == pytest.approx((whole.se**2 - budget.judge / 2) ** 0.5, rel=0.01)
    assert more < judged < now


@pytest.mark.parametrize(("noise", "bought"), [({"generation": 15}, "generations"), ({"judge": 14}, "judgements")])
def test_noise_is_averaged_out_by_new_items_as_well(noise, bought):
    """Twice the generations cost what twice the items cost and halve less; judgements must earn their calls."""
    budget, _ = budget_of(draw(200, 2, 3, item=5, **noise))
    assert budget.advice.startswith("Buy items: ")
    assert f"if there are no more of them, twice the {bought} would bring it to" in budget.advice


def test_without_repeats_the_noise_is_not_known():
    budget, whole = budget_of(draw(50, 1, 1, item=10))
    assert (budget.generation, budget.judge) == (None, None)
    assert budget.item == pytest.approx(whole.se**2)
    assert "every item was answered and judged once" in budget.advice


def test_shares_are_told_in_points():
    budget, whole = budget_of(draw(50, 2, 1, item=0.1, generation=0.02, middle=0.5), SHARE)
    assert f"from {100 * whole.se:.3g} points to" in budget.advice


def test_equal_scores_have_nothing_to_divide():
    budget, _ = budget_of(np.full((20, 2, 2), 50.0))
    assert budget.advice == "Nothing that the spread tells: all items have the same score."


@pytest.mark.parametrize("n", [0, 1])
def test_no_item_and_one_item_have_no_budget(n):
    assert budget_of(np.full((n, 2, 1), 50.0))[0] is None


def test_clusters_that_are_unknown_leave_no_budget():
    assert budget_of(draw(20, 2, 1, item=5), clusters={"0000": "a"})[0] is None
