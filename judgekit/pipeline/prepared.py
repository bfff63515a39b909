"""Prepared: every part of a run, built; and the problems found on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import ParamSpec, TypeVar

from judgekit.agreement.labels import LabelFile
from judgekit.config.blocks import JudgeConfig, ModelConfig, RunConfig
from judgekit.contracts import Backend, DataLoader, Metric
from judgekit.errors import BackendError, JudgekitError, PreflightError, UsageError
from judgekit.judging.readings import Readings
from judgekit.pipeline.judges import Judges
from judgekit.pipeline.train import PlannedTraining
from judgekit.prompting.templates import Prompts, Template
from judgekit.records import Sample, Scale
from judgekit.regression.run_gate import GatePlan
from judgekit.results import Problem
from judgekit.run_folder import RunFolder

P = ParamSpec("P")
T = TypeVar("T")
MAIN = ""  # the name of the run's own data set; a metric's own one bears the metric's name


@dataclass(frozen=True)
class DataSet:
    """Samples that were read, and the loader they came from (for few-shot examples)."""

    name: str
    loader: DataLoader
    samples: tuple[Sample, ...]

    @cached_property
    def talks(self) -> bool:
        """Whether some of the samples are conversations, which a single response does not answer."""
        return any(sample.turns or sample.system for sample in self.samples)


@dataclass(frozen=True)
class PlannedMetric:
    name: str
    metric: Metric
    data: DataSet
    systems: tuple[str, ...]
    judge: str | None
    templates: tuple[Template, ...] = ()
    series: Mapping[str, Scale] = field(default_factory=dict)


@dataclass(frozen=True)
class Stored:
    """Parts of a run that are there already: the samples and responses of another one, in its folder `run`."""

    run: RunFolder
    datasets: Mapping[str, DataSet]
    models: Mapping[str, Backend]


@dataclass
class Prepared:
    """All that a run needs, built; nothing has been trained, generated or judged yet."""

    config: RunConfig
    where: Path
    prompts: Prompts
    readings: Readings
    trainings: list[PlannedTraining] = field(default_factory=list)
    datasets: dict[str, DataSet] = field(default_factory=dict)
    models: dict[str, Backend] = field(default_factory=dict)
    judges: Judges = field(default_factory=Judges)
    metrics: list[PlannedMetric] = field(default_factory=list)
    labels: LabelFile | None = None
    gate: GatePlan | None = None
    stored: Stored | None = None
    inputs: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)  # checks that did not run, and why

    def repeats(self, system: str) -> int:
        return self.config.models[system].repeats or self.config.repeats.generation

    def close(self) -> None:
        for backend in self.backends.values():
            backend.close()

    @property
    def names(self) -> dict[str, str | None]:
        """The names that stand for servers' addresses, by the place of the part."""
        return {label: part.identity for label, part in self.parts.items()}

    @property
    def parts(self) -> dict[str, ModelConfig | JudgeConfig]:
        """The parts of the config that are served by a backend, by their place."""
        models = {f"models.{name}": self.config.models[name] for name in self.models}
        return models | {f"judges.{name}": judge.config for name, judge in self.judges.single.items()}

    @property
    def backends(self) -> dict[str, Backend]:
        """Every backend by the place of its part in the config."""
        models = {f"models.{name}": backend for name, backend in self.models.items()}
        return models | {f"judges.{name}": judge.backend for name, judge in self.judges.single.items()}


class Problems:
    """Collects what is wrong instead of stopping at the first."""

    def __init__(self) -> None:
        self.noted: list[Problem] = []
        self.unchecked: list[str] = []  # checks that did not run, and why

    def add(self, where: str, message: str, exit_code: int = 2) -> None:
        self.noted.append(Problem(severity="error", where=where, message=message, exit_code=exit_code))

    def warn(self, where: str, message: str) -> None:
        self.noted.append(Problem(severity="warning", where=where, message=message))

    @contextmanager
    def collecting(self, where: str) -> Iterator[None]:
        """Turn one of our errors into a problem, and go on after the block."""
        try:
            yield
        except JudgekitError as error:
            # A message that names its own place (a file, a dotted key) needs no other.
            self.add("" if error.place or str(error).startswith(where) else where, str(error), error.exit_code)

    def attempt(self, where: str, action: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | None:
        """The action's result; a problem, and None, when it raises one of our errors."""
        with self.collecting(where):
            return action(*args, **kwargs)
        return None

    @property
    def warnings(self) -> list[str]:
        return [f"{problem.where}: {problem.message}" for problem in self.noted if problem.severity == "warning"]

    def raise_errors(self, left: Sequence[str] = ()) -> None:
        """Raises PreflightError if there are errors; `left` are the checks that come after these."""
        errors = [problem for problem in self.noted if problem.severity == "error"]
        if errors:
            codes = [problem.exit_code for problem in errors]
            # A config that is wrong comes first: mending it may change which backends are asked.
            code = 2 if 2 in codes else 4 if 4 in codes else codes[0]
            unchecked = [*self.unchecked, *(f"{check}: the errors above come first" for check in left)]
            raise PreflightError([(problem.where, problem.message) for problem in errors], code, unchecked)


def data_label(name: str) -> str:
    """A data set's place in the config."""
    return "data" if name == MAIN else f"metrics.{name}.data"


def uses(backend: Backend, folders: Iterable[str]) -> bool:
    """Whether an option of the backend is one of the folders, or a path within one."""
    values = [value for value in backend.options.model_dump().values() if isinstance(value, str)]
    return any(value == folder or value.startswith(f"{folder}/") for value in values for folder in folders)


def check_backend(label: str, backend: Backend, problems: Problems) -> None:
    """The backend's own preflight, its problems placed under `label`."""
    try:
        noted: Sequence[Problem] = backend.check()
    except (BackendError, UsageError) as error:
        problems.add(label, str(error), error.exit_code)
        return
    for problem in noted:
        problems.noted.append(problem.model_copy(update={"where": label}))
