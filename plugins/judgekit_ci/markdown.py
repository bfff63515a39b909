"""Markdown for a job's summary, a merge request or a chat: the verdict, the rules, the results, and the items that
moved furthest.

GitHub refuses a summary over 1 MiB and shows long ones badly; this one stays under 60 KB whatever the run holds, and
says what it left out. Foreign text stands in it as code in which every sign of syntax is an entity.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import judgekit
import judgekit.statistics
from judgekit_ci.cases import (
    WORDS,
    Case,
    cases,
    claim_figures,
    interval_words,
    missing_words,
    named,
    numbers,
    outcome,
    rule_of,
    system_of,
)
from judgekit_ci.texts import inert, number

MOST_BYTES = 60_000  # of the document; KB are 1000 bytes here, so that it is under 60 KB either way
MOST_MOVERS = 10
_TEXT = 200  # characters of an instruction or a response
_SIGNS = {"pass": "✅", "fail": "❌", "inconclusive": "⚠️", "error": "🛑"}
_SAID = {
    "pass": "no rule is broken, as far as these items can tell",
    "fail": "a rule is shown to be broken",
    "inconclusive": "these data show neither a loss nor its absence",
    "error": "the model was not measured, or cannot be compared: that is no regression and no pass",
}


def markdown(run: judgekit.RunView, sections: object) -> Mapping[str, bytes]:
    """{"summary.md": …}, UTF-8, at most MOST_BYTES."""
    return {"summary.md": fitted(list(_blocks(run)))}


def fitted(blocks: Sequence[str], most: int = MOST_BYTES) -> bytes:
    """The first blocks for which there is room; the last line says how many are left out."""
    room = most - 200
    kept: list[str] = []
    for block in blocks:
        room -= len(block.encode()) + 2
        if room < 0:
            break
        kept.append(block)
    if left := len(blocks) - len(kept):
        kept.append(f"*{judgekit.counted(left, 'part')} left out: this summary is kept under {most // 1000} KB.*")
    return ("\n\n".join(kept) + "\n").encode()


def _blocks(run: judgekit.RunView) -> Iterator[str]:
    """The parts in order of importance, since the last ones may be left out."""
    record, listed = run.record, cases(run)
    worst = outcome(listed)
    gated = record.gate is not None or bool(record.gate_trouble)
    said = _SAID[worst] if gated or worst != "pass" else "measured; no gate was asked for"
    yield f"## {_SIGNS[worst]} {WORDS[worst]}: {inert(record.name)}"
    yield f"{said[0].upper()}{said[1:]}."
    troubles = [
        case for case in listed if case.outcome != "pass" and (case.group != "gate" or case.name == "comparison")
    ]
    if troubles:
        yield "\n".join(_trouble(case) for case in troubles)
    if record.gate is not None:
        against = f" against the baseline {inert(record.gate.baseline)}" if record.gate.baseline else ""
        yield f"### Gate{against}"
        yield _table(
            ("", "metric", "system", "rule", "found", "better / worse / equal"),
            [_claim(claim) for claim in record.gate.claims],
        )
        yield "The bounds of a margin are one-sided, 95 % each; those of a limit are the estimate's own interval."
        if reasons := [line for claim in record.gate.claims for line in _reasons(claim)]:
            yield "\n".join(reasons)
        if record.gate.notes or record.gate.waived:
            waived = [f"waived by name: {', '.join(record.gate.waived)}"] if record.gate.waived else []
            yield "\n".join(f"- note: {inert(note)}" for note in (*record.gate.notes, *waived))
    if estimates := numbers(record):
        yield "### Results"
        yield _table(("metric", "system", "estimate", "interval", "items", "not scored"), map(_estimate, estimates))
    differences = [one for one in record.differences if one.series == "value" and one.group is None]
    if differences:
        yield "### Paired differences on the same items"
        yield _table(("metric", "difference", "estimate", "interval", "items"), map(_difference, differences))
    yield from _movers(run)
    samples = judgekit.counted(record.n_samples, "sample")
    yield f"Run {inert(record.run_id)}, judgekit {inert(record.judgekit_version)}, {samples}."


def _trouble(case: Case) -> str:
    lines = [f"- {_SIGNS[case.outcome]} {inert(case.name)}: {inert(case.message)}"]
    shown = [inert(line) for line in case.lines[:10] if line != case.message]
    lines += [f"  - {line}" for line in shown if line]
    return "\n".join(lines)


def _claim(claim: judgekit.statistics.GateClaim) -> tuple[str, ...]:
    counts = f"{claim.better} / {claim.worse} / {claim.equal}" if claim.kind == "margin" else ""
    return (
        f"{_SIGNS[claim.outcome.lower()]} {claim.outcome}",
        inert(claim.metric),
        inert(system_of(claim)),
        _words(rule_of(claim)),
        _words(claim_figures(claim)),
        counts,
    )


def _reasons(claim: judgekit.statistics.GateClaim) -> Iterator[str]:
    stop = (claim.stop.note,) if claim.stop is not None else ()
    for reason in (*claim.reasons, *stop):
        yield f"- {inert(claim.metric)}, {inert(system_of(claim))}: {inert(reason, 500)}"


def _estimate(estimate: judgekit.statistics.Estimate) -> tuple[str, ...]:
    value = number(estimate.value, estimate.scale)
    return (
        inert(named(estimate)),
        inert(system_of(estimate)),
        _words(value),
        _words(interval_words(estimate)),
        f"{estimate.n_items:,}",
        _words(missing_words(estimate) or "0"),
    )


def _difference(estimate: judgekit.statistics.Estimate) -> tuple[str, ...]:
    value = number(estimate.value, estimate.scale, signed=True)
    systems = f"{inert(estimate.system)} − {inert(estimate.against or '')}"
    return inert(estimate.metric), systems, _words(value), _words(interval_words(estimate)), f"{estimate.n_items:,}"


def _words(text: str) -> str:
    """Our own words, in which a plugin's unit or note may stand: as they are if all characters are plain."""
    plain = all(char.isalnum() or char in " .,;:%()+−–/_" for char in text)
    return text.replace("_", "&#95;") if plain else inert(text)


def _table(columns: Sequence[str], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def _movers(run: judgekit.RunView) -> Iterator[str]:
    """The items that moved furthest since the baseline, with the question and the answer, a block an item."""
    gate = run.record.gate
    moved = [(claim, one) for claim in (gate.claims if gate is not None else ()) for one in claim.movers]
    if not moved:
        return
    sign = {id(claim): 1.0 if claim.scale.higher_is_better else -1.0 for claim, _ in moved}

    def change(pair: tuple[judgekit.statistics.GateClaim, judgekit.statistics.ItemChange]) -> float:
        claim, one = pair
        return sign[id(claim)] * (one.candidate - one.baseline) / (claim.scale.high - claim.scale.low)

    worst_first = sorted(moved, key=lambda pair: (change(pair) > 0, -abs(change(pair)), pair[1].sample_id))
    worst_first = worst_first[:MOST_MOVERS]
    ids = {one.sample_id for _, one in worst_first}
    asked = {sample.id: sample for sample in run.samples if sample.id in ids}
    answered: dict[tuple[str, str], str] = {}
    for response in run.responses:
        if response.sample_id in ids:
            answered.setdefault((response.system, response.sample_id), " ⏎ ".join(response.answers))
    yield "### Items that moved furthest since the baseline"
    for claim, one in worst_first:
        yield _mover(claim, one, asked.get(one.sample_id), answered.get((claim.system, one.sample_id)))


def _mover(
    claim: judgekit.statistics.GateClaim,
    one: judgekit.statistics.ItemChange,
    sample: judgekit.Sample | None,
    answer: str | None,
) -> str:
    scores = f"{number(one.baseline, claim.scale)} → {number(one.candidate, claim.scale)}"
    better = (one.candidate > one.baseline) == claim.scale.higher_is_better
    head = f"- **{'better' if better else 'worse'}**, {inert(claim.metric)}, {inert(system_of(claim))}, "
    lines = [f"{head}item {inert(one.sample_id)}: {scores}"]
    if sample is not None:
        lines.append(f"  - asked: {inert(' '.join([sample.instruction, sample.input]), _TEXT)}")
    if sample is not None and sample.reference:
        lines.append(f"  - reference: {inert(sample.reference, _TEXT)}")
    if answer is not None:
        lines.append(f"  - answered: {inert(answer, _TEXT) or 'nothing'}")
    return "\n".join(lines)
