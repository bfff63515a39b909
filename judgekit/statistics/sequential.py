"""Sequential looks as results arrive: two always-valid tests of a bounded mean difference, by betting.

Waudby-Smith and Ramdas (2024), "Estimating means of bounded random variables by betting", section 5: a bettor against
the hypothesis stakes a share of the capital on each difference. Under the hypothesis the capital is a supermartingale,
so the chance that it ever reaches 1/α is at most α (Ville 1939), at whatever moment one looks or stops. The capital
here is the mean over bettors with fixed stakes (their "diversified Kelly"): it grows nearly as fast as that of the
best of them, and no stake depends on what was seen.

Differences are candidate − baseline, in the order in which they were judged, turned so that more is better.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from judgekit.statistics.gating import LEVEL, Decision
from judgekit.statistics.items import Floats

# Shares of the largest stake that can be paid whatever comes. The last leaves the capital positive.
STAKES = np.asarray([1 / 64, 1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 3 / 4, 0.99])
GRID = 400  # candidate means; the interval is widened to the next one outwards
BLOCK = 64  # differences at a time
SHARE = 0.5  # of the level is spent on looks; the rest on the test at the end, if no look decided


@dataclass(frozen=True)
class Looked:
    """`decided` at difference number `at` (from 1), or None after all of them. The p are always valid: they may be
    read at any moment; `p_worse` is of "no worse", `p_within` of "worse by the margin or more"."""

    decided: Literal["PASS", "FAIL"] | None
    at: int
    p_worse: float
    p_within: float


def look(
    worst: ArrayLike, best: ArrayLike, margin: float, span: float, fail_level: float = LEVEL, pass_level: float = LEVEL
) -> Looked:
    """The first decision on the differences in their order.

    `worst` and `best` differ where verdicts are missing: PASS is claimed from the worst, FAIL from the best.
    """
    better, worse = log_capital(worst, -margin, span, "more"), log_capital(best, 0.0, span, "less")
    passed = np.flatnonzero(better >= -math.log(pass_level))
    failed = np.flatnonzero(worse >= -math.log(fail_level))
    first_pass, first_fail = (int(looks[0]) if looks.size else len(better) for looks in (passed, failed))
    at = min(first_pass, first_fail)
    decided: Decision | None = None if at == len(better) else "PASS" if first_pass <= first_fail else "FAIL"
    seen = slice(0, at + 1)
    p_worse, p_within = (math.exp(-max(float(path[seen].max(initial=0.0)), 0.0)) for path in (worse, better))
    return Looked(decided if decided != "INCONCLUSIVE" else None, min(at + 1, len(better)), p_worse, p_within)


def log_capital(differences: ArrayLike, mean: float, span: float, bet: Literal["more", "less"]) -> Floats:
    """The bettor's log-capital after each difference, against a mean of `mean` (or less, if it bets on more; or more).

    `differences` has the shape (…, n), values in [−span, span]; so has the result. ValueError for others, and for a
    mean that is no inner point.
    """
    x = np.asarray(differences, dtype=np.float64)
    if not abs(mean) < span:
        raise ValueError(f"a mean of {mean:g} is not between differences of ± {span:g}")
    if x.size and not float(np.max(np.abs(x))) <= span * (1 + 1e-9):
        raise ValueError(f"differences are finite and within ± {span:g}")
    gain = (x - mean) / (span + mean) if bet == "more" else (mean - x) / (span - mean)  # −1 at the worst
    paths = np.log1p(STAKES[:, None] * np.maximum(gain, -1.0)[..., None, :])
    return _mean_capital(np.cumsum(paths, axis=-1))


def _mean_capital(logs: Floats) -> Floats:
    """log(mean over the stakes of exp(logs)), for (…, stakes, n) → (…, n)."""
    if logs.shape[-1] == 0:
        return logs[..., 0, :]
    most = logs.max(axis=-2)
    mean: Floats = most + np.log(np.mean(np.exp(logs - most[..., None, :]), axis=-2))
    return mean


def anytime_bounds(differences: ArrayLike, span: float, level: float = LEVEL) -> tuple[float, float]:
    """(L, U) of the mean difference, each one-sided at `level` and valid at any moment: all means against which no
    bettor has ever reached 1/level, one grid step wider."""
    x = np.asarray(differences, dtype=np.float64)
    candidates = np.linspace(-span, span, GRID + 1)[1:-1]
    rich = -math.log(level)
    sums = {side: np.zeros((len(candidates), len(STAKES))) for side in (1, -1)}
    alive = {side: np.ones(len(candidates), dtype=bool) for side in (1, -1)}
    for start in range(0, len(x), BLOCK):
        part = x[start : start + BLOCK]
        for side in (1, -1):
            gain = side * (part[:, None] - candidates) / (span + side * candidates)
            logs = sums[side] + np.cumsum(np.log1p(STAKES * np.maximum(gain, -1.0)[..., None]), axis=0)
            sums[side] = logs[-1]
            alive[side] &= (_mean_capital(np.moveaxis(logs, (0, 2), (2, 1))) < rich).all(axis=-1)
    step = 2 * span / GRID
    low = candidates[alive[1]][0] if alive[1].any() else span
    high = candidates[alive[-1]][-1] if alive[-1].any() else -span
    return max(float(low) - step, -span), min(float(high) + step, span)
