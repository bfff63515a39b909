"""What the numbers say, in words: the verdict strip. First what makes them unreliable, then what was found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import judgekit
from judgekit_html import numbers

Tone = Literal["bad", "warn", "good", "plain"]
NEW = "new items"


@dataclass(frozen=True)
class Alert:
    """A line that a reader must see before any number. `target`: the section with the details."""

    tone: Tone
    text: str
    target: str = ""


@dataclass(frozen=True)
class Score:
    """One headline number of a metric."""

    system: str
    figure: str
    interval: str


@dataclass(frozen=True)
class Contrast:
    """A claim on two systems, or on a win rate: its figures and what they allow to say."""

    left: str
    right: str
    figure: str
    interval: str
    conclusion: str
    tone: Tone


@dataclass(frozen=True)
class Finding:
    metric: str
    label: str
    direction: str
    scores: tuple[Score, ...]
    contrasts: tuple[Contrast, ...]


def headlines(record: judgekit.RunRecord, metric: str) -> list[judgekit.Estimate]:
    """The metric's headline estimates: the series `value`, for new items."""
    return [e for e in record.estimates if e.metric == metric and e.series == "value" and e.estimand == NEW]


def metrics(record: judgekit.RunRecord) -> list[str]:
    """The metrics in the record's own order."""
    return list(dict.fromkeys(estimate.metric for estimate in (*record.estimates, *record.differences)))


def findings(record: judgekit.RunRecord) -> list[Finding]:
    return [_finding(record, metric) for metric in metrics(record)]


def _finding(record: judgekit.RunRecord, metric: str) -> Finding:
    estimates = headlines(record, metric)
    differences = [d for d in record.differences if d.metric == metric and d.series == "value" and d.estimand == NEW]
    scale = (estimates or differences)[0].scale if estimates or differences else None
    contrasts = [_difference(difference) for difference in differences]
    against = opponent(record, metric)
    if against is not None:
        contrasts = [_preference(estimate, against) for estimate in estimates]
    return Finding(
        metric=metric,
        label=scale.label if scale else "",
        direction="" if scale is None or scale.higher_is_better else "lower is better",
        scores=tuple(_score(estimate) for estimate in estimates) if against is None else (),
        contrasts=tuple(contrasts),
    )


def opponent(record: judgekit.RunRecord, metric: str) -> str | None:
    """Whom a pairwise metric compares with, as the spec says; None for other metrics."""
    part = metric_spec(record, metric)
    against = part.get("against")
    return against if part.get("type") == "pairwise" and isinstance(against, str) else None


def metric_spec(record: judgekit.RunRecord, metric: str) -> Mapping[str, object]:
    """The metric's part of the resolved spec."""
    parts = record.spec.get("metrics")
    part = parts.get(metric) if isinstance(parts, dict) else None
    return part if isinstance(part, dict) else {}


def interval_text(estimate: judgekit.Estimate) -> str:
    """[37.0, 49.2], or why there is none."""
    found = estimate.interval
    text = numbers.span(found.low, found.high, estimate.scale, difference=estimate.against is not None)
    return text or f"no interval: {found.note or 'no reason recorded'}"


def _score(estimate: judgekit.Estimate) -> Score:
    return Score(estimate.system, numbers.amount(estimate.value, estimate.scale), interval_text(estimate))


def _difference(estimate: judgekit.Estimate) -> Contrast:
    conclusion, tone = conclude(estimate)
    figure = numbers.amount(estimate.value, estimate.scale, difference=True)
    return Contrast(estimate.system, estimate.against or "", figure, interval_text(estimate), conclusion, tone)


def conclude(estimate: judgekit.Estimate, middle: float = 0.0) -> tuple[str, Tone]:
    """What the interval allows to say about a value against `middle`."""
    low, high = estimate.interval.low, estimate.interval.high
    if low is None or high is None:
        return "no interval, so nothing is claimed", "warn"
    if low <= middle <= high:
        return "no clear difference", "plain"
    higher, good = low > middle, estimate.scale.higher_is_better
    word = "higher" if higher else "lower"
    if good:
        return word, "good" if higher else "bad"
    return f"{word}, which is {'worse' if higher else 'better'} here", "bad" if higher else "good"


def _preference(estimate: judgekit.Estimate, against: str) -> Contrast:
    """A win rate against even odds, the middle of its scale."""
    middle = (estimate.scale.low + estimate.scale.high) / 2
    word, tone = conclude(estimate, middle)
    conclusion = {"higher": f"{estimate.system} is preferred", "lower": f"{against} is preferred"}.get(word, word)
    figure = numbers.amount(estimate.value, estimate.scale)
    return Contrast(estimate.system, against, figure, interval_text(estimate), conclusion, tone)


def alerts(record: judgekit.RunRecord) -> list[Alert]:
    """What must be said before the numbers: first what is broken, then the judges, then what is missing."""
    found = [*_incomplete(record), *_cards(record), *_missing(record)]
    found += [Alert("warn", warning) for warning in record.warnings]
    return sorted(found, key=lambda alert: alert.tone != "bad")


def _incomplete(record: judgekit.RunRecord) -> Iterator[Alert]:
    calls = sum(record.errors.values())
    failed = f" {numbers.counted(calls, 'call')} failed." if calls else ""
    if record.status == "incomplete":
        yield Alert("bad", f"This run is incomplete: planned calls were left unanswered.{failed}", "errors")
    elif calls:
        yield Alert("warn", failed.strip(), "errors")


def _cards(record: judgekit.RunRecord) -> Iterator[Alert]:
    for card in record.cards:
        failing = [check for check in card.checks if check.passed is False]
        if card.passed:
            made = sum(check.passed is True for check in card.checks)
            yield Alert("good", f"Judge {card.judge} passed its card ({numbers.counted(made, 'check')}).", "judges")
        elif card.passed is None:
            yield Alert("warn", f"Judge {card.judge} was not tested: its card says nothing either way.", "judges")
        else:
            details = "; ".join(_failing(check) for check in failing) or "see its card"
            yield Alert("bad", f"Judge {card.judge} failed its card, so its scores prove little: {details}.", "judges")


def _failing(check: judgekit.Check) -> str:
    value = numbers.cell(check.value)
    return f"{check.label} reads {value}" + (f", expected {check.expected}" if check.expected else "")


def _missing(record: judgekit.RunRecord) -> Iterator[Alert]:
    """Headline numbers that miss verdicts, or an interval."""
    for metric in metrics(record):
        for estimate in headlines(record, metric):
            name = f"{metric}, {estimate.system}"
            lost = {status: n for status, n in estimate.counts.items() if status != "scored" and n}
            if lost:
                total = sum(estimate.counts.values())
                kinds = ", ".join(f"{n} {status}" for status, n in lost.items())
                text = f"{name}: {sum(lost.values())} of {numbers.counted(total, 'verdict')} gave no score ({kinds})."
                yield Alert("warn", text + _bounds(estimate), "results")
            if estimate.value is None:
                why = estimate.interval.note or "no reason recorded"
                yield Alert("warn", f"{name}: no estimate ({why}).", "results")
            elif estimate.interval.low is None:
                yield Alert("warn", f"{name}: {interval_text(estimate)}.", "results")


def _bounds(estimate: judgekit.Estimate) -> str:
    if estimate.bounds is None:
        return ""
    low, high = (numbers.amount(bound, estimate.scale) for bound in estimate.bounds)
    return f" With them at the ends of the scale the value would lie between {low} and {high}."
