"""The order of the steps of a run, nothing else: prepare, train, generate, judge, estimate, record, report."""

from __future__ import annotations

import hashlib
import json
import secrets
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import pluggy
from pydantic import JsonValue

from judgekit import __version__
from judgekit.agreement.agreement import Agreements, Terms
from judgekit.calls import offline
from judgekit.calls.budget import Budget
from judgekit.calls.caller import Caller
from judgekit.calls.dry_run import Rehearsal, Tally
from judgekit.calls.ledger import Ledger
from judgekit.calls.offline import OfflineCaller
from judgekit.calls.pacing import Paces
from judgekit.calls.usage import RunUse, run_use
from judgekit.config.blocks import RunConfig
from judgekit.contracts import Judge
from judgekit.errors import Interrupted, UsageError
from judgekit.files import write_atomically
from judgekit.judging.judge import LLMJudge
from judgekit.judging.pairwise_card import pair_card
from judgekit.judging.panel import Panel, panel_card
from judgekit.judging.planning import TASKS, PlannedPanel
from judgekit.judging.score_card import control_card
from judgekit.pipeline.generate import answered_samples, asked_in, generate, is_instructed, style_of
from judgekit.pipeline.measure import Measurements, RunStudy
from judgekit.pipeline.plan import CARD_OF, Plan, controlled, plan, untrained
from judgekit.pipeline.prepare import prepare
from judgekit.pipeline.prepared import MAIN, Prepared, Problems, Stored, check_backend
from judgekit.pipeline.report import write_reports
from judgekit.pipeline.train import speed, train
from judgekit.plugins import build_manager, describe
from judgekit.records import NO_RESPONSE, Row, Sample
from judgekit.results import JudgeCard, RunRecord, Training
from judgekit.run_folder import SPEEDS, TIMING, RunFolder, timed

T = TypeVar("T")
FRESH = "fresh"  # the file that keeps an unfinished fresh run's namespace


@dataclass(frozen=True)
class Settings:
    """Where things are kept and how fast to go: nothing here changes a result."""

    output: Path = Path("runs")
    home: Path = Path(".judgekit")
    jobs: int = 8
    fresh: bool = False
    retry_failed: bool = False
    offline: bool = False  # what the ledger does not hold is an error, and no server is asked anything

    @property
    def ledger(self) -> Path:
        return self.home / "ledger.sqlite"

    @property
    def checkpoints(self) -> Path:
        return (self.home / "checkpoints").resolve()  # a config's own paths start from its folder


@dataclass
class Outcome:
    """What a run came to: its record and folder, the reports written, and what it cost to get there."""

    record: RunRecord
    folder: RunFolder
    reports: list[Path]
    asked: int
    from_ledger: int
    seconds: dict[str, float]
    use: RunUse


@dataclass
class Run:
    """One run under way. `stop` set from outside ends it soon, with nothing that was committed lost."""

    config: RunConfig
    where: Path
    manager: pluggy.PluginManager
    settings: Settings
    stop: threading.Event = field(default_factory=threading.Event)
    stored: Stored | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    speeds: dict[str, float] = field(default_factory=dict)  # tokens a second of each training

    def execute(self) -> Outcome:
        """All steps in order. Raises the errors of errors.py; the record says whether the run is complete."""
        with ExitStack() as stack:
            with self._timed("preparation"):
                prepared = self._prepare()
            stack.callback(prepared.close)
            with self._timed("training"):
                trainings = self._train(prepared)
            identities = self._identities(prepared)
            prompts = self._prompt_hashes(prepared)
            if prepared.gate is not None:
                prepared.gate.check(self._unmeasured(prepared, identities, prompts))
            folder = RunFolder(self.settings.output / run_id(self.config, prepared.inputs, identities, prompts))
            if self.stored is not None and folder.path.resolve() == self.stored.run.path.resolve():
                raise UsageError(f"{self.stored.run.path} is these responses by this judge already")
            self.manager.hook.judgekit_run_started(run_id=folder.path.name, config=self.config)
            ledger = stack.enter_context(Ledger(self.settings.ledger))
            budget = Budget(self.config.budget) if self.config.budget is not None else None
            callers = self._callers(prepared, identities, ledger, self._namespace(folder), budget)
            for caller in callers.values():
                stack.callback(caller.close)
            judges = {name: judge.ask_through(callers[f"judges.{name}"]) for name, judge in prepared.judges.items()}
            panels = {name: panel.of(judges) for name, panel in prepared.panels.items()}
            files = {"samples.jsonl": folder.samples.write(_all_samples(prepared))}
            with self._timed("generation"):
                files |= self._generate(prepared, folder, callers)
            measurements = Measurements(self.config)
            with self._timed("judging"):
                rows = self._rows(prepared, folder, callers, {**judges, **panels}, measurements)
                files["rows.jsonl"] = folder.rows.write(rows)
                cards = [*self._cards(prepared, judges), *_panel_cards(prepared, folder, panels)]
            with self._timed("statistics"):
                estimates, differences = measurements.estimates(prepared.metrics)
                estimates, statistics = measurements.derived(prepared, estimates)
                breakdowns = measurements.breakdowns(prepared.metrics)
            errors = self._errors(prepared, folder, cards)
            record = RunRecord(
                run_id=folder.path.name,
                name=self.config.name,
                judgekit_version=__version__,
                status="incomplete" if errors else "complete",
                spec=self.config.work(),
                inputs=prepared.inputs,
                plugins=describe(self.manager),
                identities=identities,
                prompts=prompts,
                metric_prompts=_metric_prompts(prepared),
                n_samples=len(prepared.datasets[MAIN].samples),
                systems=tuple(self.config.models),
                estimates=tuple(estimates),
                differences=tuple(differences),
                statistics=tuple(statistics),
                breakdowns=tuple(breakdowns),
                variance_budgets=tuple(measurements.variance_budgets(estimates)),
                cards=tuple(cards),
                trainings=tuple(trainings),
                steps={name: judge.steps for name, judge in judges.items() if judge.steps},
                warnings=tuple(prepared.warnings),
                notes=_notes(callers),
                errors=errors,
                files=files,
                rescored=self.stored.run.path.name if self.stored else None,
            )
            with self._timed("statistics"):
                record = self._with_agreements(prepared, folder, record)
                if prepared.gate is not None:
                    record = prepared.gate.judged(record, folder)
            folder.write_record(record)
            self._note_speeds(folder)
            with self._timed("report"):
                reports = write_reports(folder, self.config.reports, self.manager)
            (folder.path / FRESH).unlink(missing_ok=True)  # until here, the same command goes on in its namespace
            self.manager.hook.judgekit_run_finished(record=record)
            return self._outcome(record, folder, reports, callers, run_use(self.config, callers, budget))

    def plan(self) -> Plan:
        """What `execute` would do. Nothing is trained or called; backends are asked for their identity alone."""
        with ExitStack() as stack:
            prepared = self._prepare()
            stack.callback(prepared.close)
            nowhere = Path(stack.enter_context(TemporaryDirectory(prefix="judgekit-")))
            found = self.settings.ledger.is_file() and not self.settings.fresh
            ledger = stack.enter_context(Ledger(self.settings.ledger if found else nowhere / "ledger.sqlite"))
            return plan(prepared, self._rehearsed(prepared, ledger, RunFolder(nowhere)))

    def _rehearsed(self, prepared: Prepared, ledger: Ledger, folder: RunFolder) -> Tally:
        """The run's own steps, with callers that call nothing, in a folder that is thrown away."""
        tally = Tally()
        quiet = replace(self, manager=build_manager(only=(), extra=[tally]))
        callers: dict[str, Caller] = {
            label: Rehearsal(
                label,
                backend,
                ledger,
                tally,
                identity=label if untrained(prepared, backend) else backend.identity(),
                price=prepared.parts[label].price,
                retry_failed=self.settings.retry_failed,
            )
            for label, backend in prepared.backends.items()
        }
        judges = {name: judge.ask_through(callers[f"judges.{name}"]) for name, judge in prepared.judges.items()}
        panels = {name: panel.of(judges) for name, panel in prepared.panels.items()}
        quiet._generate(prepared, folder, callers)
        for planned in prepared.metrics:
            one = replace(prepared, metrics=[planned])
            with tally.rehearsing(f"measuring {planned.name}"):
                deque(quiet._rows(one, folder, callers, {**judges, **panels}, Measurements(self.config)), maxlen=0)
        quiet._cards(prepared, judges)
        return tally

    def _prepare(self) -> Prepared:
        checkpoints, offline = self.settings.checkpoints, self.settings.offline
        return prepare(self.config, self.where, self.manager, checkpoints, self.stored, offline=offline)

    # --- steps -------------------------------------------------------------------------------------------------------

    def _train(self, prepared: Prepared) -> list[Training]:
        trainings = []
        for planned in prepared.trainings:
            trainings.append(train(planned, self._progress(f"training {planned.name}")))
            if (tokens := speed(planned, trainings[-1])) is not None:
                self.speeds[planned.name] = round(tokens, 1)
        problems = Problems()
        for name, backend in prepared.models.items() if not self.settings.offline else ():
            check_backend(f"models.{name}", backend, problems)
        problems.raise_errors()
        return trainings

    def _identities(self, prepared: Prepared) -> dict[str, JsonValue]:
        if self.settings.offline:
            with Ledger(self.settings.ledger) as ledger:
                return offline.identities(prepared.backends, ledger)
        return {label: backend.identity() for label, backend in prepared.backends.items()}

    def _prompt_hashes(self, prepared: Prepared) -> dict[str, str]:
        templates = [template for judge in prepared.judges.values() for template in judge.prompts]
        templates += [template for planned in prepared.metrics for template in planned.templates]
        asked = [name for name in prepared.models if self.stored is None and is_instructed(prepared, name)]
        hashes = {template.name: template.sha256 for template in templates}
        hashes |= {style.name: style.sha256 for style in (asked_in(prepared, name) for name in asked)}
        return dict(sorted(hashes.items()))

    def _unmeasured(self, prepared: Prepared, identities: dict[str, JsonValue], prompts: dict[str, str]) -> RunRecord:
        """What the record will say of how the run measures, before it has measured anything."""
        return RunRecord(
            run_id="",
            name=self.config.name,
            judgekit_version=__version__,
            status="incomplete",
            spec=self.config.work(),
            inputs=prepared.inputs,
            plugins=(),
            identities=identities,
            prompts=prompts,
            metric_prompts=_metric_prompts(prepared),
            n_samples=0,
            systems=tuple(self.config.models),
            estimates=(),
        )

    def _callers(
        self,
        prepared: Prepared,
        identities: dict[str, JsonValue],
        ledger: Ledger,
        namespace: str,
        budget: Budget | None,
    ) -> dict[str, Caller]:
        paces, parts = Paces(), prepared.parts
        return {
            label: (OfflineCaller if self.settings.offline else Caller)(
                backend,
                ledger,
                identity=identities[label],
                concurrency=self.settings.jobs,
                namespace=namespace,
                retry_failed=self.settings.retry_failed,
                stop=self.stop,
                report=self._reporter(label),
                limits=parts[label].limits,
                paces=paces,
                price=parts[label].price,
                budget=None if backend.free else budget,
            )
            for label, backend in prepared.backends.items()
        }

    def _namespace(self, folder: RunFolder) -> str:
        """The part of every ledger key that tells a fresh run's calls from all others; "" for an ordinary run."""
        if not self.settings.fresh:
            return ""
        path = folder.path / FRESH
        if not path.is_file():
            write_atomically(path, secrets.token_hex(8).encode())
        return path.read_text("ascii")

    def _with_agreements(self, prepared: Prepared, folder: RunFolder, record: RunRecord) -> RunRecord:
        """The record, with how far its judges agree with the config's labels and with those of the stored run."""
        terms = Terms(confidence=self.config.statistics.confidence, seed=self.config.seed)
        agreements = Agreements(record, folder.rows, terms)
        if self.config.labels is not None and prepared.labels is not None:
            agreements.add_labels(prepared.labels, self.config.labels)
        if self.stored is not None:
            for planned in prepared.metrics:
                agreements.add_run(self.stored.run.view(), planned.name)
        warnings = (*record.warnings, *agreements.warnings)
        return record.model_copy(update={"agreements": tuple(agreements.made), "warnings": warnings})

    def _generate(self, prepared: Prepared, folder: RunFolder, callers: dict[str, Caller]) -> dict[str, str]:
        files = {}
        for system in prepared.models if self.stored is None else ():
            total = len(answered_samples(prepared, system)) * prepared.repeats(system)
            responses = generate(prepared, system, callers[f"models.{system}"])
            counted = self._counted(responses, f"generating {system}", total)
            files[f"responses/{system}.jsonl"] = folder.responses(system).write(counted)
            prepared.models[system].rest()
        if self.stored is not None:
            for system in prepared.models:
                if (stored := self.stored.run.responses(system)).path.is_file():
                    files[f"responses/{system}.jsonl"] = folder.responses(system).write(stored)
        return files

    def _rows(
        self,
        prepared: Prepared,
        folder: RunFolder,
        callers: dict[str, Caller],
        judges: Mapping[str, Judge],
        measurements: Measurements,
    ) -> Iterator[Row]:
        for planned in prepared.metrics:
            study = RunStudy(
                data=planned.data,
                systems=planned.systems,
                anchor=prepared.anchor(planned.systems),
                judge=judges[planned.judge] if planned.judge else None,
                judge_repeats=self.config.repeats.judge,
                folder=folder,
                callers={name: callers[f"models.{name}"] for name in prepared.models},
                prompts=prepared.prompts,
                styles={name: style_of(prepared, name) for name in prepared.models},
            )
            looking = prepared.gate.looking(planned.name, self.config.seed) if prepared.gate else None
            for row in self._counted(measurements.rows(planned, study, looking), f"measuring {planned.name}", 0):
                self.manager.hook.judgekit_row_done(row=row)
                yield row

    def _cards(self, prepared: Prepared, judges: dict[str, LLMJudge]) -> list[JudgeCard]:
        cards = []
        for name, judge in judges.items():
            planned = prepared.judges[name]
            for task in controlled(planned):
                self._progress(f"controlling {name}{CARD_OF[task]}")(0, 0, "")
                make = control_card if task == "score" else pair_card
                samples = prepared.datasets[MAIN].samples
                cards.append(make(judge, samples, planned.config.controls(len(samples))))
        return cards

    def _errors(self, prepared: Prepared, folder: RunFolder, cards: list[JudgeCard]) -> dict[str, int]:
        """How often each call that was planned and not answered failed, by stage and reason. Any makes the run
        incomplete. A row without a response is not counted again."""
        errors: Counter[str] = Counter()
        for system in prepared.models:
            for response in folder.responses(system) if folder.responses(system).path.is_file() else ():
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

    # --- progress and time -------------------------------------------------------------------------------------------

    def _progress(self, stage: str) -> Callable[[int, int, str], None]:
        def progress(done: int, total: int, note: str) -> None:
            if self.stop.is_set():
                raise Interrupted(f"interrupted while {stage}")
            self.manager.hook.judgekit_progress(stage=stage, done=done, total=total, note=note)

        return progress

    def _reporter(self, label: str) -> Callable[[str, int, int, str], None]:
        """For a backend whose work takes long: its progress is a stage of its own."""

        def report(what: str, done: int, total: int, note: str) -> None:
            self.manager.hook.judgekit_progress(stage=f"{label}, {what}", done=done, total=total, note=note)

        return report

    def _counted(self, values: Iterator[T], stage: str, total: int) -> Iterator[T]:
        progress = self._progress(stage)
        done = 0
        progress(done, total, "")
        for done, value in enumerate(values, start=1):
            yield value
            progress(done, total, "")
        progress(done, done, "")

    @contextmanager
    def _timed(self, step: str) -> Iterator[None]:
        start = time.monotonic()
        try:
            yield
        finally:
            self.seconds[step] = round(time.monotonic() - start, 3)

    def _note_speeds(self, folder: RunFolder) -> None:
        """For the report, before there is more to say of the time."""
        timing = folder.path / TIMING
        if self.speeds and not timing.is_file():
            write_atomically(timing, json.dumps({SPEEDS: self.speeds}, indent=1).encode() + b"\n")

    def _outcome(
        self, record: RunRecord, folder: RunFolder, reports: list[Path], callers: dict[str, Caller], use: RunUse
    ) -> Outcome:
        asked = sum(caller.counts.asked for caller in callers.values())
        found = sum(caller.counts.from_ledger for caller in callers.values())
        timing = folder.path / TIMING
        if asked or "seconds" not in timed(folder):
            content = {"seconds": self.seconds, "calls_asked": asked, "calls_from_ledger": found, **use.as_json()}
            content |= {SPEEDS: self.speeds} if self.speeds else {}
            write_atomically(timing, json.dumps(content, indent=1).encode() + b"\n")
        return Outcome(record, folder, reports, asked, found, self.seconds, use)


def run_id(config: RunConfig, inputs: dict[str, str], identities: dict[str, JsonValue], prompts: dict[str, str]) -> str:
    """The run's name and a hash of all that decides its record: equal work has an equal id. What it may cost and how
    fast it goes (budget, limits, price) decide nothing: a run goes on with a larger budget."""
    content = json.dumps([config.work(), inputs, identities, prompts], sort_keys=True)
    return f"{config.name}-{hashlib.sha256(content.encode()).hexdigest()[:12]}"


def _notes(callers: dict[str, Caller]) -> dict[str, int]:
    """How many replies bear each note of their backend, such as a parameter that the model refused."""
    noted = {(label, note): n for label, caller in callers.items() for note, n in caller.counts.notes.items()}
    return {f"{label}: {note}": count for (label, note), count in sorted(noted.items())}


def _panel_cards(prepared: Prepared, folder: RunFolder, panels: Mapping[str, Panel]) -> list[JudgeCard]:
    """How far the members of each panel agree over the rows of its metrics."""
    asked = {name: {planned.name for planned in prepared.metrics if planned.judge == name} for name in panels}
    return [
        panel_card(panel, (row for row in folder.rows if row.metric in asked[name]))
        for name, panel in panels.items()
        if asked[name]
    ]


def _metric_prompts(prepared: Prepared) -> dict[str, tuple[str, ...]]:
    """The templates that each metric and its judge ask by."""
    found = {}
    for planned in prepared.metrics:
        judge = prepared.judge(planned.judge) if planned.judge else None
        members = judge.members.values() if isinstance(judge, PlannedPanel) else [judge] if judge else []
        tasks = [task for task in TASKS if task in planned.metric.needs]
        settings = [member.settings[task] for member in members for task in tasks if task in member.settings]
        templates = [template for one in settings for template in (one.template, one.writing) if template is not None]
        found[planned.name] = tuple(sorted({template.name for template in (*planned.templates, *templates)}))
    return found


def _all_samples(prepared: Prepared) -> Iterator[Sample]:
    yield from {sample.id: sample for data in prepared.datasets.values() for sample in data.samples}.values()


__all__ = ["Outcome", "Plan", "Run", "Settings", "run_id"]
