"""A run's record, from what was prepared and what was found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import JsonValue

from judgekit import __version__
from judgekit.calls.caller import Caller
from judgekit.data.groups import groups, has
from judgekit.data.lineage import JUDGED_BY, judges_of, provenances
from judgekit.judging.planning import TASKS, PlannedPanel
from judgekit.pipeline.prepared import MAIN, Prepared
from judgekit.records import NO_RESPONSE, VERDICT_STATUSES, Empty, Row
from judgekit.regression.rules import PARTIAL, partial_judges
from judgekit.results import JudgeCard, RunRecord
from judgekit.run_folder import RunFolder
from judgekit.text import counted
from judgekit.thoughts import NO_ANSWER


def record_of(prepared: Prepared, errors: dict[str, int], unsent: int = 0, **measured: Any) -> RunRecord:
    """The record of a run that was gone through; `errors` are the calls that were planned and not answered. What was
    held back by a budget (`unsent`) is never accepted as it is."""
    accepted = "error" in prepared.config.accept and not unsent
    return RunRecord(
        name=prepared.config.name,
        judgekit_version=__version__,
        status="incomplete" if errors and not accepted else "complete",
        spec=prepared.config.work(),
        inputs=prepared.inputs,
        systems=tuple(prepared.config.models),
        metric_prompts=_metric_prompts(prepared),
        metric_judges={planned.name: planned.judge for planned in prepared.metrics if planned.judge is not None},
        rescored=prepared.stored.run.path.name if prepared.stored else None,
        warnings=tuple(prepared.warnings),
        errors=errors,
        **measured,
    )


FEW_RESPONSES = 5  # questions to each different response, on average, from which it is said


def pair_judges(prepared: Prepared) -> dict[str, tuple[str, ...]]:
    """By system, the fingerprints of the judges that chose what it was trained on: `judged_by` in the items learnt."""
    if prepared.stored is not None:
        return prepared.stored.run.record().pair_judges
    trainers = {planned.name: planned.trainer for planned in prepared.trainings}
    found = {}
    for system, way in provenances(prepared.config.work()).items():
        items = (item for name in way.trainings if name in trainers for item in trainers[name].learnt())
        named = {str(one) for item in items if (said := item.metadata.get(JUDGED_BY)) for one in _listed(said)}
        if named:
            found[system] = tuple(sorted(named))
    return found


def _listed(value: JsonValue) -> list[JsonValue]:
    return value if isinstance(value, list) else [value]


def few_responses(prepared: Prepared, folder: RunFolder) -> list[str]:
    """A warning for each system that says the same to many samples: of texts without content some fool a judge."""
    references = {sample.reference for sample in prepared.datasets[MAIN].samples if sample.reference}
    warnings = []
    for system in prepared.models:
        texts = [hash(one.text.strip().casefold()) for one in folder.written(system) if one.status == "complete"]
        different, answered = len(set(texts)), len(texts)
        if answered >= FEW_RESPONSES and FEW_RESPONSES * different <= min(answered, len(references) or answered):
            said = f"{system}: only {counted(different, 'different response')} to {counted(answered, 'question')}"
            warnings.append(f"{said}: one text that fools the judge scores high on all of them")
    return warnings


def losses_by_subject(prepared: Prepared, record: RunRecord, rows: Iterable[Row]) -> list[str]:
    """A warning for each group of a metric's samples (by the fields of its breakdowns, and by category) whose verdicts
    go missing more often than others': what is left is then no random sample."""
    from judgekit.statistics.losses import uneven_losses

    asked: dict[str, dict[str, tuple[int, int]]] = {}
    lossy = {one.metric for one in record.estimates if any(one.counts.get(status, 0) for status in LOST)}
    for row in rows if lossy else ():
        if row.metric in lossy:
            statuses = [one.status for one in row.verdicts] or [row.status]
            missing, all_of = asked.setdefault(row.metric, {}).get(row.sample_id, (0, 0))
            lost = sum(status in LOST for status in statuses)
            kept = sum(status != "skipped" for status in statuses)
            if kept:
                asked[row.metric][row.sample_id] = (missing + lost, all_of + kept)
    studies = {}
    for planned in prepared.metrics:
        samples = planned.data.samples
        for field in dict.fromkeys((*prepared.config.statistics.by, *planned.metric.by, "category")):
            if counts := has(samples, field) and asked.get(planned.name):
                studies[f"{planned.name}, {field}"] = (counts, groups(samples, field))
    return [
        f"{study} {loss.group}: {_share(*loss.here)} verdicts are missing, of the others {_share(*loss.elsewhere)} "
        f"(p = {loss.p:.2g}, Fisher's exact test with Holm's correction): what is left is no random sample"
        for study, losses in uneven_losses(studies).items()
        for loss in losses
    ]


LOST = tuple(status for status in VERDICT_STATUSES if status not in ("scored", "skipped"))


def _share(missing: int, asked: int) -> str:
    return f"{missing:,} of {asked:,} ({missing / asked:.0%})"


def own_judges(record: RunRecord) -> list[str]:
    """A warning for each judge of a system that it helped to make."""
    asked = {(one.metric, one.system) for one in record.estimates}
    pairs = {(judge, system) for metric, system in asked for judge in judges_of(record, metric)}
    return [
        f"{system}: judge {judge} {PARTIAL}"
        for judge, system in sorted(pairs)
        if partial_judges(record, system, [judge])
    ]


def errors_of(prepared: Prepared, folder: RunFolder, cards: Iterable[JudgeCard]) -> dict[str, int]:
    """How often each call that was planned and not answered failed, by stage and reason. Any makes the run
    incomplete. A row without a response is not counted again."""
    errors: Counter[str] = Counter()
    for system in prepared.models:
        for response in folder.written(system):
            if response.status == "error":
                errors[f"generating {system}: {response.detail}"] += 1
    for row in folder.rows:
        for verdict in row.verdicts if row.status == "error" else ():
            if verdict.status == "error" and not verdict.detail.startswith(NO_RESPONSE):
                errors[f"measuring {row.metric}: {verdict.detail}"] += 1
    for card in cards:
        failed = max((check.counts.get("error", 0) for check in card.checks), default=0)
        if failed:
            errors[f"controlling {card.judge}: calls failed in its worst arm"] += failed
    return dict(sorted(errors.items()))


def empty_answers(prepared: Prepared, folder: RunFolder, callers: Mapping[str, Caller]) -> tuple[Empty, ...]:
    """The systems that gave empty answers, in the config's order."""
    found = []
    for system in prepared.models:
        counts = callers[f"models.{system}"].counts
        empty, of = counts.empty, counts.written
        if prepared.stored is not None:  # nobody was asked: they stand in the stored responses alone
            given = [one for one in folder.written(system) if one.status != "error"]
            of = sum(len(one.answers) for one in given)
            blank = [one for one in given if one.status == "complete" for text in one.answers if not text.strip()]
            empty = Counter(one.detail or NO_ANSWER for one in blank)
        if empty:
            causes = dict(sorted(empty.items()))
            found.append(Empty(system=system, count=empty.total(), of=of, causes=causes))
    return tuple(found)


def notes_of(callers: Mapping[str, Caller]) -> dict[str, int]:
    """How many replies bear each note of their backend, such as a parameter that the model refused."""
    noted = {(label, note): n for label, caller in callers.items() for note, n in caller.counts.notes.items()}
    return {f"{label}: {note}": count for (label, note), count in sorted(noted.items())}


def _metric_prompts(prepared: Prepared) -> dict[str, tuple[str, ...]]:
    """The templates that each metric and its judge ask by."""
    names = {}
    for planned in prepared.metrics:
        judge = prepared.judges[planned.judge] if planned.judge else None
        members = judge.members.values() if isinstance(judge, PlannedPanel) else [judge] if judge else []
        tasks = [task for task in TASKS if task in planned.metric.needs]
        settings = [member.settings[task] for member in members for task in tasks if task in member.settings]
        templates = [template for one in settings for template in (one.template, one.writing) if template is not None]
        names[planned.name] = tuple(sorted({template.name for template in (*planned.templates, *templates)}))
    return names
