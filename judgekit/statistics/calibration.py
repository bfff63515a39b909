"""Calibration of a judge: the labels' mean where the judge gave about the same score: a reliability
diagram (Murphy and Winkler 1977), for scores of any scale."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from judgekit.records import Scale
from judgekit.results import Calibration
from judgekit.statistics.estimates import IntervalTerms, Subject, estimate
from judgekit.statistics.items import ItemTable

BINS = 5
Rated = tuple[str, float, float]
"""(item, the judge's value, the label)"""


def calibration(ratings: Iterable[Rated], scale: Scale, **settings: Any) -> tuple[Calibration, ...]:
    """One entry for each value that the judge gave where these are BINS at most; else for each part of BINS equal ones
    of the scale that has any, the last one closed. `settings` are those of IntervalTerms.

    Means are over items, the responses of one averaged; the interval is the labels' own.
    """
    rated = list(ratings)
    values = sorted({judge for _, judge, _ in rated})
    width = (scale.high - scale.low) / BINS
    parts = [(scale.low + width * part, scale.low + width * (part + 1)) for part in range(BINS)]
    return tuple(_made([(value, value) for value in values] if len(values) <= BINS else parts, rated, scale, settings))


def _made(
    bins: list[tuple[float, float]], ratings: list[Rated], scale: Scale, settings: dict[str, Any]
) -> Iterator[Calibration]:
    for low, high in bins:
        last = high == bins[-1][1]
        inside = [one for one in ratings if low <= one[1] < high or (one[1] == high and (last or low == high))]
        if not inside:
            continue
        judged, labelled = ItemTable(), ItemTable()
        for repeat, (item, judge, label) in enumerate(inside):
            judged.add(item, repeat, 0, judge)
            labelled.add(item, repeat, 0, label)
        there = judged.by_id().values()
        mean = estimate(labelled, Subject("calibration", "", scale), IntervalTerms(**settings))[0]
        assert mean.value is not None
        yield Calibration(
            low=low,
            high=high,
            n_pairs=len(inside),
            n_items=mean.n_items,
            judge=sum(there) / len(there),
            label=mean.value,
            interval=mean.interval,
        )
