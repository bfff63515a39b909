"""The gate: PASS, FAIL or INCONCLUSIVE for a run, by a baseline's item scores and by fixed limits.

The rule of statistics/gating.py on paired differences; limits (`min`, `max`) are compared with the estimate's own
interval. Holm's correction is over all rules, so that many of them do not fail by chance. A verdict that missing
scores, a failed judge card or an incomplete run could change is INCONCLUSIVE, and so is a gate that evaluated no rule.
A margin that these items cannot decide never passes; a loss that is shown needs no power. Another instrument is an
error that names what is wrong.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from judgekit.config.blocks import GateConfig
from judgekit.data.groups import clusters_of
from judgekit.data.lineage import judges_of
from judgekit.errors import ConfigError, UsageError
from judgekit.records import Scale
from judgekit.regression.baseline import Baseline, accepted_by, baseline_of, system_key
from judgekit.regression.catastrophes import Falls, items_needed
from judgekit.regression.empty import broken
from judgekit.regression.paired_scores import SAME, Paired, Vector, mean_over, moved, movers, paired
from judgekit.regression.rules import (
    PARTIAL,
    Reference,
    Target,
    failed_cards,
    mismatches,
    notes,
    partial_judges,
    targets_of,
    waived_names,
)
from judgekit.regression.thresholds import Limit
from judgekit.regression.unscored import why_unscored
from judgekit.results import Gate, GateClaim, GateOutcome, Interval, RunRecord, RunView, Stop
from judgekit.statistics.item_tables import NO_HEADLINE
from judgekit.text import counted

if TYPE_CHECKING:
    from judgekit.statistics.gating import Design
    from judgekit.statistics.sequential import Looked

SHARE_OF_ITEMS = Scale(label="share of items", low=0, high=1, unit="%", higher_is_better=False)
SHARE_OF_VERDICTS = Scale(label="share of verdicts", low=0, high=1, unit="%", higher_is_better=False)
ANOTHER = (
    "what measured this run is not what measured its baseline: that is neither a regression nor a pass. "
    "With the new instrument, `judgekit baseline set` makes a new baseline"
)


@dataclass
class _Finding:
    """A claim in the making: the result of its data, before the corrections that need all claims."""

    target: Target
    claim: GateClaim
    p: float = 1.0
    p_best: float = 1.0  # with every missing verdict as kind to the candidate as can be
    passes: bool = False
    passes_at_worst: bool = False
    reasons: list[str] = field(default_factory=list)
    design: Design | None = None
    sd: float = 0.0
    falls: Falls | None = None  # of a margin: what a PASS cannot have seen


def evaluate(view: RunView, config: GateConfig, reference: Reference | None, own: Baseline | None = None) -> Gate:
    """The verdict of the gate on a finished run.

    Raises ConfigError for unknown names and rules without what they need, UsageError for another instrument, other
    samples, and where no rule could be evaluated.
    """
    from judgekit.statistics.gating import holm

    record, own = view.record, own or baseline_of(view)
    for metric in config.rules:
        if metric not in own.metrics and any(estimate.metric == metric for estimate in record.estimates):
            raise ConfigError(f"gate.{metric}: {metric} {NO_HEADLINE}, so no rule can be held against it")
    unmeasured = [metric for metric in config.rules if metric in record.part("metrics") and metric not in own.metrics]
    targets = targets_of(config, record.spec.get("against"), own, reference, unmeasured)
    waived = waived_names(config, record)
    if wrong := mismatches(targets, own, reference):
        raise UsageError("\n".join([*wrong, ANOTHER]))
    if not targets:
        raise UsageError(f"no rule could be evaluated: nothing was measured of {', '.join(unmeasured)}")
    findings = [_finding(target, view, own, reference, len(targets)) for target in targets]
    tested = [finding for finding in findings if finding.target.kind != "missing"]
    adjusted, claims = iter(holm([finding.p for finding in tested])), []
    for finding in findings:
        p, at_best = finding.p, finding.p_best
        if finding.target.kind != "missing":
            p, kindest = next(adjusted), [other.p_best if other is finding else other.p for other in tested]
            at_best = next(best for best, other in zip(holm(kindest), tested, strict=True) if other is finding)
        claim = _decided(finding, p, at_best, record, waived)
        claims.append(_held_to_power(claim, finding) if record.status == "complete" else claim)
    said = [f"{metric}: nothing was measured, so its rule was not evaluated" for metric in unmeasured]
    undecided: list[GateOutcome] = ["INCONCLUSIVE"] * len(unmeasured)
    return Gate(
        outcome=_worst([*(claim.outcome for claim in claims), *undecided]),
        baseline=reference.scores.run_id if reference else "",
        baseline_sha256=reference.sha256 if reference else "",
        claims=tuple(claims),
        waived=tuple(sorted(waived)),
        notes=(*notes(targets, own, reference, accepted_by(record)), *said),
    )


def _worst(outcomes: Iterable[GateOutcome]) -> GateOutcome:
    """FAIL if a rule fails; PASS if all of them pass, and there is one."""
    kinds = set(outcomes)
    return "FAIL" if "FAIL" in kinds else "PASS" if kinds == {"PASS"} else "INCONCLUSIVE"


def _finding(target: Target, view: RunView, own: Baseline, reference: Reference | None, claims: int) -> _Finding:
    if target.kind == "missing":
        finding = _missing_finding(target, own)
    elif not target.paired:
        finding = _limit_finding(target, Limit.of(view, target.metric, target.key), several=claims > 1)
    else:
        assert reference is not None
        make = _margin_finding if target.kind == "margin" else _catastrophe_finding
        finding = make(target, view, own, reference.scores, claims)
    if not own.metrics[target.metric].systems[target.key].scored:
        rows = (row for row in view.rows if row.metric == target.metric)
        if silent := why_unscored(row for row in rows if system_key(row.system, row.opponent) == target.key):
            finding.reasons.insert(0, silent)
    return finding


# --- one rule ---------------------------------------------------------------------------------------------------------


def _undecided_claim(target: Target, **figures: Any) -> GateClaim:
    system, _, opponent = target.key.partition(" vs ")
    rule: dict[str, Any] = {"metric": target.metric, "kind": target.kind, "threshold": target.threshold}
    return GateClaim(system=system, opponent=opponent or None, outcome="INCONCLUSIVE", **rule, **figures)


def _margin_finding(target: Target, view: RunView, own: Baseline, baseline: Baseline, claims: int) -> _Finding:
    sheet = own.metrics[target.metric]
    ours, theirs = sheet.systems[target.key], baseline.metrics[target.metric].systems[target.other]
    order = in_random_order(target.metric, theirs.items, view.record.spec.get("seed")) if target.sequential else None
    matched = paired(ours, theirs, sheet.scale, order)
    sign = 1.0 if sheet.scale.higher_is_better else -1.0
    better, worse, equal = moved(matched.difference, sheet.scale)
    shared = set(matched.ids)
    claim = _undecided_claim(
        target,
        scale=sheet.scale,
        value=sign * float(np.mean(matched.difference)) if matched.ids else None,
        interval=Interval(method="paired", low=None, high=None),
        candidate=mean_over(ours, shared),
        baseline=mean_over(theirs, shared),
        n_items=len(matched.ids),
        better=better,
        worse=worse,
        equal=equal,
        movers=movers(matched, ours, theirs, SAME * (sheet.scale.high - sheet.scale.low)),
    )
    span = sheet.scale.high - sheet.scale.low
    seen, _ = Falls.of(matched, span / 2, span, partial(_units, view))
    finding = _tested(_Finding(target, claim, falls=seen), matched, sign, view, claims)
    return _with_looks(finding, matched, sign, len(theirs.items), claims) if target.sequential else finding


def _tested(finding: _Finding, matched: Paired, sign: float, view: RunView, claims: int) -> _Finding:
    """Bounds and p-values of the differences: with missing verdicts left out, at their worst, and at their best."""
    from judgekit.statistics.gating import LEVEL, Design, bounds, p_worse, passes, too_few_units
    from judgekit.statistics.sequential import SHARE

    target, scale = finding.target, finding.claim.scale
    span, level = scale.high - scale.low, LEVEL * (1 - SHARE) if target.sequential else LEVEL
    units = _units(view, matched.ids, matched.difference)
    clustered = units is not matched.difference
    if refused := too_few_units(len(units), clustered):
        finding.reasons.append(refused)
        interval = Interval(method="none", low=None, high=None, note=refused)
        finding.claim = finding.claim.model_copy(update={"interval": interval})
        return finding
    design = Design(len(units), span, level, clustered)

    def tested(values: Vector) -> tuple[float, float, float]:
        mean, sd = float(np.mean(values)), float(np.std(values, ddof=1))
        low, high = bounds(mean, sd, design)
        return float(low), float(high), float(p_worse(mean, sd, design))

    low, high, finding.p = tested(units)
    worst = tested(_units(view, matched.every, matched.worst))
    best = tested(_units(view, matched.every, matched.best))
    finding.passes, finding.passes_at_worst = (bool(passes(end, target.threshold)) for end in (low, worst[0]))
    finding.p_best = best[2]
    ends = sorted((sign * min(max(low, -span), span), sign * min(max(high, -span), span)))
    method = "cluster_t" if clustered else "paired_t" if not design.both else "paired_t+plus_two"
    finding.design, finding.sd = replace(design, fail_level=level / claims), float(np.std(units, ddof=1))
    finding.claim = finding.claim.model_copy(
        update={
            "interval": Interval(method=method, low=ends[0], high=ends[1]),
            "n_clusters": len(units) if clustered else None,
        }
    )
    if matched.missing:
        finding.reasons.append(f"verdicts are missing on {counted(matched.missing, 'item')}")
    return finding


def _with_looks(finding: _Finding, matched: Paired, sign: float, planned: int, claims: int) -> _Finding:
    """A sequential rule: the first look that decides; half of the level is for looks, half for the test at the end."""
    from judgekit.statistics.gating import LEVEL
    from judgekit.statistics.sequential import SHARE, anytime_bounds

    margin, scale, judged = finding.target.threshold, finding.claim.scale, len(matched.every)
    looked = look_at(matched, margin, scale, claims)
    finding.p = min(1.0, 2 * min(finding.p, looked.p_worse))
    finding.p_best = min(1.0, 2 * min(finding.p_best, looked.p_worse))
    note = f"no look decided: the test after all {judged} items does"
    if looked.decided is not None:
        spared = planned - judged
        saved = f"{spared} of {planned} ({spared / planned:.0%}) were not judged" if spared else "all had been judged"
        note = f"decided by the look after {counted(looked.at, 'item')}; {saved}"
        finding.passes = finding.passes_at_worst = looked.decided == "PASS"
        finding.design = None  # it was decided: no margin was too small
        span, level = scale.high - scale.low, LEVEL * SHARE
        low = anytime_bounds(matched.worst[: looked.at], span, level)[0]
        high = anytime_bounds(matched.best[: looked.at], span, level)[1]
        low, high = (max(low, -margin), high) if finding.passes else (low, min(high, 0.0))
        ends = sorted((sign * low, sign * high))
        finding.claim = finding.claim.model_copy(
            update={"interval": Interval(method="anytime_betting", low=ends[0], high=ends[1])}
        )
    stop = Stop(judged=judged, planned=planned, decided=looked.decided, note=note)
    finding.claim = finding.claim.model_copy(update={"stop": stop})
    return finding


def look_at(matched: Paired, margin: float, scale: Scale, claims: int) -> Looked:
    """The look at these differences, in their order, by half of the gate's level, shared by so many claims."""
    from judgekit.statistics.gating import LEVEL
    from judgekit.statistics.sequential import SHARE, look

    level = LEVEL * SHARE
    return look(matched.worst, matched.best, margin, scale.high - scale.low, level / claims, level)


def _catastrophe_finding(target: Target, view: RunView, own: Baseline, baseline: Baseline, claims: int) -> _Finding:
    from judgekit.statistics.gating import LEVEL

    sheet, fall, share = own.metrics[target.metric], target.fall or 0.0, target.threshold
    ours, theirs = sheet.systems[target.key], baseline.metrics[target.metric].systems[target.other]
    matched = paired(ours, theirs, sheet.scale)
    seen, worst = Falls.of(matched, fall, sheet.scale.high - sheet.scale.low, partial(_units, view))
    interval = Interval(method="clopper_pearson", low=seen.least, high=seen.most)
    if not seen.units:
        interval = Interval(method="none", low=None, high=None, note="no scored item")
    claim = _undecided_claim(
        target,
        fall=fall,
        scale=SHARE_OF_ITEMS,
        value=seen.share,
        interval=interval,
        n_items=len(matched.ids),
        n_clusters=seen.units if seen.named == "cluster" else None,
    )
    finding = _Finding(target, claim, passes=bool(seen.units) and seen.most <= share)
    finding.passes_at_worst = finding.passes and worst.most <= share
    finding.p = finding.p_best = seen.p_more(share) if seen.units else 1.0
    if matched.missing:
        finding.reasons.append(f"verdicts are missing on {counted(matched.missing, 'item')}")
    if not finding.passes and finding.p > LEVEL and seen.units < (need := items_needed(share)):
        finding.reasons.append(f"without any fall it takes {counted(need, seen.named)} to show so small a share")
    return finding


def _missing_finding(target: Target, own: Baseline) -> _Finding:
    """A count and no estimate: it is as it is, and takes no part in Holm's correction."""
    scores = own.metrics[target.metric].systems[target.key]
    total = sum(count for status, count in scores.counts.items() if status != "skipped")
    lost = total - scores.counts.get("scored", 0)
    share = lost / total if total else None
    nothing = "" if total else "no verdict"
    interval = Interval(method="none", low=None, high=None, note=nothing or "a count, not an estimate")
    claim = _undecided_claim(target, scale=SHARE_OF_VERDICTS, value=share, interval=interval, n_items=len(scores.items))
    holds = share is not None and share <= target.threshold
    failed = share is not None and not holds
    return _Finding(
        target, claim, 0.0 if failed else 1.0, 0.0 if failed else 1.0, holds, holds, [nothing] if nothing else []
    )


def _limit_finding(target: Target, limit: Limit, several: bool) -> _Finding:
    estimate = limit.estimate
    claim = _undecided_claim(
        target,
        scale=estimate.scale,
        value=estimate.value,
        interval=estimate.interval,
        candidate=estimate.value,
        n_items=estimate.n_items,
        n_clusters=estimate.n_clusters,
    )
    finding = _Finding(target, claim)
    if estimate.interval.low is None or estimate.interval.high is None:
        finding.reasons.append(estimate.interval.note or "there is no interval")
        return finding
    upper = target.kind == "max"
    finding.passes = limit.holds(estimate.interval, target.threshold, upper)
    finding.passes_at_worst = finding.passes and limit.holds(limit.extreme(upper), target.threshold, upper)
    if limit.missed(estimate.interval, target.threshold, upper):
        finding.p = limit.p(target.threshold, upper) if several else 0.0
        missed = limit.missed(limit.extreme(not upper), target.threshold, upper)
        finding.p_best = finding.p if missed else 1.0
    if limit.missing:
        finding.reasons.append(f"verdicts are missing: {limit.missing}")
    return finding


def _decided(finding: _Finding, p_holm: float, p_best: float, record: RunRecord, waived: Collection[str]) -> GateClaim:
    """The claim with its outcome, after Holm's correction and everything that forbids a PASS or a FAIL."""
    from judgekit.statistics.gating import LEVEL
    from judgekit.statistics.power import minimum_detectable

    worse = p_holm <= LEVEL
    outcome: GateOutcome = "PASS" if finding.passes else "FAIL" if worse else "INCONCLUSIVE"
    missing, reasons = finding.reasons, []
    unknown_yet = not finding.claim.interval.note and finding.claim.value is not None
    if outcome == "INCONCLUSIVE":
        reasons = [*missing] if not unknown_yet else [_undecided(finding, p_holm), *missing]
    if outcome == "PASS" and not finding.passes_at_worst:
        outcome, reasons = "INCONCLUSIVE", [f"{missing[0]}, and they could turn the PASS"]
    if outcome == "FAIL" and p_best > LEVEL:
        outcome, reasons = "INCONCLUSIVE", [f"{missing[0]}, and they could turn the FAIL"]
    judges, system = judges_of(record, finding.target.metric), finding.claim.system
    blocked = [
        f"judge {judge} failed its card ({', '.join(checks)})"
        for judge, checks in failed_cards(record, judges, waived).items()
    ]
    blocked += [f"judge {one} {PARTIAL}" for one in partial_judges(record, system, judges, waived)]
    if record.status == "incomplete":
        blocked.insert(0, "the run is incomplete: planned calls were not answered")
    blocked += [f"{one.count} of {one.of} answers of {one.system} are empty" for one in broken(record, system)]
    if blocked:
        outcome, reasons = "INCONCLUSIVE", [*blocked, *reasons]
    if finding.target.kind == "margin":
        reasons = [*_shown(finding, outcome), *reasons]
    detectable = None
    if finding.design is not None and finding.target.kind == "margin":
        detectable = minimum_detectable(finding.sd, finding.design, finding.target.threshold)
    known = finding.target.kind == "margin" or 0 < finding.p < 1
    return finding.claim.model_copy(
        update={
            "outcome": outcome,
            "reasons": tuple(reasons),
            "detectable": detectable,
            "p": finding.p if known else None,
            "p_holm": p_holm if known else None,
        }
    )


def _shown(finding: _Finding, outcome: GateOutcome) -> Iterator[str]:
    """What is shown of the loss, which is another thing than the outcome; and what a PASS cannot have seen."""
    claim = finding.claim
    low, high = claim.interval.low, claim.interval.high
    if outcome != "INCONCLUSIVE" and low is not None and high is not None:
        best = high if claim.scale.higher_is_better else -low
        if best < -claim.threshold:
            yield "the margin is exceeded: all that the loss may be lies beyond it"
        elif best < 0:
            within = "it is inside the margin" if outcome == "PASS" else "whether it exceeds the margin is not"
            yield f"a loss is shown; {within}"
    if outcome == "PASS" and finding.falls is not None and finding.falls.units:
        yield f"what a mean cannot see: {finding.falls.unseen}"


def _undecided(finding: _Finding, p_holm: float) -> str:
    from judgekit.statistics.gating import LEVEL

    if finding.p <= LEVEL < p_holm:
        return (
            f"alone it would have failed (p {finding.p:.3f}); among the gate's rules it may be chance (p {p_holm:.3f})"
        )
    if finding.target.kind == "margin":
        return "neither no change nor a loss of the margin can be ruled out"
    if finding.target.kind == "catastrophe":
        return "neither that so many fall nor that fewer do can be ruled out"
    return f"the limit {finding.target.threshold:g} lies inside the interval"


def _held_to_power(claim: GateClaim, finding: _Finding) -> GateClaim:
    """The claim without a PASS for a margin that these items cannot decide. A loss that is shown needs no power."""
    why = _too_small(finding)
    if not why:
        return claim
    if claim.outcome == "FAIL":
        return claim.model_copy(
            update={"reasons": (*claim.reasons, f"without that loss it could not have passed: it {why}")}
        )
    return claim.model_copy(update={"outcome": "INCONCLUSIVE", "reasons": (f"this rule {why}", *claim.reasons)})


def _too_small(finding: _Finding) -> str:
    """Why these items cannot decide the margin, and how many could; "" where they can."""
    from judgekit.statistics.power import MOST, items_needed, minimum_detectable

    design, margin = finding.design, finding.target.threshold
    if design is None or finding.target.kind != "margin":
        return ""
    least = minimum_detectable(finding.sd, design, margin)
    if least is not None and margin >= least:
        return ""
    what, need = ("clusters" if design.clustered else "items"), items_needed(finding.sd, design, margin)
    power = f"the least loss that {design.n} {what} find is {least:.3g}" if least else f"{design.n} {what} find none"
    needed = f"it needs {need:,} {what}" if need else f"it would need more than {MOST:,} {what}"
    return f"cannot decide a margin of {margin:g}: {needed} ({power})"


# --- small things -----------------------------------------------------------------------------------------------------


def _units(view: RunView, ids: Sequence[str], values: Vector) -> Vector:
    """The values themselves, or one a cluster where the run has clusters."""
    if not len(values):
        return values
    from judgekit.statistics.clusters import cluster_values

    wanted = set(ids)
    labels = clusters_of(view.record, (sample for sample in view.samples if sample.id in wanted))
    if labels is None:
        return values
    numbers = np.unique(np.asarray([labels[one] for one in ids], dtype=str), return_inverse=True)[1]
    return cluster_values(values, numbers)


def in_random_order(metric: str, ids: Iterable[str], seed: object) -> list[str]:
    """The ids in the order in which a sequential gate has them judged: random, and fixed by the run's seed."""
    seed = seed if isinstance(seed, int) else 0
    return sorted(
        ids, key=lambda one: hashlib.sha256(f"{seed}\x1f{metric}\x1f{one}".encode("utf-8", "surrogatepass")).digest()
    )
