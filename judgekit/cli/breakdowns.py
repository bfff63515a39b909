"""The printed tables of breakdowns: each metric's headline and own numbers, a line a group and a column a system."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from judgekit.cli.tables import interval, number
from judgekit.regression.baseline import system_key
from judgekit.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from judgekit.results import Breakdown, Estimate, RunRecord

MOST = 20  # lines of a table; of more groups the ends are shown


class BreakdownTable(NamedTuple):
    title: str
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]


def breakdown_tables(record: RunRecord) -> Iterator[BreakdownTable]:
    """One table a field, metric and shown series."""
    for breakdown in record.breakdowns:
        for metric in dict.fromkeys(estimate.metric for estimate in breakdown.estimates):
            mine = [one for one in (*breakdown.estimates, *breakdown.differences) if one.metric == metric]
            for series in dict.fromkeys(one.series for one in mine if one.series == "value" or not one.is_mean):
                yield _table(breakdown, metric, [one for one in mine if one.series == series])


def _table(breakdown: Breakdown, metric: str, estimates: Sequence[Estimate]) -> BreakdownTable:
    columns = list(dict.fromkeys(map(_column, estimates)))
    cells = {(estimate.group, _column(estimate)): estimate for estimate in estimates}
    here = [
        group for group in (one.name for one in breakdown.groups) if any((group, column) in cells for column in columns)
    ]
    shown, left_out = _shown(here, [cells.get((group, columns[0])) for group in here])
    rows = [
        (group, _items(cells.get((group, columns[0]))), *(_cell(cells.get((group, column))) for column in columns))
        for group in shown
    ]
    if left_out:
        half = len(shown) // 2
        rows.insert(half, (f"… {counted(left_out, 'other')}, in the reports", "", *("" for _ in columns)))
    order = f", the lowest and the highest of {columns[0]}" if left_out else ""
    groups = counted(len(here), "group")
    what = metric if estimates[0].series == "value" else f"{metric}, {estimates[0].scale.label}"
    title = f"{what} by {breakdown.field}: {groups}{order}; each interval is for its group alone"
    return BreakdownTable(title, (breakdown.field, "items", *columns), rows)


def _shown(groups: Sequence[str], estimates: Sequence[Estimate | None]) -> tuple[list[str], int]:
    """The groups to show, and the number of the others: all in their order, or the lowest and the highest."""
    if len(groups) <= MOST:
        return list(groups), 0
    values = {
        group: estimate.value
        for group, estimate in zip(groups, estimates, strict=True)
        if estimate is not None and estimate.value is not None
    }
    ranked = sorted(values, key=lambda group: values[group])
    ends = [*ranked[: MOST // 2], *ranked[-MOST // 2 :]] if len(ranked) > MOST else ranked
    return ends, len(groups) - len(ends)


def _column(estimate: Estimate) -> str:
    if estimate.against is not None:
        return f"{estimate.system} − {estimate.against}"
    return system_key(estimate.system, estimate.opponent)


def _items(estimate: Estimate | None) -> str:
    if estimate is None:
        return ""
    missing = sum(count for status, count in estimate.counts.items() if status != "scored")
    return f"{estimate.n_items}" + (f" ({missing} not scored)" if missing else "")


def _cell(estimate: Estimate | None) -> str:
    if estimate is None:
        return "–"
    signed = estimate.against is not None
    spread = interval(estimate.interval, estimate.scale, signed=signed)
    return f"{number(estimate.value, estimate.scale, signed=signed)} {spread if spread[0] == '[' else f'({spread})'}"
