"""Limits on a metric's own mean, compared with the interval that the record prints for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from judgekit.data.groups import clusters_of
from judgekit.errors import DataError
from judgekit.regression.baseline import accepted_by, system_key
from judgekit.results import Estimate, Interval, RunView

if TYPE_CHECKING:
    from judgekit.statistics.items import ItemTable

_HALVINGS = 16  # of the confidence, in search of a p-value


@dataclass(frozen=True)
class Limit:
    """The headline of one system, its item values, and how the run makes intervals of them.

    `filled` are the same rows with missing verdicts at the scale's low, and at its high end. `mean`: the headline is
    the mean of its items. Of another one only its own interval is known, not what missing verdicts could make of it.
    """

    estimate: Estimate
    table: ItemTable
    filled: tuple[ItemTable, ItemTable]
    settings: Mapping[str, Any]
    missing: int
    mean: bool = True

    @classmethod
    def of(cls, view: RunView, metric: str, key: str) -> Limit:
        """Raises DataError where the record has no estimate of it."""
        from judgekit.statistics.estimates import is_item_mean
        from judgekit.statistics.items import ItemTable

        record = view.record
        estimate = next(
            (
                one
                for one in record.estimates
                if (one.metric, one.series, one.estimand, one.group) == (metric, "value", "new items", None)
                and system_key(one.system, one.opponent) == key
            ),
            None,
        )
        if estimate is None:
            raise DataError(f"{record.run_id} has no estimate of {metric} for {key}")
        settings, labels = record.part("statistics"), clusters_of(record, view.samples)
        table, low, high = ItemTable(labels), ItemTable(labels), ItemTable(labels)
        ends = (estimate.scale.low, estimate.scale.high)
        missing, accepted = 0, accepted_by(record)
        for row in view.rows:
            if row.metric != metric or system_key(row.system, row.opponent) != key:
                continue
            if row.status == "skipped" or row.status in accepted:
                continue
            place = (row.sample_id, row.repeat, row.judge_repeat)
            missing += row.value is None
            table.add(*place, row.value, row.status)
            for filled, end in zip((low, high), ends, strict=True):
                filled.add(*place, end if row.value is None else row.value)
        return cls(
            estimate,
            table,
            (low, high),
            {**settings, "seed": record.spec.get("seed")},
            missing,
            is_item_mean(estimate, table),
        )

    @staticmethod
    def holds(interval: Interval, threshold: float, upper: bool) -> bool:
        """True if the whole interval is within the limit; never for a missing interval."""
        if interval.low is None or interval.high is None:
            return False
        return interval.high <= threshold if upper else interval.low >= threshold

    @staticmethod
    def missed(interval: Interval, threshold: float, upper: bool) -> bool:
        """True if the whole interval is beyond the limit."""
        if interval.low is None or interval.high is None:
            return False
        return interval.low > threshold if upper else interval.high < threshold

    def extreme(self, high: bool) -> Interval:
        """The interval with every missing verdict at the scale's high (or low) end."""
        if not self.missing:
            return self.estimate.interval
        if not self.mean:
            return Interval(method="none", low=None, high=None, note="it is no mean of values by item")
        return self.made(self.filled[high])

    def p(self, threshold: float, upper: bool) -> float:
        """One-sided p of "the mean is within the limit": the least level whose interval is beyond it."""
        if not self.mean:  # no more is known than that the interval is beyond the limit
            tail = round((1 - self.estimate.confidence) / 2, 12)
            return tail if self.missed(self.estimate.interval, threshold, upper) else 0.5
        most, least = 0.5, 0.0
        for _ in range(_HALVINGS):
            level = (most + least) / 2
            beyond = self.missed(self.made(self.table, 1 - 2 * level), threshold, upper)
            most, least = (level, least) if beyond else (most, level)
        return most

    def made(self, table: ItemTable, confidence: float | None = None) -> Interval:
        """The interval that the run makes of such a table."""
        from judgekit.statistics.estimates import IntervalTerms, Subject, estimate
        from judgekit.statistics.intervals import Range, on_grid
        from judgekit.statistics.methods import RESAMPLES

        mine, scale = self.estimate, Range(self.estimate.scale.low, self.estimate.scale.high)
        share = mine.interval.method.startswith("wilson") and not on_grid(self.table.values(), scale, 2)
        seed = self.settings.get("seed")
        terms = IntervalTerms(
            confidence=mine.confidence if confidence is None else confidence,
            method=self.settings.get("interval", "auto"),
            resamples=self.settings.get("resamples", RESAMPLES),
            seed=seed if isinstance(seed, int) else 0,
        )
        return estimate(table, Subject(mine.metric, mine.system, mine.scale, share=share), terms)[0].interval
