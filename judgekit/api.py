"""The door for Python, and for the pytest plugin: run a config, hold a run to rules, put single answers to a judge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial, total_ordering
from pathlib import Path

from pydantic import JsonValue

from judgekit.calls.caller import Caller
from judgekit.config.blocks import GateConfig, JudgeConfig, RunConfig
from judgekit.config.load import build_options, load
from judgekit.contracts import Backend
from judgekit.errors import CallError, NotScored, UsageError
from judgekit.judging.judge import LLMJudge
from judgekit.judging.panel import Panel
from judgekit.judging.planning import PlannedJudge, PlannedPanel, check_repeats
from judgekit.pipeline.ask import HOME, Client
from judgekit.pipeline.judges import plan_judges
from judgekit.pipeline.prepared import Problems, check_backend
from judgekit.pipeline.run import Run, Settings
from judgekit.pipeline.train import plan_trainings, products_of, substitute
from judgekit.plugins import blocked_by_environment, build_manager, without_exits
from judgekit.records import Sample, Scale, Verdict
from judgekit.regression.baseline import open_run
from judgekit.regression.gate import evaluate as evaluate_gate
from judgekit.regression.rules import Reference
from judgekit.results import Gate, Interval, RunView
from judgekit.text import one_of

OUTPUT = Path("runs")


@without_exits()
def run_config(
    config: Path,
    overrides: Sequence[str] = (),
    *,
    home: Path = HOME,
    output: Path = OUTPUT,
    offline: bool = False,
    jobs: int = 8,
) -> Path:
    """What `judgekit run CONFIG --set …` does; the run's folder. It may be incomplete: its record says so.

    Raises the errors of errors.py.
    """
    loaded = load(config, overrides)
    manager = build_manager(block={*loaded.plugins.block, *blocked_by_environment()}, only=loaded.plugins.only)
    settings = Settings(output=output, home=home, offline=offline, jobs=jobs)
    return Run(loaded, config.parent, manager, settings).execute().folder.path


def read_run(folder: Path) -> RunView:
    """A finished run, from its folder. Raises DataError; StorageError for files that are not as the run wrote them."""
    return open_run(folder).view()


def decide(run: RunView, rules: Mapping[str, JsonValue], where: Path = Path()) -> Gate:
    """What a gate of these rules says of the run. `rules` are as in a config's `gate:`; a baseline's path starts from
    the folder `where`.

    Raises ConfigError for rules that are none, DataError for a baseline that is none, UsageError where run and baseline
    cannot be compared.
    """
    loaded = build_options(GateConfig, rules, "gate")
    reference = Reference.read(where / Path(loaded.baseline).expanduser()) if loaded.baseline is not None else None
    return evaluate_gate(run, loaded, reference)


# --- single answers ---------------------------------------------------------------------------------------------------


@total_ordering
@dataclass(frozen=True, eq=False)
class Score:
    """What a judge made of one answer. It compares as the number `value`, where there is one, and is no key of a dict.

    `interval` is of a rerun on this very answer, from the judge's repeats: one answer tells nothing of others.
    """

    judge: str
    scale: Scale
    verdicts: tuple[Verdict, ...]
    interval: Interval

    @property
    def value(self) -> float | None:
        """The mean over the repeats; None where one of them was not scored."""
        values = [verdict.value for verdict in self.verdicts if verdict.value is not None]
        return sum(values) / len(values) if len(values) == len(self.verdicts) else None

    @property
    def status(self) -> str:
        """`scored`, or what the first repeat without a score came to."""
        return next((verdict.status for verdict in self.verdicts if verdict.status != "scored"), "scored")

    @property
    def rationale(self) -> str:
        return next((verdict.rationale for verdict in self.verdicts if verdict.rationale), "")

    def __float__(self) -> float:
        """Raises NotScored: no grade is never a bad grade, nor a good one."""
        if self.value is None:
            missing = next(verdict for verdict in self.verdicts if verdict.status != "scored")
            said = missing.detail or missing.raw
            raise NotScored(f"judge {self.judge} gave no score: {missing.status}" + (f" ({said})" if said else ""))
        return self.value

    def __lt__(self, other: float) -> bool:
        return float(self) < float(other)

    def __eq__(self, other: object) -> bool:
        return float(self) == float(other) if isinstance(other, int | float | Score) else NotImplemented

    def __repr__(self) -> str:
        shown = f"no score ({self.status})" if self.value is None else f"{self.value:g}"
        said = f"{shown} by {self.judge} on {self.scale.low:g} … {self.scale.high:g}"
        if self.interval.low is not None and self.interval.high is not None:
            said += f", a rerun in {self.interval.low:.4g} … {self.interval.high:.4g}"
        return f"<{said}>"


class Scorer:
    """A config's judges, to be asked about single answers. Its replies are in the ledger like a run's.

    From one thread; close it when done. Raises ConfigError, and what preflight finds, when a judge is first asked.
    """

    def __init__(self, config: Path, *, home: Path = HOME, offline: bool = False) -> None:
        self.config: RunConfig = load(config)
        self._settings = Settings(home=home)
        manager = build_manager(
            block={*self.config.plugins.block, *blocked_by_environment()}, only=self.config.plugins.only
        )
        self._client = Client(
            home=home,
            where=config.parent,
            jobs=self._settings.jobs,
            offline=offline,
            executor=self.config.executor,
            budget=self.config.budget.model_dump() if self.config.budget is not None else None,
            manager=manager,
        )
        self._judges: dict[str, tuple[LLMJudge | Panel, PlannedJudge | PlannedPanel]] = {}
        self._backends: dict[str, Backend] = {}  # by the place of their judge in the config
        self._callers: dict[str, Caller] = {}

    @without_exits()
    def score(
        self,
        text: str,
        *,
        instruction: str,
        input: str = "",
        reference: str | None = None,
        judge: str | None = None,
        repeats: int = 1,
    ) -> Score:
        """The judge's verdict on one answer; `judge`: None is the config's only one. Raises CallError where the judge
        could not be asked, and the errors of errors.py."""
        name = self._name(judge)
        asked, planned = self._judge(name)
        scale = planned.series("score")["value"]
        if repeats < 1:
            raise UsageError(f"an answer is judged once at least, not {repeats} times")
        if isinstance(planned, PlannedJudge):
            for problem in check_repeats(f"judges.{name}", planned, repeats):
                raise UsageError(f"{problem.where}: {problem.message}")
        sample = Sample(id="answer", instruction=instruction, input=input, reference=reference)
        verdicts = tuple(asked.score((sample, text, repeat) for repeat in range(repeats)))
        for verdict in verdicts:
            if verdict.status == "error":
                raise CallError(f"judge {name} could not be asked: {verdict.detail}")
        return Score(name, scale, verdicts, self._rerun(verdicts, scale))

    @property
    def asked(self) -> int:
        """Calls made so far; what the ledger answered is none."""
        return self._client.asked

    def close(self) -> None:
        self._client.close()

    def _name(self, judge: str | None) -> str:
        known = self.config.judges
        if judge is None and len(known) == 1:
            return next(iter(known))
        if judge is None:
            raise UsageError(f"name the judge: {', '.join(known)}" if known else "the config has no judges: block")
        if judge not in known:
            raise UsageError(f"no judge is named {judge!r}{one_of(judge, known)}")
        return judge

    def _judge(self, name: str) -> tuple[LLMJudge | Panel, PlannedJudge | PlannedPanel]:
        if name not in self._judges:
            configs, problems, client = self.config.judges, Problems(), self._client
            build = partial(self._build, problems)
            judges = plan_judges(configs, {name: ["score"]}, build, client.prompts, client.readings, problems)
            new = {member: planned for member, planned in judges.single.items() if member not in self._callers}
            for member, planned in new.items() if not client.offline else ():
                check_backend(f"judges.{member}", planned.backend, problems)
            problems.raise_errors()
            for member, planned in new.items():
                label = f"judges.{member}"
                self._callers[member] = client.caller(label, planned.backend, planned.config, count_free=False)
            self._judges[name] = client.ask_through(judges, self._callers)[name], judges[name]
        return self._judges[name]

    def _build(self, problems: Problems, config: JudgeConfig, label: str) -> Backend | None:
        """The judge's backend, built once: a judge may be asked alone, and as a member of panels."""
        if label not in self._backends:
            with problems.collecting(label):
                catalogue, checkpoints = self._client.catalogue, self._settings.checkpoints
                trainings = plan_trainings(self.config.train, catalogue, self._client.where, checkpoints, problems)
                own = self._client.readings.backend_options(config)
                options = substitute(own, products_of(trainings), label)
                self._backends[label] = self._client.build(config, label, options)
        return self._backends.get(label)

    def _rerun(self, verdicts: Sequence[Verdict], scale: Scale) -> Interval:
        """t over the judge's repeats of this one answer."""
        from judgekit.statistics.intervals import Range, no_interval
        from judgekit.statistics.items import ItemTable
        from judgekit.statistics.repeats import rerun_interval

        if len(verdicts) == 1:
            return no_interval("rerun_t", "one verdict on one answer has no interval")
        table = ItemTable()
        for repeat, verdict in enumerate(verdicts):
            table.add("answer", 0, repeat, verdict.value, verdict.status)
        return rerun_interval(table, self.config.statistics.confidence, Range(scale.low, scale.high))[1]
