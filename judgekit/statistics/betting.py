"""The hedged betting interval: guaranteed coverage for any bounded scores, at any n, for 31–55 % more width."""

from __future__ import annotations

import math

import numpy as np

from judgekit.results import Interval
from judgekit.statistics.intervals import Range, too_few
from judgekit.statistics.items import Floats

GRID = 1_000  # candidate means; the interval is widened to the next one outwards
STAKE = 0.5  # the largest part of the capital at risk in one bet
BLOCK = 256  # items at a time


def betting(x: Floats, confidence: float, scale: Range, rng: np.random.Generator) -> Interval:
    """All candidate means against which a fair bettor has not grown rich.

    Waudby-Smith and Ramdas (2024), "Estimating means of bounded random variables by betting", the hedged capital
    process with predictable plug-in bets, intersected over time. Bets are placed in a seeded random order.
    """
    n, missing = len(x), too_few("betting", len(x))
    if missing:
        return missing
    values = rng.permutation(np.clip(scale.unit(np.sort(x)), 0, 1))
    bets = _bets(values, 1 - confidence)
    candidates = np.linspace(0, 1, GRID + 1)
    up = STAKE / np.maximum(candidates, 1e-12)
    down = STAKE / np.maximum(1 - candidates, 1e-12)
    rich = math.log(2 / (1 - confidence))  # half of the capital bets on more, half on less
    upper, lower = np.zeros(GRID + 1), np.zeros(GRID + 1)
    alive = np.ones(GRID + 1, dtype=bool)
    for start in range(0, n, BLOCK):
        gain = values[start : start + BLOCK, None] - candidates
        bet = bets[start : start + BLOCK, None]
        rise = upper + np.cumsum(np.log1p(np.minimum(bet, up) * gain), axis=0)
        fall = lower + np.cumsum(np.log1p(-np.minimum(bet, down) * gain), axis=0)
        alive &= np.maximum(rise, fall).max(axis=0) < rich
        upper, lower = rise[-1], fall[-1]
    kept = np.flatnonzero(alive)
    if kept.size == 0:  # narrower than the grid: the plain mean's neighbours
        kept = np.asarray([round(float(np.mean(values)) * GRID)])
    low, high = max(kept[0] - 1, 0) / GRID, min(kept[-1] + 1, GRID) / GRID
    return scale.interval("betting", scale.low + low * scale.range, scale.low + high * scale.range)


def _bets(values: Floats, alpha: float) -> Floats:
    """The plug-in bets √(2·log(2/α)/(n·σ̂²)), each from the values before it alone."""
    n = len(values)
    seen = np.arange(1, n + 1)
    means = (0.5 + np.cumsum(values)) / (seen + 1)
    variances = (0.25 + np.cumsum((values - means) ** 2)) / (seen + 1)
    before = np.concatenate(([0.25], variances[:-1]))
    return np.sqrt(2 * math.log(2 / alpha) / (n * before))
