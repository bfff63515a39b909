"""Tables of item values, from the rows of a finished run."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING

from judgekit.errors import DataError
from judgekit.records import Row, Scale, ScoreKey
from judgekit.results import RunRecord

if TYPE_CHECKING:
    from judgekit.statistics.items import ItemTable


DIGITS = 9


def scales_of(record: RunRecord) -> dict[str, Scale]:
    """The scale of every metric's headline."""
    return {estimate.metric: estimate.scale for estimate in record.estimates if estimate.series == "value"}


def item_tables(
    rows: Iterable[Row], metrics: Collection[str], accepted: Collection[str] = ()
) -> tuple[dict[ScoreKey, ItemTable], dict[str, set[str]]]:
    """(item values by place, without rows that are skipped, or `accepted` by their status; the ids that each metric has
    rows for)"""
    from judgekit.statistics.items import ItemTable

    tables: dict[ScoreKey, ItemTable] = {}
    used: dict[str, set[str]] = {}
    for row in rows:
        if row.metric not in metrics:
            continue
        used.setdefault(row.metric, set()).add(row.sample_id)
        table = tables.setdefault(row.place, ItemTable())
        if row.status == "skipped" or row.status in accepted:
            table.counts[row.status] += 1
            continue
        try:
            table.add(row.sample_id, row.repeat, row.judge_repeat, row.value, row.status)
        except ValueError as error:
            raise DataError(f"rows.jsonl: {error}") from None
    return tables, used


NO_HEADLINE = "has no headline: its estimates are of all items together"
NO_MEAN = "has a headline that is no mean of values by item"


def unpaired(record: RunRecord, tables: Mapping[ScoreKey, ItemTable]) -> dict[str, str]:
    """Why the headlines of these metrics cannot be paired by item, in words, by metric; empty for all others.
    Raises DataError where a row is there twice."""
    from judgekit.statistics.estimates import is_item_mean

    whys = dict.fromkeys((estimate.metric for estimate in record.estimates), NO_HEADLINE)
    for one in record.estimates:
        if (one.series, one.estimand, one.group) == ("value", "new items", None):
            table = tables.get(ScoreKey(one.metric, one.system, one.opponent or ""))
            try:
                paired = table is None or is_item_mean(one, table)
            except ValueError as error:
                raise DataError(f"rows.jsonl: {error}") from None
            whys[one.metric] = whys[one.metric] if whys[one.metric] == NO_MEAN else "" if paired else NO_MEAN
    return {metric: why for metric, why in whys.items() if why}


def rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")
