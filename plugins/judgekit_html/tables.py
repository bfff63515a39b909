"""Estimates and checks as rows of text: every number of the record, with what is needed to read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any, get_args

import judgekit
import judgekit.statistics
from judgekit_html import numbers
from judgekit_html.findings import NEW, conclude, pair_name

METHODS = {
    "bootstrap": "studentised bootstrap",
    "bca": "BCa bootstrap",
    "percentile": "percentile bootstrap",
    "t": "t",
    "plus_two_t": "plus-two t",
    "wilson": "Wilson",
    "wilson_neff": "Wilson, effective n",
    "clopper_pearson": "Clopper–Pearson",
    "betting": "betting",
    "cluster_t": "t over clusters",
    "paired_t": "paired t",
    "paired_plus_two": "paired plus-two t",
    "paired_t+plus_two": "paired t and plus-two t, both",
    "rerun_t": "t over repeats",
    "bootstrap_refit": "percentile bootstrap, refitted",
}


def method_name(method: str) -> str:
    return METHODS.get(method, method)


def lines(estimates: Sequence[judgekit.statistics.Estimate]) -> list[SimpleNamespace]:
    """One line for each estimate for new items, its rerun interval beside it; a rerun alone gets a line too."""
    fresh = {_key(estimate) for estimate in estimates if estimate.estimand == NEW}
    reruns = {_key(estimate): estimate for estimate in estimates if estimate.estimand != NEW}
    return [
        _line(estimate, reruns.get(_key(estimate)))
        for estimate in estimates
        if estimate.estimand == NEW or _key(estimate) not in fresh
    ]


def _key(estimate: judgekit.statistics.Estimate) -> tuple[str, str, str, str | None, str | None]:
    return estimate.metric, estimate.system, estimate.series, estimate.against, estimate.opponent


def _line(estimate: judgekit.statistics.Estimate, rerun: judgekit.statistics.Estimate | None) -> SimpleNamespace:
    scale, differ = estimate.scale, estimate.against is not None
    conclusion, tone = conclude(estimate) if differ else ("", "plain")
    clusters = "" if estimate.n_clusters is None else f" in {judgekit.counted(estimate.n_clusters, 'cluster')}"
    return SimpleNamespace(
        system=estimate.system,
        against=estimate.against,
        opponent=estimate.opponent,
        series=scale.label if estimate.series == "value" else f"{scale.label} ({estimate.series})",
        value=numbers.amount(estimate.value, scale, difference=differ),
        interval=_range(estimate.interval, estimate),
        method=numbers.NONE
        if estimate.interval.method == "none"
        else f"{numbers.percent(estimate.confidence)}, {method_name(estimate.interval.method)}",
        bootstrap=_range(estimate.bootstrap, estimate),
        rerun=_range(rerun.interval if rerun else None, estimate),
        se=_error(estimate),
        items=numbers.whole(estimate.n_items) + clusters,
        repeats=numbers.whole(estimate.repeats),
        bounds=_bounds(estimate),
        counts=counts(estimate.counts) or numbers.NONE,
        conclusion=conclusion,
        tone=tone,
    )


def _range(interval: judgekit.statistics.Interval | None, estimate: judgekit.statistics.Estimate) -> SimpleNamespace:
    if interval is None:
        return SimpleNamespace(text=numbers.NONE, note="")
    text = numbers.span(interval.low, interval.high, estimate.scale, difference=estimate.against is not None)
    note = interval.note if text else interval.note or "no reason recorded"
    return SimpleNamespace(text=text or "none", note=note)


def _error(estimate: judgekit.statistics.Estimate) -> str:
    if estimate.se is None:
        return numbers.NONE
    return numbers.plain(estimate.se, estimate.scale) + numbers.unit(estimate.scale, difference=True)


def _bounds(estimate: judgekit.statistics.Estimate) -> str:
    if estimate.bounds is None:
        return numbers.NONE
    if estimate.bounds[0] == estimate.bounds[1]:
        return "none missing"
    low, high = estimate.bounds
    return numbers.span(low, high, estimate.scale, difference=estimate.against is not None)


def counts(by_status: Mapping[Any, int]) -> str:
    """Counts as text: 105 scored, 1 unparsed."""
    return ", ".join(f"{numbers.whole(count)} {status}" for status, count in by_status.items() if count)


def checks(card: judgekit.statistics.JudgeCard) -> list[SimpleNamespace]:
    """A line a check of the card, formatted."""
    written = [numbers.alike(check.value, check.low, check.high) for check in card.shown]
    return [
        SimpleNamespace(
            label=check.label,
            value=value,
            interval="" if numbers.NONE in (low, high) else f"[{low}, {high}]",
            expected=numbers.minus(check.expected),
            passed=check.passed,
            note=check.note,
            items=numbers.whole(check.n_items) if check.n_items else "",
            counts=counts(check.counts) if set(check.counts) - {"scored"} else "",
        )
        for check, (value, low, high) in zip(card.shown, written, strict=True)
    ]


STATUSES: tuple[judgekit.statistics.VerdictStatus, ...] = get_args(judgekit.statistics.VerdictStatus)


def statuses(record: judgekit.RunRecord) -> judgekit.Table:
    """Verdicts by status, a line a headline number."""
    used = [e for e in record.estimates if e.series == "value" and e.estimand == NEW and e.group is None]
    again = {
        (one.metric, one.system, one.opponent): one.value for one in record.statistics if one.name == "asked_twice"
    }
    rows: list[list[str | float | int | None]] = [
        [
            e.metric,
            pair_name(e),
            *(e.counts.get(status, 0) for status in STATUSES),
            *([again.get((e.metric, e.system, e.opponent), 0)] if again else []),
        ]
        for e in used
        if any(e.counts.values())
    ]
    names = [*(status.capitalize() for status in STATUSES), *(["Asked twice"] if again else [])]
    return judgekit.Table(["Metric", "System", *names], rows)


def reruns(record: judgekit.RunRecord) -> judgekit.Table:
    """The noise that repeats show: how far each headline number would move if these items were run again."""
    rows: list[list[str | float | int | None]] = []
    for e in record.estimates:
        if e.series == "value" and e.estimand != NEW:
            span = _range(e.interval, e)
            value, interval = numbers.amount(e.value, e.scale), f"{span.text} {span.note}".strip()
            rows.append([e.metric, pair_name(e), e.repeats, value, _error(e), interval])
    return judgekit.Table(["Metric", "System", "Repeats", "Value", "SE of a rerun", "Interval of a rerun"], rows)
