"""What a pairwise metric's items say besides their mean: counts, and a test of the judge's liking for a position."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import bdtr

from judgekit.statistics.items import Floats, ItemTable


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
    wins, losses = int(np.sum(means > 0.5 + 1e-12)), int(np.sum(means < 0.5 - 1e-12))
    return Outcomes(wins, len(means) - wins - losses, losses)


def position_test(first: ItemTable) -> PositionTest:
    """`first`: the preference for the position shown first, a half where the verdict did not change with the order.

    An item judged several times counts once, by the mean of its preferences.
    """
    _, means = first.means()
    return position_test_of(means)


def position_test_of(means: Floats) -> PositionTest:
    """The same for item means in [0, 1]."""
    won, lost = int(np.sum(means > 0.5 + 1e-12)), int(np.sum(means < 0.5 - 1e-12))
    return PositionTest(won + lost, won, sign_test(won, lost))


def sign_test(wins: int, losses: int) -> float | None:
    """The two-sided exact p-value of so many wins and losses under even odds (Conover 1999, 3.4); None for none."""
    n = wins + losses
    return min(1.0, 2 * float(bdtr(min(wins, losses), n, 0.5))) if n else None
