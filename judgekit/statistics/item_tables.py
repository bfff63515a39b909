"""Tables of item values, from the rows of a finished run."""

from __future__ import annotations

from collections.abc import Collection, Iterable
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


def item_tables(rows: Iterable[Row], metrics: Collection[str]) -> tuple[dict[ScoreKey, ItemTable], dict[str, set[str]]]:
    """(item values by place, without skipped rows; the ids that each metric has rows for)"""
    from judgekit.statistics.items import ItemTable

    tables: dict[ScoreKey, ItemTable] = {}
    used: dict[str, set[str]] = {}
    for row in rows:
        if row.metric not in metrics:
            continue
        used.setdefault(row.metric, set()).add(row.sample_id)
        table = tables.setdefault(row.place, ItemTable())
        if row.status == "skipped":
            table.counts["skipped"] += 1
            continue
        try:
            table.add(row.sample_id, row.repeat, row.judge_repeat, row.value, row.status)
        except ValueError as error:
            raise DataError(f"rows.jsonl: {error}") from None
    return tables, used


def rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")
