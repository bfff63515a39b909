"""Conclusions from the numbers, in words: the verdict strip. First what makes them unreliable, then the results."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Literal

import judgekit
import judgekit.statistics
from judgekit_html import numbers

Tone = Literal["bad", "warn", "good", "plain"]
NEW = "new items"
STRENGTH = "bradley_terry"  # the series of a system's strength among three or more
NAMED = 3  # failed checks that the first page tells; the card has all


@dataclass(frozen=True)
class Alert:
    """A line that a reader must see before any number. `target`: the section with the details."""

    tone: Tone
    text: str
    target: str = ""


@dataclass(frozen=True)
class Contrast:
    """A claim on two systems, or on a win rate: its figures and the conclusion."""

    left: str
    right: str
    figure: str
    interval: str
    conclusion: str
    tone: Tone


def headlines(record: judgekit.RunRecord, metric: str) -> list[judgekit.statistics.Estimate]:
    return [e for e in record.estimates if e.metric == metric and is_headline(e)]


def is_headline(estimate: judgekit.statistics.Estimate) -> bool:
    """True for an estimate of the series `value`, for new items."""
    return estimate.series == "value" and estimate.estimand == NEW


def pair_name(estimate: judgekit.statistics.Estimate) -> str:
    return f"{estimate.system} against {estimate.opponent}" if estimate.opponent else estimate.system


def metrics(record: judgekit.RunRecord) -> list[str]:
    """The metrics in the record's own order."""
    return list(dict.fromkeys(estimate.metric for estimate in (*record.estimates, *record.differences)))


def summaries(record: judgekit.RunRecord) -> list[SimpleNamespace]:
    """Each metric's headline numbers, or its contrasts."""
    return [_summary(record, metric) for metric in metrics(record)]


def _summary(record: judgekit.RunRecord, metric: str) -> SimpleNamespace:
    estimates = headlines(record, metric)
    differences = [d for d in record.differences if d.metric == metric and is_headline(d)]
    scale = (estimates or differences)[0].scale if estimates or differences else None
    contrasts = [_difference(difference) for difference in differences]
    pairwise = is_pairwise(record, metric)
    if pairwise:
        # Of three or more systems the strengths say it all in a few lines; every pair is among the results.
        shown = sorted(strengths(record, metric), key=lambda e: -(e.value or 0)) or estimates
        contrasts = [preference(estimate, opponent(record, estimate) or "") for estimate in shown]
    return SimpleNamespace(
        metric=metric,
        label=scale.label if scale else "",
        direction="" if scale is None or scale.higher_is_better else "lower is better",
        scores=() if pairwise else tuple(map(_headline, estimates)),
        contrasts=tuple(contrasts),
    )


def opponent(record: judgekit.RunRecord, result: judgekit.statistics.Estimate | judgekit.Row) -> str | None:
    """The system that a pairwise metric compares with; None for other metrics. Older records have it in the spec."""
    part = metric_spec(record, result.metric)
    against = part.get("against")
    return result.opponent or (against if part.get("type") == "pairwise" and isinstance(against, str) else None)


def is_pairwise(record: judgekit.RunRecord, metric: str) -> bool:
    return any(opponent(record, estimate) is not None for estimate in headlines(record, metric))


def strengths(record: judgekit.RunRecord, metric: str) -> list[judgekit.statistics.Estimate]:
    """The Bradley–Terry win probabilities of three or more systems, where they could be estimated."""
    return [e for e in record.estimates if e.metric == metric and e.series == STRENGTH and e.value is not None]


def several_opponents(record: judgekit.RunRecord, metric: str) -> bool:
    """True if a system's name alone does not say which pair is meant."""
    return len({opponent(record, estimate) for estimate in headlines(record, metric)}) > 1


def metric_spec(record: judgekit.RunRecord, metric: str) -> Mapping[str, object]:
    """The metric's part of the resolved spec."""
    return record.part("metrics", metric)


def interval_text(estimate: judgekit.statistics.Estimate) -> str:
    """The interval as text, [37.0, 49.2], or the reason why there is none."""
    interval = estimate.interval
    text = numbers.span(interval.low, interval.high, estimate.scale, difference=estimate.against is not None)
    return text or f"no interval: {interval.note or 'no reason recorded'}"


def _headline(estimate: judgekit.statistics.Estimate) -> SimpleNamespace:
    figure = numbers.amount(estimate.value, estimate.scale)
    return SimpleNamespace(system=estimate.system, figure=figure, interval=interval_text(estimate))


def _difference(estimate: judgekit.statistics.Estimate) -> Contrast:
    conclusion, tone = conclude(estimate)
    figure = numbers.amount(estimate.value, estimate.scale, difference=True)
    return Contrast(estimate.system, estimate.against or "", figure, interval_text(estimate), conclusion, tone)


def conclude(estimate: judgekit.statistics.Estimate, middle: float = 0.0) -> tuple[str, Tone]:
    """The conclusion that an interval allows on its value against `middle`, and its tone."""
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


def preference(estimate: judgekit.statistics.Estimate, against: str) -> Contrast:
    """A win rate against even odds, the middle of its scale."""
    middle = (estimate.scale.low + estimate.scale.high) / 2
    word, tone = conclude(estimate, middle)
    conclusion = {"higher": f"{estimate.system} is preferred", "lower": f"{against} is preferred"}.get(word, word)
    figure = numbers.amount(estimate.value, estimate.scale)
    note = " (Bradley–Terry, from all pairs)" if estimate.series == STRENGTH else ""
    return Contrast(estimate.system, against, figure, interval_text(estimate) + note, conclusion, tone)


def alerts(record: judgekit.RunRecord) -> list[Alert]:
    """Warnings to read before the numbers: first what is broken, then the judges, then what is missing."""
    lines = [*_incomplete(record), *_cards(record), *_gate(record), *_missing(record)]
    lines += [Alert("plain", _pooled(record), "more")] if record.pooled else []
    lines += [Alert("warn", warning) for warning in record.warnings]
    lines += [
        Alert("warn", f"{note} ({judgekit.counted(count, 'reply', 'replies')}).", "errors")
        for note, count in record.notes.items()
    ]
    return sorted(lines, key=lambda alert: alert.tone != "bad")


def _pooled(record: judgekit.RunRecord) -> str:
    runs = ", ".join(f"{one.run_id} (seed {one.seed})" for one in record.pooled)
    return f"This report pools {len(record.pooled)} runs as repeats of the same items: {runs}."


def _incomplete(record: judgekit.RunRecord) -> Iterator[Alert]:
    calls = sum(record.errors.values())
    failed = f" {judgekit.counted(calls, 'call')} failed." if calls else ""
    if record.status == "incomplete":
        yield Alert("bad", f"This run is incomplete: planned calls were left unanswered.{failed}", "errors")
    elif calls:
        yield Alert("warn", failed.strip(), "errors")


GATE_TONES: Mapping[str, Tone] = {"PASS": "good", "FAIL": "bad", "INCONCLUSIVE": "warn"}


def _gate(record: judgekit.RunRecord) -> Iterator[Alert]:
    """The gate's verdict, then each rule that did not pass."""
    if record.gate_trouble:
        yield Alert("bad", f"The gate could not decide: {record.gate_trouble}", "baseline")
    if record.gate is None:
        return
    gate, rules = record.gate, judgekit.counted(len(record.gate.claims), "rule")
    against = f" against the baseline {gate.baseline}" if gate.baseline else ""
    waived = f" Waived: {', '.join(gate.waived)}." if gate.waived else ""
    yield Alert(GATE_TONES[gate.outcome], f"Gate {gate.outcome}: {rules}{against}.{waived}", "baseline")
    for claim in gate.claims:
        if claim.outcome != "PASS":
            why = f": {'; '.join(claim.reasons)}" if claim.reasons else ""
            yield Alert(GATE_TONES[claim.outcome], f"{claim.outcome}: {claim_words(claim)}{why}.", "baseline")


def claimed(claim: judgekit.statistics.GateClaim) -> str:
    """The subject of a rule: quality of sft."""
    against = f" against {claim.opponent}" if claim.opponent else ""
    return f"{claim.metric} of {claim.system}{against}"


def claim_words(claim: judgekit.statistics.GateClaim) -> str:
    """The measured value and the limit of a rule, in words."""
    scale, differ = claim.scale, claim.kind == "margin"
    span = numbers.span(claim.interval.low, claim.interval.high, scale, difference=differ)
    measured = f"{numbers.amount(claim.value, scale, difference=differ)} {span or '(no interval)'}"
    limit = numbers.amount(claim.threshold, scale)
    if differ:
        return f"{claimed(claim)} changed by {measured}, with a margin of {limit}"
    return f"{claimed(claim)} is {measured}, and should be {claim.limit} {limit}"


def _cards(record: judgekit.RunRecord) -> Iterator[Alert]:
    for card in record.cards:
        failing = [check for check in card.shown if check.passed is False]
        which = "its card" if card.task == "score" else "its card as it compares"
        if card.passed:
            made = sum(check.passed is True for check in card.checks)
            yield Alert("good", f"Judge {card.judge} passed {which} ({judgekit.counted(made, 'check')}).", "judges")
        elif card.passed is None:
            yield Alert("warn", f"Judge {card.judge} was not tested: its card says nothing either way.", "judges")
        else:
            more = len(failing) - NAMED
            named = [
                *map(_failing, failing[:NAMED]),
                *([f"and {judgekit.counted(more, 'check')} more"] if more > 0 else []),
            ]
            details = "; ".join(named) or "see its card"
            what = "scores" if card.task == "score" else "comparisons"
            yield Alert("bad", f"Judge {card.judge} failed {which}, so its {what} prove little: {details}.", "judges")


def _failing(check: judgekit.statistics.Check) -> str:
    value = numbers.NONE if check.value is None else numbers.minus(f"{check.value:,.3g}")
    return f"{check.label} reads {value}" + (f", expected {numbers.minus(check.expected)}" if check.expected else "")


def _missing(record: judgekit.RunRecord) -> Iterator[Alert]:
    """Headline numbers that miss verdicts, or an interval."""
    for metric in metrics(record):
        for estimate in headlines(record, metric):
            against = f" against {estimate.opponent}" if several_opponents(record, metric) else ""
            name = f"{metric}, {estimate.system}{against}"
            lost = {status: n for status, n in estimate.counts.items() if status != "scored" and n}
            if lost:
                total = sum(estimate.counts.values())
                kinds = ", ".join(f"{n} {status}" for status, n in lost.items())
                text = f"{name}: {sum(lost.values())} of {judgekit.counted(total, 'verdict')} gave no score ({kinds})."
                yield Alert("warn", text + _bounds(estimate), "results")
            if estimate.value is None:
                why = estimate.interval.note or "no reason recorded"
                yield Alert("warn", f"{name}: no estimate ({why}).", "results")
            elif estimate.interval.low is None:
                yield Alert("warn", f"{name}: {interval_text(estimate)}.", "results")
        refused = [e for e in record.estimates if e.metric == metric and e.series == STRENGTH and e.value is None]
        if refused:
            yield Alert("warn", f"{metric}: no Bradley–Terry strengths: {refused[0].interval.note}.", "results")


def _bounds(estimate: judgekit.statistics.Estimate) -> str:
    if estimate.bounds is None:
        return ""
    low, high = (numbers.amount(bound, estimate.scale) for bound in estimate.bounds)
    return f" With them at the ends of the scale the value would lie between {low} and {high}."
