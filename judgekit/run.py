"""The order of the steps of a run, nothing else: prepare, train, generate, judge, estimate, record, report."""

from __future__ import annotations

import hashlib
import json
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import pluggy
from pydantic import JsonValue

from judgekit import __version__
from judgekit.calling import Caller
from judgekit.errors import Interrupted
from judgekit.folder import RunFolder, write_atomically
from judgekit.generating import answered_samples, generate, instruction_template, is_instructed, style_of
from judgekit.judge_card import control_card
from judgekit.judging import LLMJudge
from judgekit.ledger import Ledger
from judgekit.measuring import Measurements, RunStudy
from judgekit.planning import Plan, plan
from judgekit.plugins import describe
from judgekit.preparation import MAIN, Prepared, Problems, check_backend, prepare
from judgekit.records import NO_RESPONSE, JudgeCard, Row, RunRecord, Sample, Training
from judgekit.report import write_reports
from judgekit.spec import RunSpec
from judgekit.training import train

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


@dataclass
class Run:
    """One run under way. `stop` set from outside ends it soon, with nothing that was committed lost."""

    spec: RunSpec
    where: Path
    manager: pluggy.PluginManager
    settings: Settings
    stop: threading.Event = field(default_factory=threading.Event)
    seconds: dict[str, float] = field(default_factory=dict)

    def execute(self) -> Outcome:
        """All steps in order. Raises the errors of errors.py; the record says whether the run is complete."""
        with ExitStack() as stack:
            with self._timed("preparation"):
                prepared = prepare(self.spec, self.where, self.manager, self.settings.checkpoints)
            stack.callback(prepared.close)
            with self._timed("training"):
                trainings = self._train(prepared)
            identities = self._identities(prepared)
            prompts = self._prompt_hashes(prepared)
            folder = RunFolder(self.settings.output / run_id(self.spec, prepared.inputs, identities, prompts))
            self.manager.hook.judgekit_run_started(run_id=folder.path.name, spec=self.spec)
            ledger = stack.enter_context(Ledger(self.settings.ledger))
            callers = self._callers(prepared, identities, ledger, self._namespace(folder))
            for caller in callers.values():
                stack.callback(caller.close)
            judges = {name: judge.ask_through(callers[f"judges.{name}"]) for name, judge in prepared.judges.items()}
            files = {"samples.jsonl": folder.samples.write(_all_samples(prepared))}
            with self._timed("generation"):
                files |= self._generate(prepared, folder, callers)
            measurements = Measurements(self.spec)
            with self._timed("judging"):
                files["rows.jsonl"] = folder.rows.write(self._rows(prepared, folder, callers, judges, measurements))
                cards = self._cards(prepared, judges)
            with self._timed("statistics"):
                estimates, differences = measurements.estimates(prepared.metrics)
            errors = self._errors(prepared, folder, cards)
            record = RunRecord(
                run_id=folder.path.name,
                name=self.spec.name,
                judgekit_version=__version__,
                status="incomplete" if errors else "complete",
                spec=self.spec.model_dump(mode="json"),
                inputs=prepared.inputs,
                plugins=describe(self.manager),
                identities=identities,
                prompts=prompts,
                n_samples=len(prepared.datasets[MAIN].samples),
                systems=tuple(self.spec.models),
                estimates=tuple(estimates),
                differences=tuple(differences),
                cards=tuple(cards),
                trainings=tuple(trainings),
                warnings=tuple(prepared.warnings),
                errors=errors,
                files=files,
            )
            folder.write_record(record)
            with self._timed("report"):
                reports = write_reports(folder, self.spec.reports, self.manager)
            (folder.path / FRESH).unlink(missing_ok=True)  # until here, the same command goes on in its namespace
            self.manager.hook.judgekit_run_finished(record=record)
            return self._outcome(record, folder, reports, callers)

    def plan(self) -> Plan:
        """What `execute` would do. Nothing is trained or called; backends are asked for their identity alone."""
        with ExitStack() as stack:
            prepared = prepare(self.spec, self.where, self.manager, self.settings.checkpoints)
            stack.callback(prepared.close)
            found = self.settings.ledger.is_file() and not self.settings.fresh
            return plan(prepared, stack.enter_context(Ledger(self.settings.ledger)) if found else None)

    # --- steps -------------------------------------------------------------------------------------------------------

    def _train(self, prepared: Prepared) -> list[Training]:
        trainings = []
        for planned in prepared.trainings:
            trainings.append(train(planned, self._progress(f"training {planned.name}")))
        problems = Problems()
        for name, backend in prepared.models.items():
            check_backend(f"models.{name}", backend, problems)
        problems.raise_errors()
        return trainings

    def _identities(self, prepared: Prepared) -> dict[str, JsonValue]:
        return {label: backend.identity() for label, backend in prepared.backends.items()}

    def _prompt_hashes(self, prepared: Prepared) -> dict[str, str]:
        templates = [template for judge in prepared.judges.values() for template in judge.templates.values()]
        templates += [template for planned in prepared.metrics for template in planned.templates]
        templates += [instruction_template(prepared, name) for name in prepared.models if is_instructed(prepared, name)]
        return {template.name: template.sha256 for template in sorted(templates, key=lambda template: template.name)}

    def _callers(
        self, prepared: Prepared, identities: dict[str, JsonValue], ledger: Ledger, namespace: str
    ) -> dict[str, Caller]:
        return {
            label: Caller(
                backend,
                ledger,
                identity=identities[label],
                concurrency=self.settings.jobs,
                namespace=namespace,
                retry_failed=self.settings.retry_failed,
                stop=self.stop,
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

    def _generate(self, prepared: Prepared, folder: RunFolder, callers: dict[str, Caller]) -> dict[str, str]:
        files = {}
        for system in prepared.models:
            total = len(answered_samples(prepared, system)) * prepared.repeats(system)
            responses = generate(prepared, system, callers[f"models.{system}"])
            counted = self._counted(responses, f"generating {system}", total)
            files[f"responses/{system}.jsonl"] = folder.responses(system).write(counted)
            prepared.models[system].rest()
        return files

    def _rows(
        self,
        prepared: Prepared,
        folder: RunFolder,
        callers: dict[str, Caller],
        judges: dict[str, LLMJudge],
        measurements: Measurements,
    ) -> Iterator[Row]:
        for planned in prepared.metrics:
            study = RunStudy(
                data=planned.data,
                systems=planned.systems,
                judge=judges[planned.judge] if planned.judge else None,
                judge_repeats=self.spec.repeats.judge,
                folder=folder,
                callers={name: callers[f"models.{name}"] for name in prepared.models},
                prompts=prepared.prompts,
                styles={name: style_of(prepared, name) for name in prepared.models},
            )
            for row in self._counted(measurements.rows(planned, study), f"measuring {planned.name}", 0):
                self.manager.hook.judgekit_row_done(row=row)
                yield row

    def _cards(self, prepared: Prepared, judges: dict[str, LLMJudge]) -> list[JudgeCard]:
        cards = []
        for name, judge in judges.items():
            planned = prepared.judges[name]
            if planned.spec.control_items and "score" in planned.templates:
                self._progress(f"controlling {name}")(0, 0, "")
                samples = prepared.datasets[MAIN].samples
                cards.append(control_card(judge, samples, planned.spec.control_items))
        return cards

    def _errors(self, prepared: Prepared, folder: RunFolder, cards: list[JudgeCard]) -> dict[str, int]:
        """How often each call that was planned and not answered failed, by stage and reason. Any makes the run
        incomplete. A row without a response is not counted again."""
        errors: Counter[str] = Counter()
        for system in prepared.models:
            for response in folder.responses(system):
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

    def _outcome(
        self, record: RunRecord, folder: RunFolder, reports: list[Path], callers: dict[str, Caller]
    ) -> Outcome:
        asked = sum(caller.counts.asked for caller in callers.values())
        found = sum(caller.counts.from_ledger for caller in callers.values())
        timing = folder.path / "timing.json"
        if asked or not timing.is_file():
            content = {"seconds": self.seconds, "calls_asked": asked, "calls_from_ledger": found}
            write_atomically(timing, json.dumps(content, indent=1).encode() + b"\n")
        return Outcome(record, folder, reports, asked, found, self.seconds)


def run_id(spec: RunSpec, inputs: dict[str, str], identities: dict[str, JsonValue], prompts: dict[str, str]) -> str:
    """The run's name and a hash of all that decides its record: equal work has an equal id."""
    content = json.dumps([spec.model_dump(mode="json"), inputs, identities, prompts], sort_keys=True)
    return f"{spec.name}-{hashlib.sha256(content.encode()).hexdigest()[:12]}"


def _all_samples(prepared: Prepared) -> Iterator[Sample]:
    for data in prepared.datasets.values():
        yield from data.samples


__all__ = ["Outcome", "Plan", "Run", "Settings", "run_id"]
