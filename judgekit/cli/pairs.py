"""Pairs of systems: what a run prints of metrics that compare them, and of every metric's statistics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from judgekit.cli.tables import number

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from judgekit.results import Estimate, RunRecord, Statistic

ASKED_TWICE = "asked_twice"  # the core's own statistic: a line, also of a pair


def several_opponents(estimates: Sequence[Estimate]) -> set[str]:
    """The metrics that compare more than one pair of systems with other opponents: a system's name says too little."""
    return {metric for (metric, series), names in _opponents(estimates).items() if series == "value" and len(names) > 1}


def shown_estimates(estimates: Sequence[Estimate]) -> list[Estimate]:
    """Those that the table of estimates has: of many pairs the headlines alone, and what is said of all systems
    together, against one opponent."""
    several, opponents = several_opponents(estimates), _opponents(estimates)
    return [
        one
        for one in estimates
        if one.metric not in several or one.series == "value" or len(opponents[one.metric, one.series]) == 1
    ]


def _opponents(estimates: Sequence[Estimate]) -> dict[tuple[str, str], set[str | None]]:
    """The opponents by metric and series."""
    opponents: dict[tuple[str, str], set[str | None]] = {}
    for one in estimates:
        opponents.setdefault((one.metric, one.series), set()).add(one.opponent)
    return opponents


def matrix(record: RunRecord, metric: str) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """(columns, rows) of the headline of every system against every other, as far as it was measured."""
    headlines = {
        (one.system, one.opponent): number(one.value, one.scale)
        for one in record.estimates
        if (one.metric, one.series, one.estimand) == (metric, "value", "new items")
        and one.opponent
        and one.value is not None
    }
    systems = [system for system in record.systems if any(system in pair for pair in headlines)]
    rows = [(system, *(headlines.get((system, other), "") for other in systems)) for system in systems]
    return ("headline of ↓ against →", *systems), rows


def statistic_tables(record: RunRecord) -> Iterator[tuple[tuple[str, ...], list[tuple[str, ...]]]]:
    """(columns, rows) of the statistics of pairs: a row a pair, a table for metrics that have the same ones."""
    pairs: dict[tuple[str, str, str], dict[str, str]] = {}
    for one in record.statistics:
        if one.opponent is not None and one.name != ASKED_TWICE:
            pairs.setdefault((one.metric, one.system, one.opponent), {})[one.label] = _value(one)
    labels: dict[str, dict[str, None]] = {}
    for (metric, _, _), values in pairs.items():
        labels.setdefault(metric, {}).update(dict.fromkeys(values))
    for columns in dict.fromkeys(tuple(mine) for mine in labels.values()):
        rows = [
            (*pair, *(values.get(label, "–") for label in columns))
            for pair, values in pairs.items()
            if tuple(labels[pair[0]]) == columns
        ]
        yield ("metric", "system", "opponent", *columns), rows


def statistic_lines(record: RunRecord) -> Iterator[str]:
    """The statistics of single systems and of all of them, a line each."""
    for one in record.statistics:
        if one.opponent is None or one.name == ASKED_TWICE:
            of = " vs ".join(filter(None, (one.system, one.opponent)))
            note = f" ({one.note})" if one.note else ""
            yield f"{', '.join(filter(None, (one.metric, of)))}: {one.label}: {_value(one)}{note}"


def _value(statistic: Statistic) -> str:
    value = statistic.value
    if value is None:
        return "–"
    if float(value).is_integer():
        return f"{value:,.0f}"
    return f"{value:.3f}" if abs(value) >= 0.001 else "< 0.001" if value > 0 else "> −0.001"
