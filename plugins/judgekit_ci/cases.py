"""Cases of a run, in words: one for each rule of its gate, or, without a gate, for each result.

    pass          it is as it should be
    fail          quality: the gate has shown that a rule is broken
    inconclusive  nothing is shown either way
    error         it could not be measured or compared: calls without an answer, a baseline that does not match

Only `pass` is green anywhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import judgekit
import judgekit.statistics
from judgekit_ci.texts import between, number

Outcome = Literal["pass", "fail", "inconclusive", "error"]
WORST: tuple[Outcome, ...] = ("fail", "error", "inconclusive", "pass")
_OF_GATE: dict[str, Outcome] = {"PASS": "pass", "FAIL": "fail", "INCONCLUSIVE": "inconclusive"}
WORDS: dict[Outcome, str] = {"pass": "PASS", "fail": "FAIL", "inconclusive": "INCONCLUSIVE", "error": "ERROR"}
MOST_REASONS = 20
_MEASURED = {
    "margin": "change since the baseline",
    "catastrophe": "share that fell since the baseline",
    "missing": "share without a score",
}


@dataclass(frozen=True)
class Case:
    """`name` is the same in every run of a config; `message` is one line; `lines` are the figures behind it."""

    group: str
    name: str
    outcome: Outcome
    message: str
    lines: tuple[str, ...] = ()


def cases(run: judgekit.RunView) -> list[Case]:
    """The cases of the run itself first, then of its gate's rules (or its results), then of its judges."""
    record = run.record
    listed = [*_troubles(run)]
    if record.gate is not None:
        listed += [_claim(claim) for claim in record.gate.claims]
        if record.gate.outcome not in {claim.outcome for claim in record.gate.claims}:
            listed.append(Case("gate", "gate", "error", "a rule was not evaluated", record.gate.notes))
    else:
        listed += _results(record)
    return [*listed, *_cards(record)]


def outcome(listed: list[Case]) -> Outcome:
    """The worst of all: a shown failure before everything, as in the gate's own exit code."""
    there = {case.outcome for case in listed}
    return next((one for one in WORST if one in there), "error")


def _troubles(run: judgekit.RunView) -> Iterator[Case]:
    """Cases of numbers that cannot be trusted or compared. A run is complete or an error: that case is always there."""
    record = run.record
    if record.gate_trouble:
        lines = [line for line in record.gate_trouble.splitlines() if line.strip()]
        yield Case("gate", "comparison", "error", lines[-1] if lines else "not compared", tuple(lines))
    if record.status == "complete":
        yield Case("run", "complete", "pass", "every planned call was answered")
        return
    reasons = [f"{count} × {reason}" for reason, count in record.errors.items()]
    more = [f"and {len(reasons) - MOST_REASONS} other reasons"] if len(reasons) > MOST_REASONS else []
    calls = judgekit.counted(sum(record.errors.values()), "planned call")
    yield Case("run", "complete", "error", f"{calls} got no answer", (*reasons[:MOST_REASONS], *more))


def system_of(result: judgekit.statistics.Estimate | judgekit.statistics.GateClaim) -> str:
    return f"{result.system} vs {result.opponent}" if result.opponent else result.system


def rule_of(claim: judgekit.statistics.GateClaim) -> str:
    """The rule in words: "margin 3", "at least 70"."""
    return f"{'margin' if claim.kind == 'margin' else claim.limit} {number(claim.threshold, claim.scale)}"


def claim_figures(claim: judgekit.statistics.GateClaim) -> str:
    """The figure that the rule is about, with its interval in words."""
    low, high = claim.interval.low, claim.interval.high
    signed = claim.kind == "margin"
    figure = number(claim.value, claim.scale, signed=signed)
    if low is None or high is None:
        return f"{figure}, no interval: {claim.interval.note or 'no reason recorded'}"
    ends = f"{number(low, claim.scale, signed=signed)} and {number(high, claim.scale, signed=signed)}"
    return f"{figure}, between {ends}"


def _claim(claim: judgekit.statistics.GateClaim) -> Case:
    figures = claim_figures(claim)
    what = _MEASURED.get(claim.kind, "mean")
    message = f"{what} {figures}; the rule: {rule_of(claim)}"
    scale = claim.scale
    lines = [f"{claim.metric} of {system_of(claim)}: {WORDS[_OF_GATE[claim.outcome]]}", message]
    if claim.kind == "margin":
        lines.append(
            f"baseline {number(claim.baseline, scale)}, now {number(claim.candidate, scale)}; "
            f"{judgekit.counted(claim.n_items, 'item')}: "
            f"{claim.better} better, {claim.worse} worse, {claim.equal} equal"
        )
    else:
        lines.append(judgekit.counted(claim.n_items, "item"))
    if claim.n_clusters is not None:
        lines.append(judgekit.counted(claim.n_clusters, "cluster"))
    if claim.p_holm is not None and claim.p is not None:
        lines.append(f"p that the rule is broken by chance: {_p(claim.p)}; by Holm over all rules {_p(claim.p_holm)}")
    if claim.detectable is not None:
        lines.append(f"least worsening found with a power of 80 %: {number(claim.detectable, scale)}")
    lines += claim.reasons
    name = f"{claim.metric}, {system_of(claim)}: {claim.kind}"
    headline = "; ".join([message, *claim.reasons[:1]])
    return Case("gate", name, _OF_GATE[claim.outcome], headline, tuple(lines))


def _p(value: float) -> str:
    return "under 0.0001" if value < 0.0001 else f"{value:.4f}"


def numbers(record: judgekit.RunRecord) -> list[judgekit.statistics.Estimate]:
    """The headlines, and the numbers that metrics made themselves."""
    shown = [e for e in record.estimates if e.estimand == "new items" and e.group is None]
    return [e for e in shown if e.series == "value" or not e.is_mean]


def named(estimate: judgekit.statistics.Estimate) -> str:
    """The metric, and what of it this is where it is not its headline."""
    return estimate.metric if estimate.series == "value" else f"{estimate.metric}: {estimate.scale.label}"


def interval_words(estimate: judgekit.statistics.Estimate) -> str:
    signed = estimate.against is not None
    return between(estimate.interval, estimate.scale, estimate.confidence, signed=signed)


def missing_words(estimate: judgekit.statistics.Estimate) -> str:
    """Verdicts that gave no score, by status; empty where all did."""
    lost = {status: count for status, count in estimate.counts.items() if status != "scored" and count}
    return ", ".join(f"{count} {status}" for status, count in lost.items())


def _results(record: judgekit.RunRecord) -> Iterator[Case]:
    estimates = numbers(record)
    for estimate in estimates:
        name = f"{named(estimate)}, {system_of(estimate)}"
        message = f"{number(estimate.value, estimate.scale)}, {interval_words(estimate)}"
        lines = [
            message,
            f"{judgekit.counted(estimate.n_items, 'item')}, {judgekit.counted(estimate.repeats, 'repeat')}",
        ]
        if missing := missing_words(estimate):
            lines.append(f"not scored: {missing}")
        there = estimate.value is not None or estimate.series != "value"  # a number of its own may have no fit
        yield Case("results", name, "pass" if there else "error", message, tuple(lines))
    if not estimates:
        yield Case("results", "results", "error", "the run has no result")


def _reading(check: judgekit.statistics.Check) -> str:
    """The value of a check in words: −7.3, expected −5 … +5."""
    value = "–" if check.value is None else f"{check.value:.3g}"
    return (value + (f", expected {check.expected}" if check.expected else "")).replace("-", "−")


def _cards(record: judgekit.RunRecord) -> Iterator[Case]:
    """Cases of the judges: one that fails its card proves little. A gate counts that in the cases of its rules."""
    for card in record.cards:
        name = f"card of {card.judge}" + ("" if card.task == "score" else " as it compares")
        failed = [check for check in card.shown if check.passed is False]
        lines = [f"{check.label}: {_reading(check)}" for check in failed]
        labels = "; ".join(check.label for check in failed)
        if card.passed is None:
            yield Case("judges", name, "pass", "not decided: its card says nothing either way")
        elif card.passed:
            yield Case("judges", name, "pass", "passed its card")
        elif record.gate is not None:
            yield Case("judges", name, "pass", f"failed its card, as the gate knows: {labels}", tuple(lines))
        else:
            yield Case("judges", name, "inconclusive", f"failed its card, so it proves little: {labels}", tuple(lines))
