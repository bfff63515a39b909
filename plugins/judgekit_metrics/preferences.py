"""Two preferences for a system over its opponent, one an order, and the values of the row that they make.

The named rules (statistics.md, section 2): `mean` of both orders, in which an inconsistent swap is a half, and
`both_orders`, in which an item is won or lost only if both orders say so, and tied otherwise. Ties are never dropped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from operator import mul
from typing import Literal

import judgekit
from judgekit_metrics.style import STYLE, style_differences

Rule = Literal["mean", "both_orders"]
LONGER = "longer"  # by how many characters the system's answer is the longer one; it has no scale
WEIGHT, WEIGHTED = "weight", "weighted"  # how many verdicts the item counts as, and how many of them are won
ANNOTATOR = "annotator"  # the number of who gave the verdict, where several people did
UNSCALED = (LONGER, *STYLE, WEIGHT, WEIGHTED, ANNOTATOR)


def _share(label: str) -> judgekit.Scale:
    return judgekit.Scale(label=label, low=0, high=1, unit="%")


SERIES: Mapping[str, judgekit.Scale] = {
    "value": _share("win rate"),
    "consistent": _share("same verdict in both orders"),
    "first": _share("preference for the first position"),
    "consistent_only": _share("win rate, consistent only"),
    "both_orders": _share("win rate, by both orders"),
    "mean": _share("win rate, mean of orders"),
    "right": _share("right by the labels"),
    "right_first": _share("right, shown first"),
    "right_second": _share("right, shown second"),
    "right_both": _share("right in both orders"),
    "right_mean": _share("right by the mean of both orders"),
}
SHARES = frozenset({"first", "right"})  # means of two judgements: Wilson's interval


@dataclass(frozen=True)
class Battle:
    """One comparison: its verdicts on system against opponent, the first with the system shown first.

    `second` is None where only one order was judged; `order_free`: both orders are the same reading. `label` is what
    people prefer, 1 the system, 0 the opponent, ½ neither, None if not known; `looks` are the answers' differences. A
    verdict with a `weight` in its series counts as so many.
    """

    first: judgekit.Verdict
    second: judgekit.Verdict | None = None
    order_free: bool = False
    label: float | None = None
    looks: Mapping[str, float] = field(default_factory=dict)

    @property
    def verdicts(self) -> tuple[judgekit.Verdict, ...]:
        return (self.first,) if self.second is None else (self.first, self.second)

    def row(
        self, system: str, opponent: str, sample_id: str, rule: Rule, repeat: int = 0, judge_repeat: int = 0
    ) -> judgekit.Row:
        """The row, its value by the rule. Without a verdict in either order it has no value."""
        values = [verdict.value for verdict in self.verdicts if verdict.value is not None]
        scored = len(values) == len(self.verdicts)
        status = next((verdict.status for verdict in self.verdicts if verdict.status != "scored"), "scored")
        return judgekit.Row(
            metric="",
            system=system,
            opponent=opponent,
            sample_id=sample_id,
            repeat=repeat,
            judge_repeat=judge_repeat,
            status=status,
            value=(_both_orders(values) if rule == "both_orders" else _mean(values)) if scored else None,
            series=self._series(values, rule) if scored else {},
            verdicts=self.verdicts,
        )

    def _series(self, values: Sequence[float], rule: Rule) -> dict[str, float]:
        """The further values. Those about the order are left out where they would be so by construction."""
        series = {}
        if len(values) == 2 and not self.order_free:
            first, second = values
            same = side(first) == side(second)
            # The system stood first in the first order and second in the other.
            series = {"consistent": float(same), "first": (first + 1 - second) / 2}
            if same:
                series["consistent_only"] = _mean(values)
            series |= {"mean": _mean(values)} if rule == "both_orders" else {"both_orders": _both_orders(values)}
        if self.label is not None:
            right = [float(side(value) == side(self.label)) for value in values]
            series["right"] = _mean(right)
            if len(right) == 2 and not self.order_free:
                series |= {"right_first": right[0], "right_second": right[1], "right_both": min(right)}
                series["right_mean"] = float(side(_mean(values)) == side(self.label))
        if any(WEIGHT in verdict.series for verdict in self.verdicts):
            weights = [verdict.series.get(WEIGHT, 1.0) for verdict in self.verdicts]
            series |= {WEIGHT: sum(weights), WEIGHTED: sum(map(mul, weights, values))}
        return {**series, **self.looks}


def looks_of(ours: Sequence[str], theirs: Sequence[str], style: bool) -> dict[str, float]:
    """By how many characters our answers are longer than theirs; with `style`, how they differ in Markdown too."""
    longer = {LONGER: float(sum(map(len, ours)) - sum(map(len, theirs)))}
    return longer | (style_differences("\n".join(ours), "\n".join(theirs)) if style else {})


def side(value: float) -> int:
    """1 for a win, 0 for a tie, −1 for a loss."""
    return (value > 0.5) - (value < 0.5)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _both_orders(values: Sequence[float]) -> float:
    """1 or 0 if every order says so, else ½."""
    sides = {side(value) for value in values}
    return (1 + sides.pop()) / 2 if len(sides) == 1 else 0.5


def all_pairs(systems: Sequence[str], anchor: str) -> list[tuple[str, str]]:
    """Every two systems once, the anchor never as the system but always as the opponent."""
    order = [anchor, *(system for system in systems if system != anchor)]
    return [(system, opponent) for place, system in enumerate(order) for opponent in order[:place]]
