"""What a pairwise metric's items say besides their mean: counts, and a test of the judge's liking for a position."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import bdtr

from judgekit.statistics.items import ItemTable

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
