"""PPI++ on simulated judges: what the judge alone misses, a few labels put right."""

import numpy as np
import pytest

from judgekit.statistics.intervals import Range
from judgekit.statistics.ppi import _weights_of_others, corrected, ppi_plus_plus

SCALE = Range(-1000, 1000)  # so wide that nothing is clipped


def simulated(rng, n, others=500, bias=8.0, rho=0.85):
    """(labels, the judge on them, the judge on the others): sd 15, the judge off by `bias`."""
    truth = rng.standard_normal(n + others)
    judge = 69 + bias + 15 * (rho * truth + np.sqrt(1 - rho**2) * rng.standard_normal(n + others))
    return (69 + 15 * truth)[:n], judge[:n], judge[n:]


@pytest.mark.parametrize("n", [20, 50, 100])
def test_a_biased_judge_alone_never_covers_and_corrected_it_does(n):
    rng, runs = np.random.default_rng(n), 2000
    hits = {"judge": 0, "labels": 0, "corrected": 0}
    widths = {"labels": 0.0, "corrected": 0.0}
    for _ in range(runs):
        found = corrected("s", *simulated(rng, n), SCALE)
        for name, interval in (
            ("judge", found.judge_only), ("labels", found.labels_only), ("corrected", found.interval),
        ):  # fmt: skip
            hits[name] += interval.low <= 69 <= interval.high
            if name in widths:
                widths[name] += (interval.high - interval.low) / runs
    assert hits["judge"] == 0
    assert 0.935 <= hits["corrected"] / runs <= 0.965  # Monte-Carlo error .005
    assert 0.935 <= hits["labels"] / runs <= 0.965
    if n == 20:
        assert widths["corrected"] == pytest.approx(8.5, abs=0.2)  # 7.8 if the λ were known
        assert widths["labels"] == pytest.approx(13.9, abs=0.25)


def test_the_formula_by_hand():
    human, judge, others = np.asarray([1.0, 2, 4]), np.asarray([2.0, 3, 4]), np.asarray([1.0, 2, 5, 4])
    spread = np.var([2, 3, 4, 1, 2, 5, 4], ddof=1)
    weight = np.cov(human, judge)[0, 1] / ((1 + 3 / 4) * spread)
    found = ppi_plus_plus(human, judge, others)
    assert 0 < weight < 1
    assert found.weight == pytest.approx(weight)
    assert found.value == pytest.approx(7 / 3 + weight * (3 - 3))
    variance = np.var(human - weight * judge, ddof=1) / 3 + weight**2 * np.var(others, ddof=1) / 4
    assert found.se == pytest.approx(np.sqrt(variance))


def test_the_weight_without_an_item_is_that_of_the_others():
    human, judge, others = simulated(np.random.default_rng(3), 12, others=30)
    rest = [np.delete(np.arange(12), i) for i in range(12)]
    expected = [ppi_plus_plus(human[one], judge[one], others).weight for one in rest]
    assert _weights_of_others(human, judge, others) == pytest.approx(np.asarray(expected))


def test_a_judge_that_goes_the_wrong_way_is_not_believed():
    rng = np.random.default_rng(0)
    human, judge, others = simulated(rng, 40, rho=-0.9)
    found = corrected("s", human, judge, others, SCALE)
    assert found.weight == 0
    assert found.value == pytest.approx(np.mean(human))


@pytest.mark.parametrize(
    ("human", "judge", "others", "note"),
    [
        ([1.0, 2], [1.0, 2], [1.0, 2, 3], "2 labels: it takes 10 at least"),
        ([], [], [1.0, 2], "0 labels: it takes 10 at least"),
        ([1.0, 2, 3] * 4, [1.0, 2, 3] * 4, [], "every item has a label"),
        ([2.0] * 10, [2.0] * 10, [2.0] * 3, "no spread"),
    ],
)
def test_without_enough_there_is_no_interval_and_a_reason(human, judge, others, note):
    found = corrected("s", *map(np.asarray, (human, judge, others)), Range(0, 5))
    assert found.interval.low is None
    assert note in found.interval.note


def test_few_labels_are_warned_about():
    rng = np.random.default_rng(1)
    judge = rng.random(100)
    human = (judge > 0.5).astype(float)
    assert "30 labels: under 50" in corrected("s", human[:30], judge[:30], judge[30:], Range(0, 1)).note
    assert corrected("s", human[:60], judge[:60], judge[60:], Range(0, 1)).note == ""


def test_the_interval_stays_on_the_scale():
    human, judge = np.asarray([0.0] * 11 + [1]), np.asarray([0.1, 0.2, 0.0] * 3 + [0.1, 0.0, 0.9])
    found = corrected("s", human, judge, np.asarray([0.0, 0.1, 0.2, 0.1]), Range(0, 1))
    assert found.interval.low == 0


@pytest.mark.parametrize("n", [10, 20, 50])
def test_graded_labels_that_hug_the_ends_are_covered(n):
    """Labels of 0, 20, 50 and 100, as in the book's chapter 7, and a judge that uses the scale otherwise."""
    rng, hits, runs = np.random.default_rng(n), 0, 1500
    for _ in range(runs):
        human = np.where(rng.random(n + 100) < 0.5, rng.choice([0.0, 20, 50, 85], n + 100), 100.0)
        judge = np.clip(0.6 * human + 25 + rng.normal(0, 15, n + 100), 0, 100)
        interval = corrected("s", human[:n], judge[:n], judge[n:], Range(0, 100)).interval
        hits += interval.low is None or interval.low <= 0.5 * 100 + 0.5 * 38.75 <= interval.high  # None: refused
    assert hits / runs >= 0.93 - 0.018  # three standard errors
