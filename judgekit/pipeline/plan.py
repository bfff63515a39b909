"""What a run would do, for `--dry-run`: told from its rehearsal, which called nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from judgekit.calls.budget import Cost
from judgekit.calls.policies import Asked, Tally
from judgekit.config.blocks import BudgetConfig
from judgekit.contracts import Backend
from judgekit.judging.pairwise_card import pair_questions
from judgekit.judging.planning import TASKS, PlannedJudge
from judgekit.judging.questions import Task
from judgekit.judging.score_card import control_questions
from judgekit.pipeline.prepared import MAIN, PlannedMetric, Prepared, uses
from judgekit.text import counted

CARD_OF: Mapping[Task, str] = {"score": "", "pairwise": " as it compares"}


@dataclass(frozen=True)
class PlanLine:
    """One stage. `calls` are its first questions, `in_ledger` those of them (and of the re-asks) that need no call,
    None where the stage could not be rehearsed; `asked` has all its counts then, tokens and cost."""

    stage: str
    calls: int
    in_ledger: int | None
    note: str
    asked: Asked | None = None


@dataclass(frozen=True)
class Plan:
    """`total` is the most of all stages; `budgeted` is what of it counts for the budget."""

    name: str
    lines: tuple[PlanLine, ...]
    warnings: tuple[str, ...]
    total: Asked
    budgeted: Cost
    budget: BudgetConfig | None


def plan(prepared: Prepared, tally: Tally) -> Plan:
    """The stages in order, as they were rehearsed."""
    lines = [
        PlanLine(f"training {training.name}", 0, None, "found" if training.folder.is_dir() else "to be trained")
        for training in prepared.trainings
    ]
    lines += [_rehearsed(_generation(prepared, system), tally) for system in prepared.models]
    lines += [_rehearsed(_measuring(prepared, planned), tally) for planned in prepared.metrics]
    lines += [
        _rehearsed(_control(prepared, judge, task), tally)
        for judge in prepared.judges.single.values()
        for task in controlled(judge)
    ]
    total = sum(tally.stages.values(), Asked())
    warnings = tuple(prepared.warnings)
    return Plan(prepared.config.name, tuple(lines), warnings, total, tally.budgeted, prepared.config.budget)


def untrained(prepared: Prepared, backend: Backend) -> bool:
    """Whether the backend stands on a checkpoint that is still to be trained: it has no identity yet."""
    return uses(backend, {str(training.folder) for training in prepared.trainings if not training.folder.is_dir()})


def _rehearsed(line: PlanLine, tally: Tally) -> PlanLine:
    """The line with the counts of its rehearsal; the ones reckoned beforehand, where that failed."""
    if line.stage in tally.failed:
        note = f"{line.note}; re-asks, tokens and cost are not known ({tally.failed[line.stage]})"
        return PlanLine(line.stage, line.calls, None, note)
    asked = tally.stages.get(line.stage, Asked())
    return PlanLine(line.stage, asked.calls, asked.in_ledger, line.note, asked)


def controlled(judge: PlannedJudge) -> list[Task]:
    """The tasks for which the judge has a card."""
    return [task for task in TASKS if task in judge.settings and judge.config.control_items]


def _control(prepared: Prepared, judge: PlannedJudge, task: Task) -> PlanLine:
    samples = len(prepared.datasets[MAIN].samples)
    given, full = (judge.reading(task), samples, judge.config.controls(samples)), judge.config.card == "full"
    questions, arms = control_questions(*given, True, full) if task == "score" else pair_questions(*given, full)
    requests, note = judge.planned(task)
    return PlanLine(f"controlling {judge.name}{CARD_OF[task]}", questions * requests, None, f"{arms}; {note}")


def _generation(prepared: Prepared, system: str) -> PlanLine:
    stage = f"generating {system}"
    if prepared.stored is not None:
        return PlanLine(stage, 0, 0, f"stored in {prepared.stored.run.path.name}")
    return PlanLine(stage, 0, 0, "after training" if untrained(prepared, prepared.models[system]) else "")


def _measuring(prepared: Prepared, planned: PlannedMetric) -> PlanLine:
    needs = planned.metric.needs
    responses = sum(len(planned.data.samples) * prepared.repeats(system) for system in planned.systems)
    questions = responses * prepared.config.repeats.judge
    stage = f"measuring {planned.name}"
    if "score" in needs:
        requests, note = prepared.judges[planned.judge or ""].planned("score")
        return PlanLine(stage, questions * requests, None, note)
    if "pairwise" in needs:
        pairs = planned.metric.pairs(planned.systems, prepared.config.anchor(planned.systems))
        compared = sum(len(planned.data.samples) * prepared.repeats(system) for system, _ in pairs) or responses
        requests, note = prepared.judges[planned.judge or ""].planned("pairwise")
        calls = compared * prepared.config.repeats.judge * 2 * requests
        several = f"{len(pairs)} pairs of systems, " if len(pairs) > 1 else ""
        return PlanLine(stage, calls, None, f"{several}both orders; {note}")
    if asked := sum(map(planned.metric.questions, planned.data.samples)) * len(planned.systems):
        return PlanLine(stage, asked, None, "asked by the metric itself")
    return PlanLine(stage, 0, None, f"{counted(responses, 'response')}, no calls")
