"""Power of a gate: the chance that it says FAIL, the least change that it finds, and the items that it needs.

Differences are taken for normal; their standard deviation is estimated from n of them, as in the gate itself. So the
chance is an average over the chi distribution of that estimate, with the rule of gating.py inside, margin and small-n
hull included.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.special import chdtri, ndtr

from judgekit.statistics.gating import Design, bounds, fails
from judgekit.statistics.intervals import SAME
from judgekit.statistics.items import Floats

POWER = 0.8
MOST = 10_000_000  # items; a gate that would need more cannot be had
_POINTS = 128  # of the distribution of the estimated standard deviation
_HALVINGS = 48


def detection(change: float, sd: float, design: Design, margin: float = 0.0) -> float:
    """P(FAIL) if the true mean difference is `change` (negative: worse) and one difference's true sd is `sd`."""
    return _chance(change, _edges(sd, design, margin), sd, design)


def minimum_detectable(sd: float, design: Design, margin: float = 0.0, power: float = POWER) -> float | None:
    """The least worsening that is found with that power; None where not even one of the whole range is.

    With many items and a margin of at most twice the half-width this is the textbook's (1.645 + z_power)·sd/√n.
    """
    edges = _edges(sd, design, margin)
    if _chance(-design.span, edges, sd, design) < power:
        return None
    few, enough = 0.0, design.span
    for _ in range(_HALVINGS):
        middle = (few + enough) / 2
        few, enough = (few, middle) if _chance(-middle, edges, sd, design) >= power else (middle, enough)
    return enough


def items_needed(sd: float, design: Design, margin: float, power: float = POWER) -> int | None:
    """The fewest items (or clusters) with which the least change that is found is within the margin; None for more
    than `MOST`. About ((1.645 + z_power)·sd/margin)²."""

    def enough(n: int) -> bool:
        least = minimum_detectable(sd, replace(design, n=n), margin, power)
        return least is not None and least <= margin

    high = design.n
    while not enough(high):
        high *= 2
        if high > MOST:
            return None
    low = 10 if design.clustered else 2
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle + 1, high)
    return high


def _edges(sd: float, design: Design, margin: float) -> Floats:
    """The mean difference under which the gate says FAIL, for each likely estimate of the standard deviation."""
    share = (np.arange(_POINTS) + 0.5) / _POINTS
    estimates = sd * np.sqrt(chdtri(design.n - 1, 1 - share) / (design.n - 1))
    below, above = np.full(_POINTS, -design.span), np.zeros(_POINTS)
    never = ~fails(*bounds(below, estimates, design), margin)
    for _ in range(_HALVINGS):
        middle = (below + above) / 2
        failed = fails(*bounds(middle, estimates, design), margin)
        below, above = np.where(failed, middle, below), np.where(failed, above, middle)
    return np.where(never, -np.inf, below)


def _chance(change: float, edges: Floats, sd: float, design: Design) -> float:
    error = max(sd, SAME * design.span) / np.sqrt(design.n)
    return float(np.mean(ndtr((edges - change) / error)))
