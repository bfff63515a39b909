"""Conversations: what a metric says of each of the user's turns, and the mean over them.

Positions up to LAST have a series each; what comes later shares one, for few conversations are that long.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import judgekit

LAST = 10
MEAN, LATER = "turns", "later_turns"


def turn_series(samples: Iterable[judgekit.Sample], values: judgekit.Scale) -> dict[str, judgekit.Scale]:
    """The series of the turns of these samples, each on the scale of `values`; none where no sample has several."""
    longest = max((len(sample.turns) + 1 for sample in samples), default=1)
    if longest == 1:
        return {}
    labels = {MEAN: "mean over turns"}
    labels |= {position(place): f"turn {place + 1}" for place in range(min(longest, LAST))}
    if longest > LAST:
        labels[LATER] = f"turns after the {LAST}th"
    return {name: values.model_copy(update={"label": label}) for name, label in labels.items()}


def position(place: int) -> str:
    """The series of the turn number `place`, from 0."""
    return f"turn_{place + 1}" if place < LAST else LATER


def spread(values: Sequence[float | None]) -> dict[str, float]:
    """The series of one conversation from the value of each turn; a turn without one is left out, and then so is the
    mean of what it belongs to."""
    series: dict[str, float] = {}
    by_name: dict[str, list[float | None]] = {MEAN: list(values)}
    for place, value in enumerate(values):
        by_name.setdefault(position(place), []).append(value)
    for name, mine in by_name.items():
        known = [value for value in mine if value is not None]
        if len(known) == len(mine):
            series[name] = mean(known)
    return series


def mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
