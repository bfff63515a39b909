"""The gate's rule on paired differences: one-sided bounds, PASS / FAIL / INCONCLUSIVE, and Holm's correction.

A difference is candidate − baseline of one item (or cluster), turned so that more is better. L and U are one-sided
bounds of the mean difference, m the margin: PASS if L > −m; FAIL if U < 0 and not PASS; otherwise INCONCLUSIVE.
Everything takes arrays of means and standard deviations, so that power.py and the benchmark use this same rule.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtr, stdtrit

from judgekit.statistics.clusters import FEWEST
from judgekit.statistics.intervals import SAME
from judgekit.statistics.items import Floats

Decision = Literal["PASS", "FAIL", "INCONCLUSIVE"]
LEVEL = 0.05  # of each one-sided bound
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Design:
    """What the bounds depend on besides the data: `n` items (or clusters), the range `span` of the scores, and the
    one-sided `level`; `fail_level` is U's, where several claims share the level. ValueError for fewer than two items,
    or too few clusters."""

    n: int
    span: float
    level: float = LEVEL
    clustered: bool = False
    fail_level: float | None = None

    def __post_init__(self) -> None:
        if refused := too_few_units(self.n, self.clustered):
            raise ValueError(refused)

    @property
    def both(self) -> bool:
        """Whether plus-two has to agree with t (statistics.paired): where items are independent."""
        return not self.clustered


def too_few_units(n: int, clustered: bool = False) -> str:
    """Why so few items or clusters give no bound; empty where they do."""
    if clustered and n < FEWEST:
        return f"too few clusters: {n} of at least {FEWEST}"
    return "" if n > 1 else "one item has no interval" if n == 1 else "no scored item"


def bounds(mean: ArrayLike, sd: ArrayLike, design: Design) -> tuple[Floats, Floats]:
    """(L, U) of mean differences with standard deviations `sd` (ddof 1).

    These are the ends of `paired_interval` at confidence 1 − 2·level: the outer ones of t and plus-two; without
    spread, plus-two alone. Clusters: t with G − 1 degrees of freedom.
    """
    mean, sd = np.asarray(mean, dtype=np.float64), np.asarray(sd, dtype=np.float64)
    levels = design.level, design.level if design.fail_level is None else design.fail_level
    (centre, error), usual = _padded(mean, sd, design), sd / np.sqrt(design.n)
    flat, ends = sd <= SAME * design.span, []
    for sign, level, outer in zip((-1, 1), levels, (np.minimum, np.maximum), strict=True):
        student = mean + sign * float(stdtrit(design.n - 1, 1 - level)) * usual
        padded = centre + sign * float(stdtrit(design.n + 1, 1 - level)) * error
        ends.append(np.where(flat, padded, outer(student, padded) if design.both else student))
    return ends[0], ends[1]


def p_worse(mean: ArrayLike, sd: ArrayLike, design: Design) -> Floats:
    """One-sided p of "no worse": the least level at which U < 0. Both tests must agree, so it is the larger p."""
    mean, sd = np.asarray(mean, dtype=np.float64), np.asarray(sd, dtype=np.float64)
    centre, error = _padded(mean, sd, design)
    padded = stdtr(design.n + 1, centre / error)
    flat = sd <= SAME * design.span
    student = stdtr(design.n - 1, mean / np.where(flat, 1.0, sd / np.sqrt(design.n)))
    return np.where(flat, padded, np.maximum(student, padded) if design.both else student)


def _padded(mean: Floats, sd: Floats, design: Design) -> tuple[Floats, Floats]:
    """(mean, standard error) with two pseudo-differences, ± half of the scores' range, added."""
    n, reach = design.n, design.span / 2
    centre = n * mean / (n + 2)
    squares = (n - 1) * sd**2 + n * mean**2 + 2 * reach**2 - (n + 2) * centre**2
    return centre, np.sqrt(np.maximum(squares, 0) / (n + 1) / (n + 2))


def passes(low: ArrayLike, margin: float) -> Flags:
    return np.asarray(low) > -margin


def fails(low: ArrayLike, high: ArrayLike, margin: float) -> Flags:
    return (np.asarray(high) < 0) & ~passes(low, margin)


def decide(low: float, high: float, margin: float) -> Decision:
    """The three-state rule on one pair of bounds."""
    if bool(passes(low, margin)):
        return "PASS"
    return "FAIL" if bool(fails(low, high, margin)) else "INCONCLUSIVE"


def holm(p: Sequence[float]) -> list[float]:
    """Holm's (1979) adjusted p-values: of the claims with an adjusted p ≤ α, the chance of any false one is ≤ α."""
    order = sorted(range(len(p)), key=lambda i: p[i])
    adjusted, worst = [1.0] * len(p), 0.0
    for rank, i in enumerate(order):
        worst = max(worst, min(1.0, (len(p) - rank) * p[i]))
        adjusted[i] = worst
    return adjusted
