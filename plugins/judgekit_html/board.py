"""Columns that items can be sorted and filtered by: their scores, the differences between systems, and the changes
since the baseline. The numbers come from judgekit.statistics.item_scores and judgekit.statistics.item_differences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import judgekit
import judgekit.statistics
from judgekit_html import numbers
from judgekit_html.findings import is_headline

CHANGED = "changed"
MARKS = {
    CHANGED: "changed since the baseline",
    "better": "better than the baseline",
    "worse": "worse than the baseline",
    "differs": "differs between the systems",
}
ItemScores = Mapping[judgekit.statistics.ScoreKey, Mapping[str, float]]
NOISE = 1e-9  # of the scale's range; below it a difference is the rounding of floats


@dataclass(frozen=True)
class Column:
    """One value an item. `kind`: its score, a system's score less another's, or its score less the baseline's."""

    kind: str
    metric: str
    label: str
    scale: judgekit.Scale
    values: Mapping[str, float]
    first: Mapping[str, float]
    second: Mapping[str, float]

    @cached_property
    def moved(self) -> dict[str, float]:
        """The values that are not zero, by sample id."""
        noise = NOISE * (self.scale.high - self.scale.low)
        return {sample_id: value for sample_id, value in self.values.items() if abs(value) > noise}

    def is_better(self, value: float) -> bool:
        return (value > 0) == self.scale.higher_is_better


class Board:
    """The columns of a run, in order: scores, differences, changes."""

    def __init__(self, run: judgekit.RunView) -> None:
        self.record, self.baseline = run.record, run.baseline or {}
        self.scores: ItemScores = judgekit.statistics.item_scores(run)
        self._scales = {e.metric: e.scale for e in run.record.estimates if is_headline(e)}
        self.differences = list(self._differences())
        self.changes = list(self._changes())
        self.columns = [*self._scored(), *self.differences, *self.changes]

    def _scored(self) -> Iterator[Column]:
        for place, values in self.scores.items():
            if place.metric in self._scales:
                label = f"{place.metric}, {_named(place)}"
                yield Column("score", place.metric, label, self._scales[place.metric], values, values, {})

    def _differences(self) -> Iterator[Column]:
        """system − against, of the record's paired differences."""
        for estimate in self.record.differences:
            if estimate.series != "value" or estimate.against is None or estimate.metric not in self._scales:
                continue
            pair = [
                self.scores.get(judgekit.statistics.ScoreKey(estimate.metric, system, estimate.opponent or ""), {})
                for system in (estimate.system, estimate.against)
            ]
            values = judgekit.statistics.item_differences(*pair)
            label = f"{estimate.metric}, {estimate.system} − {estimate.against}"
            if values:
                yield Column("difference", estimate.metric, label, self._scales[estimate.metric], values, *pair)

    def _changes(self) -> Iterator[Column]:
        """Now − baseline, for the items that both have."""
        for place, values in self.scores.items():
            before = self.baseline.get(place)
            if before is None or place.metric not in self._scales:
                continue
            changes = judgekit.statistics.item_differences(values, before)
            label = f"{place.metric}, {_named(place)} since the baseline"
            if changes:
                yield Column("change", place.metric, label, self._scales[place.metric], changes, values, before)

    def values(self, sample_id: str) -> tuple[str, ...]:
        """One text a column, empty where the item has no value."""
        return tuple(f"{value:g}" if (value := c.values.get(sample_id)) is not None else "" for c in self.columns)

    def marks(self, sample_id: str) -> tuple[str, ...]:
        marks: dict[str, None] = {}
        if any(sample_id in column.moved for column in self.differences):
            marks["differs"] = None
        for column in self.changes:
            if (value := column.moved.get(sample_id)) is not None:
                marks[CHANGED] = None
                marks["better" if column.is_better(value) else "worse"] = None
        return tuple(mark for mark in MARKS if mark in marks)

    def changes_of(self, sample_id: str) -> tuple[tuple[str, str], ...]:
        """(what, by how much and from where) since the baseline."""
        changes = []
        for column in self.changes:
            if sample_id in column.moved:
                before, now = (numbers.amount(side[sample_id], column.scale) for side in (column.second, column.first))
                changes.append((column.label, f"{before} → {now}"))
        return tuple(changes)


def _named(place: judgekit.statistics.ScoreKey) -> str:
    return f"{place.system} against {place.opponent}" if place.opponent else place.system
