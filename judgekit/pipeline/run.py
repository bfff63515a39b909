"""A run, step by step: prepare, train, open, generate, judge, estimate, record, report."""

from __future__ import annotations

import hashlib
import json
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import pluggy
from pydantic import JsonValue

from judgekit.agreement.agreement import Agreements, Terms
from judgekit.calls.budget import Budget, RunUse, run_use
from judgekit.calls.caller import Caller
from judgekit.calls.ledger import Ledger
from judgekit.calls.policies import DryRun, Live, Offline, Policy, Tally
from judgekit.calls.session import Session
from judgekit.config.blocks import RunConfig
from judgekit.contracts import Executor
from judgekit.errors import Interrupted, UsageError
from judgekit.files import storage_errors, tidy, write_atomically
from judgekit.judging.pairwise_card import pair_card
from judgekit.judging.panel import panel_card
from judgekit.judging.score_card import control_card
from judgekit.pipeline.checks import try_by_tokens
from judgekit.pipeline.generate import answered_samples, generate, is_instructed, style_of, without_thoughts
from judgekit.pipeline.identities import asked_anew, check_identities
from judgekit.pipeline.judges import AskedJudges
from judgekit.pipeline.measure import Measurements, RunStudy
from judgekit.pipeline.plan import CARD_OF, Plan, controlled, plan, untrained
from judgekit.pipeline.prepare import prepare
from judgekit.pipeline.prepared import MAIN, PlannedMetric, Prepared, Problems, Stored, check_backend
from judgekit.pipeline.record import (
    empty_answers,
    errors_of,
    few_responses,
    losses_by_subject,
    notes_of,
    own_judges,
    pair_judges,
    record_of,
)
from judgekit.pipeline.report import write_reports
from judgekit.pipeline.train import speed, train
from judgekit.plugins import Catalogue, aside, build_manager, describe
from judgekit.prompting.styles import style_named
from judgekit.records import Row
from judgekit.regression.empty import empty_lines
from judgekit.regression.unscored import silences
from judgekit.results import JudgeCard, RunRecord, Training
from judgekit.run_folder import SPEEDS, TIMING, RunFolder, timed
from judgekit.thoughts import Thoughts

T = TypeVar("T")
DRY_JOBS = 64  # a dry run's calls, looked up in one read of the ledger
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

    @classmethod
    def of(cls, options: Any) -> Settings:
        """The settings among the options of a command."""
        return cls(**{one.name: getattr(options, one.name) for one in fields(cls)})

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


@dataclass(frozen=True)
class Opened:
    """A run whose parts can be asked: its folder, and the session that its calls go through."""

    prepared: Prepared
    folder: RunFolder
    identities: dict[str, JsonValue]
    prompts: dict[str, str]
    session: Session

    @cached_property
    def callers(self) -> dict[str, Caller]:
        """A caller for every part, by its place in the config."""
        parts, identities = self.prepared.parts, self.identities
        return {
            label: self.session.caller(
                label, backend, parts[label], identity=identities[label], budgeted=not backend.free
            )
            for label, backend in self.prepared.backends.items()
        }

    @cached_property
    def judges(self) -> AskedJudges:
        planned = self.prepared.judges
        return planned.ask_through({name: self.callers[f"judges.{name}"] for name in planned.single})


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
    notes: list[str] = field(default_factory=list)  # for whoever waits, and no part of the record

    def execute(self) -> Outcome:
        """All steps in order. Raises the errors of errors.py; the record says whether the run is complete."""
        with ExitStack() as stack, aside():
            prepared = self._prepare(stack)
            trainings = self._train(prepared)
            opened = self._open(prepared, stack)
            samples = {sample.id: sample for data in prepared.datasets.values() for sample in data.samples}
            files = {"samples.jsonl": opened.folder.samples.write(samples.values())}
            self._try(opened)
            files |= self._generate(opened)
            measurements = Measurements(self.config)
            files["rows.jsonl"], cards = self._judge(opened, measurements)
            check_identities(opened.callers, opened.identities, opened.prepared.names)
            with self._timed("statistics"):
                measured = measurements.fields(prepared.metrics)
            record = self._record(opened, trainings=tuple(trainings), cards=tuple(cards), files=files, **measured)
            reports = self._report(opened.folder, record)
            return self._outcome(opened, record, reports)

    def plan(self) -> Plan:
        """What `execute` would do. Nothing is trained or called; backends are asked for their identity alone."""
        with ExitStack() as stack, aside():
            prepared = self._prepare(stack)
            nowhere = Path(stack.enter_context(TemporaryDirectory(prefix="judgekit-")))
            known = self.settings.ledger.is_file() and not self.settings.fresh
            ledger = stack.enter_context(Ledger(self.settings.ledger if known else nowhere / "ledger.sqlite"))
            tally = Tally()
            dry = DryRun(tally, {label for label, backend in prepared.backends.items() if untrained(prepared, backend)})
            quiet = replace(self, manager=build_manager(only=(), extra=[tally]))
            identities = dry.identities(prepared.backends, ledger, prepared.names)
            self.notes += asked_anew(identities, ledger)
            session = self._session(stack, ledger, dry, jobs=DRY_JOBS)
            quiet._rehearse(Opened(prepared, RunFolder(nowhere), identities, {}, session), tally)
            return plan(prepared, tally)

    # --- steps -------------------------------------------------------------------------------------------------------

    def _prepare(self, stack: ExitStack) -> Prepared:
        checkpoints, offline = self.settings.checkpoints, self.settings.offline
        with self._timed("preparation"):
            prepared = prepare(self.config, self.where, self.manager, checkpoints, self.stored, offline=offline)
        stack.callback(prepared.close)
        _ = self._executor  # one that cannot be made is found before anything is trained
        return prepared

    def _train(self, prepared: Prepared) -> list[Training]:
        with self._timed("training"):
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

    def _open(self, prepared: Prepared, stack: ExitStack) -> Opened:
        """The run's folder, by who is asked and how; and its session, with a caller for every part."""
        policy: Policy = Offline() if self.settings.offline else Live()
        ledger = stack.enter_context(Ledger(self.settings.ledger))
        # The config keys of each judge's reading, where it has own ones, are part of who judges; so is who gave stored
        # verdicts.
        own: dict[str, JsonValue] = {
            f"readings.{name}": keys for name, judge in prepared.judges.single.items() if (keys := judge.own_keys)
        }
        given = {planned.name: dict(planned.metric.given_by()) for planned in prepared.metrics}
        own |= {f"metrics.{name}": dict(who) for name, who in given.items() if who}
        identities = own | policy.identities(prepared.backends, ledger, prepared.names)
        self.notes += asked_anew(identities, ledger)
        prompts = self._prompt_hashes(prepared)
        if prepared.gate is not None:
            none: dict[str, Any] = {"run_id": "", "plugins": (), "n_samples": 0, "estimates": ()}
            prepared.gate.check(record_of(prepared, {}, identities=identities, prompts=prompts, **none))
        folder = RunFolder(self.settings.output / run_id(self.config, prepared.inputs, identities, prompts))
        if self.stored is not None and folder.path.resolve() == self.stored.run.path.resolve():
            raise UsageError(f"{self.stored.run.path} is these responses by this judge already")
        with storage_errors(folder.path):
            tidy(folder.path)
            tidy(self.settings.checkpoints)
        self.manager.hook.judgekit_run_started(run_id=folder.path.name, config=self.config)
        budget = Budget(self.config.budget) if self.config.budget is not None else None
        more: dict[str, Any] = {"budget": budget, "namespace": self._namespace(folder), "progress": self._tell}
        session = self._session(stack, ledger, policy, jobs=self.settings.jobs, **more)
        return Opened(prepared, folder, identities, prompts, session)

    def _try(self, opened: Opened) -> None:
        """What would be found only after everything was generated: a server without the log-probabilities it is for."""
        if self.stored is None:
            try_by_tokens(opened.prepared, opened.callers)

    def _generate(self, opened: Opened) -> dict[str, str]:
        """The responses of every system; the sha256 of each file."""
        files, prepared, folder = {}, opened.prepared, opened.folder
        with self._timed("generation"):
            for system in prepared.models if self.stored is None else ():
                total = len(answered_samples(prepared, system)) * prepared.repeats(system)
                responses = generate(prepared, system, opened.callers[f"models.{system}"])
                counted = self._counted(responses, f"generating {system}", total)
                files[f"responses/{system}.jsonl"] = folder.responses(system).write(counted)
                prepared.models[system].rest()
            if self.stored is not None:
                for system in prepared.models:
                    if (stored := self.stored.run.responses(system)).path.is_file():
                        thoughts = Thoughts.of(prepared.config.models[system].thoughts)
                        responses = (without_thoughts(one, thoughts) for one in stored)
                        files[f"responses/{system}.jsonl"] = folder.responses(system).write(responses)
        return files

    def _judge(self, opened: Opened, measurements: Measurements) -> tuple[str, list[JudgeCard]]:
        """Every metric's rows (the sha256 of their file), and what the control items say of the judges."""
        with self._timed("judging"):
            rows = opened.folder.rows.write(self._rows(opened, opened.prepared.metrics, measurements))
            return rows, [*self._cards(opened), *_panel_cards(opened)]

    def _rows(self, opened: Opened, metrics: Sequence[PlannedMetric], measurements: Measurements) -> Iterator[Row]:
        prepared = opened.prepared
        for planned in metrics:
            study = RunStudy(
                data=planned.data,
                systems=planned.systems,
                anchor=prepared.config.anchor(planned.systems),
                judge=opened.judges[planned.judge] if planned.judge else None,
                judge_repeats=self.config.repeats.judge,
                folder=opened.folder,
                callers={name: opened.callers[f"models.{name}"] for name in prepared.models},
                prompts=prepared.prompts,
                styles={name: style_of(prepared, name) for name in prepared.models},
            )
            looking = prepared.gate.looking(planned.name, self.config.seed) if prepared.gate else None
            for row in self._counted(measurements.rows(planned, study, looking), f"measuring {planned.name}", 0):
                self.manager.hook.judgekit_row_done(row=row)
                yield row

    def _cards(self, opened: Opened) -> list[JudgeCard]:
        cards = []
        for name, judge in opened.judges.single.items():
            planned = opened.prepared.judges.single[name]
            for task in controlled(planned):
                self._progress(f"controlling {name}{CARD_OF[task]}")(0, 0, "")
                samples = opened.prepared.datasets[MAIN].samples
                items = planned.config.controls(len(samples))
                own, full = map(opened.folder.written, opened.prepared.models), planned.config.card == "full"
                if task == "score":
                    cards.append(control_card(judge, samples, items, chain.from_iterable(own), full))
                else:
                    cards.append(pair_card(judge, samples, items, full))
        return cards

    def _rehearse(self, opened: Opened, tally: Tally) -> None:
        """The run's own steps, in a folder that is thrown away and a session that calls nothing."""
        with tally.rehearsing("trying log-probabilities"):
            self._try(opened)
        self._generate(opened)
        for planned in opened.prepared.metrics:
            with tally.rehearsing(f"measuring {planned.name}"):
                deque(self._rows(opened, [planned], Measurements(self.config)), maxlen=0)
        with tally.rehearsing("controlling the judges"):
            self._cards(opened)

    def _record(self, opened: Opened, **measured: Any) -> RunRecord:
        """The record, with how far judges and labels agree and what the gate says, written."""
        prepared, folder = opened.prepared, opened.folder
        with self._timed("statistics"):
            record = record_of(
                prepared,
                errors_of(prepared, folder, measured["cards"]),
                sum(caller.counts.unsent for caller in opened.callers.values()),
                run_id=folder.path.name,
                plugins=describe(self.manager),
                identities=opened.identities,
                prompts=opened.prompts,
                n_samples=len(prepared.datasets[MAIN].samples),
                steps={name: judge.steps for name, judge in opened.judges.single.items() if judge.steps},
                notes=notes_of(opened.callers),
                empty=empty_answers(prepared, folder, opened.callers),
                pair_judges=pair_judges(prepared),
                **measured,
            )
            seen = [*empty_lines(record), *few_responses(prepared, folder), *own_judges(record)]
            seen += [*silences(record, folder.rows), *losses_by_subject(prepared, record, folder.rows)]
            warnings = (*record.warnings, *seen)
            record = self._with_agreements(prepared, folder, record.model_copy(update={"warnings": warnings}))
            if prepared.gate is not None:
                record = prepared.gate.judged(record, folder)
        folder.write_record(record)
        return record

    def _report(self, folder: RunFolder, record: RunRecord) -> list[Path]:
        self._note_speeds(folder)
        with self._timed("report"):
            reports = write_reports(folder, self.config.reports, self.manager)
        (folder.path / FRESH).unlink(missing_ok=True)  # until here, the same command goes on in its namespace
        self.manager.hook.judgekit_run_finished(record=record)
        return reports

    # --- parts of the steps ------------------------------------------------------------------------------------------

    @cached_property
    def _executor(self) -> Executor:
        return Catalogue(self.manager).executor(self.config.executor, self.settings.jobs)

    def _session(self, stack: ExitStack, ledger: Ledger, policy: Policy, **more: Any) -> Session:
        retry, stop = self.settings.retry_failed, self.stop
        return stack.enter_context(Session(ledger, self._executor, policy, retry_failed=retry, stop=stop, **more))

    def _prompt_hashes(self, prepared: Prepared) -> dict[str, str]:
        templates = [template for judge in prepared.judges.single.values() for template in judge.prompts]
        templates += [template for planned in prepared.metrics for template in planned.templates]
        asked = [name for name in prepared.models if self.stored is None and is_instructed(prepared, name)]
        styles = [style_named(style_of(prepared, name), prepared.prompts) for name in asked]
        hashes = {template.name: template.sha256 for template in templates}
        return dict(sorted((hashes | {style.name: style.sha256 for style in styles}).items()))

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

    # --- progress and time -------------------------------------------------------------------------------------------

    def _progress(self, stage: str) -> Callable[[int, int, str], None]:
        def progress(done: int, total: int, note: str) -> None:
            if self.stop.is_set():
                raise Interrupted(f"interrupted while {stage}")
            self._tell(stage, done, total, note)

        return progress

    def _tell(self, stage: str, done: int, total: int, note: str) -> None:
        """Of a backend whose work takes long: its progress is a stage of its own."""
        self.manager.hook.judgekit_progress(stage=stage, done=done, total=total, note=note)

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
            self.seconds[step] = round(self.seconds.get(step, 0.0) + time.monotonic() - start, 3)

    def _note_speeds(self, folder: RunFolder) -> None:
        """For the report, before there is more to say of the time."""
        timing = folder.path / TIMING
        if self.speeds and not timing.is_file():
            write_atomically(timing, json.dumps({SPEEDS: self.speeds}, indent=1).encode() + b"\n")

    def _outcome(self, opened: Opened, record: RunRecord, reports: list[Path]) -> Outcome:
        folder, callers = opened.folder, opened.callers
        use = run_use(self.config, callers, opened.session.budget)
        asked = sum(caller.counts.asked for caller in callers.values())
        from_ledger = sum(caller.counts.from_ledger for caller in callers.values())
        timing = folder.path / TIMING
        if asked or "seconds" not in timed(folder):
            content = {"seconds": self.seconds, "calls_asked": asked, "calls_from_ledger": from_ledger, **use.as_json()}
            content |= {SPEEDS: self.speeds} if self.speeds else {}
            write_atomically(timing, json.dumps(content, indent=1).encode() + b"\n")
        return Outcome(record, folder, reports, asked, from_ledger, self.seconds, use)


def run_id(config: RunConfig, inputs: dict[str, str], identities: dict[str, JsonValue], prompts: dict[str, str]) -> str:
    """The run's name and a hash of all that decides its record: equal work has an equal id. What it may cost and how
    fast it goes (budget, limits, price) decide nothing: a run goes on with a larger budget."""
    content = json.dumps([config.work(), inputs, identities, prompts], sort_keys=True)
    return f"{config.name}-{hashlib.sha256(content.encode()).hexdigest()[:12]}"


def _panel_cards(opened: Opened) -> list[JudgeCard]:
    """How far the members of each panel agree over the rows of its metrics."""
    panels, metrics = opened.judges.panels, opened.prepared.metrics
    asked = {name: {planned.name for planned in metrics if planned.judge == name} for name in panels}
    return [
        panel_card(panel, (row for row in opened.folder.rows if row.metric in asked[name]))
        for name, panel in panels.items()
        if asked[name]
    ]
