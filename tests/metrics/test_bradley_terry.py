"""Bradley–Terry strengths: evalica's, to 1e-6; refused where they are infinite; intervals over items."""

import numpy as np
import pytest
from evalica import Winner, bradley_terry

from judgekit.statistics import Range, RefitTerms
from judgekit_metrics.bradley_terry import log_strengths, not_connected, standings
from tables import each

Battles = list[tuple[int, int, float]]


def tournament(seed):
    """A random strongly connected tournament of 3 to 9 systems with ties, not every pair meeting."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(3, 10))
    strength = rng.normal(0, 1, n)
    while True:
        battles: Battles = []
        for _ in range(int(rng.integers(4 * n, 40 * n))):
            a, b = (int(one) for one in rng.choice(n, 2, replace=False))
            won = 1 / (1 + np.exp(strength[b] - strength[a]))
            battles.append((a, b, 0.5 if rng.random() < 0.2 else float(rng.random() < won)))
        if not not_connected(wins_of(n, battles), [*map(str, range(n))]):
            return n, battles


def wins_of(n, battles):
    wins = np.zeros((n, n))
    for a, b, value in battles:
        wins[a, b] += value
        wins[b, a] += 1 - value
    return wins


@pytest.mark.parametrize("seed", range(50))
def test_strengths_are_evalicas(seed):
    n, battles = tournament(seed)
    names = {0.0: Winner.Y, 0.5: Winner.Draw, 1.0: Winner.X}
    theirs = bradley_terry(
        [str(a) for a, _, _ in battles],
        [str(b) for _, b, _ in battles],
        [names[value] for _, _, value in battles],
        tie_weight=0.5,
        tolerance=1e-15,
        limit=1_000_000,
    ).scores
    scores = np.asarray([theirs[str(one)] for one in range(n)])
    ours = np.exp(log_strengths(wins_of(n, battles)[None])[0])
    assert ours / ours.sum() == pytest.approx(scores / scores.sum(), abs=1e-6)
    assert ours / (ours + ours[0]) == pytest.approx(scores / (scores + scores[0]), abs=1e-6)


def stood(preferences, pairs, systems="abc", resamples=499, labels=None):
    terms = RefitTerms(0.95, Range(0, 1), resamples, labels)
    found = standings([*systems], pairs, preferences, systems[0], terms, np.random.default_rng(0))
    assert list(found) == [*systems[1:]]
    return list(found.values())


PAIRS = [("b", "a"), ("c", "a"), ("c", "b")]


def test_the_anchor_is_first_and_odds_are_given_back():
    rng = np.random.default_rng(2)
    preferences = rng.choice([0, 0.25, 0.5, 0.75, 1], (60, 3))
    found = stood(preferences, PAIRS)
    for one in found:
        assert one.value is not None
        assert one.interval.low is not None
        assert one.interval.high is not None
        assert one.interval.low < one.value < one.interval.high
    odds = np.tile([[0.6, 0.75, 2 / 3]], (4, 1))  # strengths 1, 1.5, 3
    assert [one.value for one in stood(odds, PAIRS)] == pytest.approx([0.6, 0.75])
    assert [one.value for one in stood(np.asarray([[1.0, 0, 1]]), PAIRS)] == pytest.approx([0.5, 0.5])


@each(
    ([[1, 1, 0.5]], PAIRS, "b, c never lost or tied against a"),
    ([[0, 0, 0.5]], PAIRS, "a never lost or tied against b, c"),
    ([[0.5, 1, 1]], PAIRS, "c never lost or tied against a, b"),
    ([[0.5]], [("b", "a")], "no verdict compares c with a, b"),
    ([[np.nan, 0.5, np.nan]], PAIRS, "no verdict compares b with a, c"),
)
def test_infinite_strengths_are_refused_with_the_reason(preferences, pairs, why):
    found = stood(np.asarray(preferences, dtype=float), pairs)
    assert [one.value for one in found] == [None, None]
    assert {one.interval.note for one in found} == {f"the win graph is not strongly connected: {why}"}


def test_items_and_clusters_are_drawn_whole():
    """Ten pairs of an item that move together tell no more than one: battles drawn apart would hide that."""
    rng = np.random.default_rng(4)
    together = np.repeat(rng.choice([0.0, 1.0], (80, 1)), 3, axis=1)
    apart = rng.permuted(together, axis=0)
    pairs = [("b", "a"), ("c", "a"), ("c", "b")]
    assert (stood(together, pairs)[1].se or 0) > 1.2 * (stood(apart, pairs)[1].se or 1)
    rng = np.random.default_rng(5)
    preferences = np.repeat(rng.choice([0, 0.5, 1], (20, 3)), 6, axis=0)
    whole, alone = stood(preferences, PAIRS, labels=np.repeat(np.arange(20), 6)), stood(preferences, PAIRS)
    assert (whole[0].se or 0) > 1.8 * (alone[0].se or 1)
    few = stood(preferences, PAIRS, labels=np.arange(120) % 5)
    assert few[0].value is not None
    assert few[0].interval.note == "too few clusters: 5 of at least 10"
    preferences = np.asarray([[1.0, 1, 1]] * 11 + [[0.0, 0, 0]])
    for one in stood(preferences, PAIRS, resamples=999):
        assert one.value is not None
        assert one.interval.high == 1, "a third of the resamples know no loss"
