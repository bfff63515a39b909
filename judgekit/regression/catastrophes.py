"""Rare catastrophes: what share of all items may have fallen far, judged by the items that were seen.

A mean hides them: where 1 % of the items fall by 90 points, two in three samples of 110 items show one fall or none.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from judgekit.regression.paired_scores import SAME, Paired, Vector
from judgekit.text import counted

Group = Callable[[Sequence[str], Vector], Vector]
"""(item ids, 1 where the item fell) → 1 where the unit that is counted (the item, or its cluster) has a fall."""


@dataclass(frozen=True)
class Falls:
    """So many of so many `units` (items, or clusters of them) fell by `fall` points or more."""

    fall: float
    fell: int
    units: int
    named: str = "item"

    @classmethod
    def of(cls, matched: Paired, fall: float, scale_range: float, group: Group) -> tuple[Falls, Falls]:
        """Those of the items that both sides have scored; and with every missing verdict as bad as can be."""
        found = []
        for ids, changes in ((matched.ids, matched.difference), (matched.every, matched.worst)):
            units = group(ids, (changes <= -fall + SAME * scale_range).astype(np.float64)) > 0
            found.append(cls(fall, int(units.sum()), len(units), "item" if len(units) == len(ids) else "cluster"))
        return found[0], found[1]

    @property
    def share(self) -> float | None:
        return self.fell / self.units if self.units else None

    @property
    def most(self) -> float:
        """The share of all items that may have fallen: the upper end of Clopper and Pearson's one-sided interval."""
        from judgekit.statistics.gating import LEVEL

        return 1.0 if self.fell == self.units else _quantile(self.fell + 1, self.units - self.fell, 1 - LEVEL)

    @property
    def least(self) -> float:
        from judgekit.statistics.gating import LEVEL

        return _quantile(self.fell, self.units - self.fell + 1, LEVEL) if self.fell else 0.0

    def p_more(self, share: float) -> float:
        """The chance of so many falls or more where the `share` of all items fell: one-sided, exact."""
        from scipy.special import betainc

        return float(betainc(self.fell, self.units - self.fell + 1, share)) if self.fell else 1.0

    @property
    def unseen(self) -> str:
        """What a mean that passes cannot have seen."""
        seen = f"{self.fell} of {counted(self.units, self.named)} fell by {self.fall:g} or more"
        return f"{seen}; of all {self.named}s up to {100 * self.most:.1f} % may (95 %)"


def items_needed(share: float) -> int:
    """The fewest items without any fall that show that at most this share of all falls."""
    from judgekit.statistics.gating import LEVEL

    return math.ceil(math.log(LEVEL) / math.log1p(-share))


def _quantile(a: int, b: int, p: float) -> float:
    """The p-quantile of the beta distribution."""
    from scipy.special import betaincinv

    return float(betaincinv(a, b, p))
