"""Newton's method for many small fits at once, and what a fit gives."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from judgekit.statistics import Floats, Indices, Interval

STEPS = 100  # it takes about six
LONGEST = 2.0  # a step, in log-odds, so that a fit far from its start does not leap over its maximum


class Fitted(NamedTuple):
    """A fitted probability; None where it cannot be known: the interval's note says why."""

    value: float | None
    se: float | None
    interval: Interval


def newton(start: Floats, step: Callable[[Floats, Indices], Floats], converged: float) -> Floats:
    """(fits × parameters) where the steps end, NaN where they do not.

    `step` is given the parameters of the fits still under way, and which these are.
    """
    now, fitted, active = start.copy(), np.full(start.shape, np.nan), np.arange(len(start))
    for _ in range(STEPS):
        if not len(active):
            break
        move = step(now[active], active)
        size = np.abs(move).max(axis=1, keepdims=True)
        now[active] += move * np.minimum(1, LONGEST / np.maximum(size, LONGEST))
        finished = size[:, 0] < converged
        fitted[active[finished]] = now[active[finished]]
        active = active[~finished]
    return fitted
