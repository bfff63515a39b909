"""Outcomes of a pairwise metric besides its mean: counts of items, and a test of the judge's liking for a position."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import bdtr

from judgekit.statistics import ItemTable, Pair, Statistic

_NOISE = 1e-12  # of the mean of a few preferences


@dataclass(frozen=True)
class Outcomes:
    """Items by the mean of their preferences: over a half, a half, under a half."""

    wins: int
    ties: int
    losses: int


@dataclass(frozen=True)
class PositionTest:
    """Of the items whose verdict changed with the order: how many chose what was shown first.

    `p` is the two-sided exact p-value of the sign test that either position is as likely; None without such items.
    """

    changed: int
    first: int
    p: float | None


def outcomes(preferences: ItemTable) -> Outcomes:
    _, means = preferences.means()
    wins, losses = int(np.sum(means > 0.5 + _NOISE)), int(np.sum(means < 0.5 - _NOISE))
    return Outcomes(wins, len(means) - wins - losses, losses)


def position_test(first: ItemTable, consistent: ItemTable) -> PositionTest:
    """`first`: the preference for the position shown first; `consistent`: whether both orders name the same winner.

    A soft verdict may move with the order and still name the same winner: such an item did not change. An item judged
    several times counts once, as changed if any of its verdicts did, by the mean of its preferences.
    """
    changed = {item for item, mean in consistent.by_id().items() if mean < 1}
    means = [mean for item, mean in first.by_id().items() if item in changed]
    won, lost = sum(mean > 0.5 + _NOISE for mean in means), sum(mean < 0.5 - _NOISE for mean in means)
    return PositionTest(len(changed), won, sign_test(won, lost))


def sign_test(wins: int, losses: int) -> float | None:
    """The two-sided exact p-value of so many wins and losses under even odds (Conover 1999, 3.4); None for none."""
    n = wins + losses
    return min(1.0, 2 * float(bdtr(min(wins, losses), n, 0.5))) if n else None


def outcome_statistics(metric: str, pair: Pair, preferences: ItemTable) -> list[Statistic]:
    """Items won, tied and lost."""
    counted = outcomes(preferences)
    return [
        _statistic(metric, pair, name, f"items {label}", value, "by the mean of the item's preferences")
        for name, label, value in (
            ("wins", "won", counted.wins),
            ("ties", "tied", counted.ties),
            ("losses", "lost", counted.losses),
        )
    ]


def position_statistics(metric: str, pair: Pair, first: ItemTable, consistent: ItemTable) -> list[Statistic]:
    """The sign test of "first wins" among the items whose verdict changed with the order."""
    test = position_test(first, consistent)
    changed = "of the items whose verdict changed with the order"
    why = "two-sided and exact, " + changed if test.p is not None else "no verdict changed with the order"
    return [
        _statistic(metric, pair, "changed", "verdict changed with the order", test.changed, "items"),
        _statistic(metric, pair, "first_won", "the first position won", test.first, changed),
        _statistic(metric, pair, "sign_test", "p of the sign test of positions", test.p, why),
    ]


def _statistic(metric: str, pair: Pair, name: str, label: str, value: float | None, note: str) -> Statistic:
    system, opponent = pair
    return Statistic(metric=metric, system=system, opponent=opponent, name=name, label=label, value=value, note=note)
