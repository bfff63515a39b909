"""What a run would do, for `--dry-run`: counted without calling anything."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from judgekit.generating import answered_samples, requests_of
from judgekit.judge_card import ARMS
from judgekit.ledger import Ledger, call_key
from judgekit.preparation import MAIN, PlannedJudge, PlannedMetric, Prepared, uses
from judgekit.readings import Setting, Task, reading_for


@dataclass(frozen=True)
class PlanLine:
    """One stage. `calls` is the most it can make; `in_ledger` is None where that cannot be known yet."""

    stage: str
    calls: int
    in_ledger: int | None
    note: str


@dataclass(frozen=True)
class Plan:
    name: str
    lines: tuple[PlanLine, ...]
    warnings: tuple[str, ...]


def plan(prepared: Prepared, ledger: Ledger | None) -> Plan:
    """The stages in order. `ledger` is None where there is none yet."""
    lines = [
        PlanLine(f"training {training.name}", 0, None, "found" if training.folder.is_dir() else "to be trained")
        for training in prepared.trainings
    ]
    lines += [_generation(prepared, system, ledger) for system in prepared.models]
    lines += [line for planned in prepared.metrics for line in _measuring(prepared, planned)]
    for judge in prepared.judges.values():
        if "score" in judge.templates and judge.spec.control_items:
            lines.append(_control(prepared, judge))
    return Plan(prepared.spec.name, tuple(lines), tuple(prepared.warnings))


def _control(prepared: Prepared, judge: PlannedJudge) -> PlanLine:
    samples = min(judge.spec.control_items, len(prepared.datasets[MAIN].samples))
    requests, note = _requests(judge, "score")
    return PlanLine(f"controlling {judge.name}", ARMS * samples * requests, None, f"{ARMS} arms × {samples}; {note}")


def _generation(prepared: Prepared, system: str, ledger: Ledger | None) -> PlanLine:
    calls = len(answered_samples(prepared, system)) * prepared.repeats(system)
    trained = {str(training.folder) for training in prepared.trainings if not training.folder.is_dir()}
    backend = prepared.models[system]
    if uses(backend, trained):
        return PlanLine(f"generating {system}", calls, 0, "after training")
    if ledger is None:
        return PlanLine(f"generating {system}", calls, 0, "")
    identity = backend.identity()
    keyed = dict(call_key(identity, "generate", *item) for item in requests_of(prepared, system))
    found = len(ledger.find(keyed))
    return PlanLine(f"generating {system}", calls, found, "")


def _measuring(prepared: Prepared, planned: PlannedMetric) -> Iterator[PlanLine]:
    needs = planned.metric.needs
    responses = sum(len(planned.data.samples) * prepared.repeats(system) for system in planned.systems)
    questions = responses * prepared.spec.repeats.judge
    stage = f"measuring {planned.name}"
    if "score" in needs:
        requests, note = _requests(prepared.judges[planned.judge or ""], "score")
        yield PlanLine(stage, questions * requests, None, note)
    elif "pairwise" in needs:
        requests, note = _requests(prepared.judges[planned.judge or ""], "pairwise")
        yield PlanLine(stage, questions * 2 * requests, None, f"both orders; {note}")
    elif "loglikelihood" in needs:
        yield PlanLine(stage, len(planned.data.samples) * len(planned.systems), None, "log-likelihoods")
    else:
        yield PlanLine(stage, 0, None, f"{responses} responses, no calls")


def _requests(judge: PlannedJudge, task: Task) -> tuple[int, str]:
    """Requests a question, and what to know about them."""
    reading = reading_for(task, Setting(judge.name, judge.templates[task]))
    if reading.kind == "generate":
        return 1, "and one re-ask each at most"
    return (3 if task == "score" else 4), "at most; anchors and equal responses are asked once"
