"""Paired differences of two systems on the same items, item by item, matched by id."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from judgekit.results import Interval
from judgekit.statistics.intervals import Range, plus_two_bounds, t_interval, too_few
from judgekit.statistics.items import Floats, Indices, ItemTable


@dataclass(frozen=True)
class Pairs:
    """Differences a − b of the items scored in both tables. `index` points into the first table's `ids`."""

    index: Indices
    difference: Floats
    bounds: tuple[float, float]


def pairs(a: ItemTable, b: ItemTable, scale: Range) -> Pairs:
    """Match the items of two tables by sample id.

    `bounds`: the mean difference over the items of either table, with whatever is missing at the worst for a and
    the best for b, and the reverse.
    """
    first, second = a.by_id(), b.by_id()
    shared = [sample_id for sample_id in a.ids if sample_id in first and sample_id in second]
    number = {sample_id: i for i, sample_id in enumerate(a.ids)}
    every = sorted({*a.ids, *b.ids})
    return Pairs(
        np.asarray([number[sample_id] for sample_id in shared], dtype=np.intp),
        np.asarray([first[sample_id] - second[sample_id] for sample_id in shared], dtype=np.float64),
        (_extreme(a, b, every, scale.low, scale.high), _extreme(a, b, every, scale.high, scale.low)),
    )


def _extreme(a: ItemTable, b: ItemTable, every: list[str], fill_a: float, fill_b: float) -> float:
    first, second = a.by_id(fill_a), b.by_id(fill_b)
    differences = [first.get(sample_id, fill_a) - second.get(sample_id, fill_b) for sample_id in every]
    return float(np.mean(differences)) if differences else 0.0


def paired_interval(difference: Floats, confidence: float, scale: Range) -> Interval:
    """The hull of the paired t-interval and the plus-two interval; without spread, plus-two alone.

    Plus-two adds two pseudo-differences, ± half the score's range. A claim needs both: over 250 weak real pairs of
    systems, t alone misses on one side in 7.6 % at n ≥ 100 (23.8 at worst), both in 6.0 (9.3). `scale` is the
    scores', not the differences'.
    """
    whole = Range(-scale.range, scale.range)
    missing = too_few("paired_t", len(difference))
    if missing:
        return missing
    student = t_interval(difference, confidence, whole)
    padded = plus_two_bounds(difference, confidence, -scale.range / 2, scale.range / 2)
    if student.low is None or student.high is None:
        return whole.interval("paired_plus_two", *padded)
    return whole.interval("paired_t+plus_two", min(student.low, padded[0]), max(student.high, padded[1]))
