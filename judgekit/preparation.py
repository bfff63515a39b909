"""A spec and the plugins → every part built and checked: all problems at once, before a cent or a second is spent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pluggy
from pydantic import JsonValue

from judgekit.contracts import Backend, DataLoader, Metric
from judgekit.errors import BackendError, JudgekitError, NothingSelected, PreflightError, UsageError
from judgekit.folder import sha256_of
from judgekit.judging import Caller, LLMJudge
from judgekit.plugins import Catalogue, did_you_mean
from judgekit.readings import Kind, Setting, Task, reading_for, task_of
from judgekit.records import Problem, Sample
from judgekit.spec import DataSpec, JudgeSpec, MetricSpec, ModelSpec, RunSpec, build_options
from judgekit.templates import Prompts, Template
from judgekit.training import PlannedTraining, named_product, plan_trainings, trained_by

T = TypeVar("T")
TASKS: tuple[Task, ...] = ("score", "pairwise")
DEFAULT_PROMPTS: Mapping[Task, str] = {"score": "score/reason_json", "pairwise": "pairwise/reason_json"}
MAIN = ""  # the name of the run's own data set; a metric's own one bears the metric's name


@dataclass(frozen=True)
class DataSet:
    """Samples that were read, and the loader they came from (for few-shot examples)."""

    name: str
    loader: DataLoader
    samples: tuple[Sample, ...]


@dataclass(frozen=True)
class PlannedMetric:
    name: str
    metric: Metric
    data: DataSet
    systems: tuple[str, ...]
    judge: str | None
    templates: tuple[Template, ...] = ()


@dataclass(frozen=True)
class PlannedJudge:
    """A judge's backend, and the prompts of the tasks that some metric gives it."""

    name: str
    spec: JudgeSpec
    backend: Backend
    templates: Mapping[Task, Template]

    def ask_through(self, caller: Caller) -> LLMJudge:
        schema = "schema" in self.backend.capabilities
        return LLMJudge(self.name, caller, self.templates, self.spec.sampling, schema=schema, backend=self.spec.backend)


@dataclass
class Prepared:
    """All that a run needs, built; nothing has been trained, generated or judged yet."""

    spec: RunSpec
    where: Path
    prompts: Prompts
    trainings: list[PlannedTraining] = field(default_factory=list)
    datasets: dict[str, DataSet] = field(default_factory=dict)
    models: dict[str, Backend] = field(default_factory=dict)
    judges: dict[str, PlannedJudge] = field(default_factory=dict)
    metrics: list[PlannedMetric] = field(default_factory=list)
    inputs: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def repeats(self, system: str) -> int:
        return self.spec.models[system].repeats or self.spec.repeats.generation

    def close(self) -> None:
        for backend in self.backends.values():
            backend.close()

    @property
    def backends(self) -> dict[str, Backend]:
        """Every backend by the place of its part in the config."""
        models = {f"models.{name}": backend for name, backend in self.models.items()}
        return models | {f"judges.{name}": judge.backend for name, judge in self.judges.items()}


class Problems:
    """Collects what is wrong instead of stopping at the first."""

    def __init__(self) -> None:
        self.found: list[Problem] = []

    def add(self, where: str, message: str, exit_code: int = 2) -> None:
        self.found.append(Problem(severity="error", where=where, message=message, exit_code=exit_code))

    def warn(self, where: str, message: str) -> None:
        self.found.append(Problem(severity="warning", where=where, message=message))

    @contextmanager
    def collecting(self, where: str) -> Iterator[None]:
        """Turn one of our errors into a problem, and go on after the block."""
        try:
            yield
        except JudgekitError as error:
            # A message that names its own place (a file, a dotted key) needs no other.
            self.add("" if error.place or str(error).startswith(where) else where, str(error), error.exit_code)

    def attempt(self, where: str, action: Callable[[], T]) -> T | None:
        """The action's result; a problem, and None, when it raises one of our errors."""
        with self.collecting(where):
            return action()
        return None

    def raise_errors(self) -> None:
        errors = [problem for problem in self.found if problem.severity == "error"]
        if errors:
            codes = [problem.exit_code for problem in errors]
            # A config that is wrong comes first: mending it may change which backends are asked.
            code = 2 if 2 in codes else 4 if 4 in codes else codes[0]
            raise PreflightError([(problem.where, problem.message) for problem in errors], code)


def prepare(spec: RunSpec, where: Path, manager: pluggy.PluginManager, checkpoints: Path) -> Prepared:
    """Build and check every part of the run. Raises PreflightError with every problem found."""
    catalogue = Catalogue(manager)
    problems = Problems()
    prepared = Prepared(spec, where, Prompts(catalogue.prompt_folders(), where))
    prepared.trainings = plan_trainings(spec.train, catalogue, where, checkpoints, problems)
    products = {training.name: str(training.folder) for training in prepared.trainings}

    failed = set(spec.train) - set(products)  # said already: what starts from these is passed over

    def build(kind: str, name: str, options: Mapping[str, JsonValue], label: str) -> Any:
        if trained_by(options) & failed:
            return None

        def action() -> Any:
            factory = catalogue.get(kind, name)
            return factory(build_options(factory.Options, substitute(options, products, label), label), where)

        return problems.attempt(label, action)

    _build_data(prepared, build, problems)
    for name, model in spec.models.items():
        if backend := build("backends", model.backend, model.options, f"models.{name}"):
            prepared.models[name] = backend
            _check_repeats(f"models.{name}", model, backend, prepared.repeats(name), problems)
    for name, metric in spec.metrics.items():
        if built := build("metrics", metric.type, metric.options, f"metrics.{name}"):
            _plan_metric(prepared, name, metric, built, problems)
    for name, judge in spec.judges.items():
        if backend := build("backends", judge.backend, judge.options, f"judges.{name}"):
            _plan_judge(prepared, name, judge, backend, problems)
    if spec.against is not None and spec.against not in spec.models:
        problems.add("against", f"no model is named {spec.against!r}{did_you_mean(spec.against, spec.models)}")
    for report in spec.reports:
        problems.attempt("reports", lambda report=report: catalogue.get("reporters", report))  # type: ignore[misc]
    for found in manager.hook.judgekit_check(spec=spec):
        problems.found.extend(found)
    problems.raise_errors()
    _check_backends(prepared, products, problems)
    problems.raise_errors()
    prepared.inputs = dict(_fingerprints(prepared))
    prepared.warnings = [
        f"{problem.where}: {problem.message}" for problem in problems.found if problem.severity == "warning"
    ]
    return prepared


def substitute(options: Mapping[str, JsonValue], products: Mapping[str, str], label: str) -> dict[str, JsonValue]:
    """Options with every "train:NAME" replaced by that training's checkpoint folder.

    "train:NAME/best" is a folder within it: trainers may keep more than one checkpoint.
    """
    return {key: _product(value, products, f"{label}.{key}") for key, value in options.items()}


def _product(value: JsonValue, products: Mapping[str, str], where: str) -> JsonValue:
    named = named_product(value)
    if named is None:
        return value
    name, inner = named
    if name not in products:
        raise UsageError(f"{where}: the config trains nothing named {name!r}{did_you_mean(name, products)}")
    return f"{products[name]}{inner}"


Build = Callable[[str, str, Mapping[str, JsonValue], str], Any]


def _build_data(prepared: Prepared, build: Build, problems: Problems) -> None:
    wanted: dict[str, DataSpec] = {MAIN: prepared.spec.data}
    wanted |= {name: metric.data for name, metric in prepared.spec.metrics.items() if metric.data is not None}
    seen: dict[str, str] = {}
    for name, data in wanted.items():
        label = "data" if name == MAIN else f"metrics.{name}.data"
        loader = build("datasets", data.loader, data.options, label)
        if loader is None:
            continue
        samples = problems.attempt(label, lambda loader=loader: _read(loader, prepared.spec.limit))  # type: ignore[misc]
        if samples is None:
            continue
        prepared.datasets[name] = DataSet(name, loader, samples)
        for sample in samples:
            if sample.id in seen:
                problems.add(label, f"the sample id {sample.id!r} is already in {seen[sample.id]}")
                break
            seen[sample.id] = label


def _read(loader: DataLoader, limit: int | None) -> tuple[Sample, ...]:
    samples: list[Sample] = []
    for sample in loader.load():
        if limit is not None and len(samples) == limit:
            break
        samples.append(sample)
    if not samples:
        raise NothingSelected("no sample is left to evaluate")
    return tuple(samples)


def _check_repeats(label: str, model: ModelSpec, backend: Backend, repeats: int, problems: Problems) -> None:
    """Repeats that cannot differ would be counted as noise that is not there."""
    greedy = model.sampling.temperature == 0 or model.sampling.top_k == 1
    why = "stored responses are what they are" if "stored" in backend.capabilities else "temperature 0 or top_k 1"
    if repeats > 1 and (greedy or "stored" in backend.capabilities):
        problems.add(label, f"its {repeats} generation repeats cannot differ ({why}); set repeats: 1, or a temperature")


def _plan_metric(prepared: Prepared, name: str, spec: MetricSpec, metric: Metric, problems: Problems) -> None:
    label = f"metrics.{name}"
    data = prepared.datasets.get(name if spec.data is not None else MAIN)
    systems = tuple(spec.models or prepared.spec.models)
    for system in systems:
        if system not in prepared.spec.models:
            known = prepared.spec.models
            problems.add(f"{label}.models", f"no model is named {system!r}{did_you_mean(system, known)}")
        elif "loglikelihood" in metric.needs and system in prepared.models:
            backend = prepared.models[system]
            if "loglikelihood" not in backend.capabilities:
                problems.add(
                    label, f"needs log-likelihoods, which models.{system} ({_backend_of(prepared, system)}) has not"
                )
    for problem in metric.check(systems):
        problems.add(label, problem)
    templates: list[Template] = []
    with problems.collecting(label):
        templates = [prepared.prompts.get(prompt) for prompt in metric.prompts()]
    judge = _judge_of(prepared.spec, spec, metric, label, problems)
    if data is None:
        return  # its problem is already noted
    if "reference" in metric.needs and all(sample.reference is None for sample in data.samples):
        problems.add(label, "needs references, and no sample has one")
    if "choices" in metric.needs:
        bad = next((sample for sample in data.samples if len(sample.choices) < 2 or sample.answer is None), None)
        if bad is not None:
            problems.add(label, f"needs choices with an answer, and sample {bad.id!r} has none")
    prepared.metrics.append(PlannedMetric(name, metric, data, systems, judge, tuple(templates)))


def _backend_of(prepared: Prepared, system: str) -> str:
    return f"backend {prepared.spec.models[system].backend}"


def _judge_of(spec: RunSpec, metric_spec: MetricSpec, metric: Metric, label: str, problems: Problems) -> str | None:
    """The metric's judge: the one it names, or the only one there is."""
    if not metric.needs & set(TASKS):
        if metric_spec.judge is not None:
            problems.add(f"{label}.judge", f"a metric of type {metric_spec.type!r} asks no judge")
        return None
    if metric_spec.judge is None and len(spec.judges) == 1:
        return next(iter(spec.judges))
    if metric_spec.judge is None:
        advice = f"name one of {', '.join(spec.judges)}" if spec.judges else "add a judges: block"
        problems.add(label, f"needs a judge: {advice}")
    elif metric_spec.judge not in spec.judges:
        known = spec.judges
        problems.add(
            f"{label}.judge", f"no judge is named {metric_spec.judge!r}{did_you_mean(metric_spec.judge, known)}"
        )
    return metric_spec.judge


def _plan_judge(prepared: Prepared, name: str, spec: JudgeSpec, backend: Backend, problems: Problems) -> None:
    label = f"judges.{name}"
    asked = {task for planned in prepared.metrics if planned.judge == name for task in planned.metric.needs}
    templates: dict[Task, Template] = {}
    for task in TASKS:
        if task in asked:
            with problems.collecting(label):
                templates[task] = _template(prepared.prompts, spec, backend, task)
                reading = reading_for(task, Setting(name, templates[task]))
                _check_reading(prepared, label, spec, backend, templates[task].name, reading.kind, problems)
                if task == "pairwise" and reading.kind == "loglikelihood":
                    problems.warn(label, "reads each of two responses on its own: both orders agree by construction")
    prepared.judges[name] = PlannedJudge(name, spec, backend, templates)
    if not asked & set(TASKS):
        problems.warn(label, "no metric asks this judge")
    same = [model for model, part in prepared.spec.models.items() if _same_part(part, spec)]
    if same:
        problems.warn(label, f"judges itself: models.{same[0]} is the same model; a model prefers its own answers")


def _check_reading(
    prepared: Prepared, label: str, spec: JudgeSpec, backend: Backend, prompt: str, kind: Kind, problems: Problems
) -> None:
    """The backend can do what the reading needs, and judge repeats can differ."""
    repeats = prepared.spec.repeats.judge
    if kind not in backend.capabilities:
        problems.add(label, f"the prompt {prompt} needs {kind}, which backend {spec.backend} has not")
    if repeats > 1 and kind == "loglikelihood":
        problems.add(label, f"its {repeats} judge repeats cannot differ: log-likelihoods are exact")
    elif repeats > 1 and spec.sampling.temperature == 0:
        problems.add(label, f"its {repeats} judge repeats cannot differ at temperature 0")


def _same_part(model: ModelSpec, judge: JudgeSpec) -> bool:
    return model.backend == judge.backend and model.options == judge.options


def _template(prompts: Prompts, spec: JudgeSpec, backend: Backend, task: Task) -> Template:
    """The judge's prompt for a task: the config's, else the backend's, else the default. A prompt given without its
    task is for the task that its reading belongs to."""
    given = spec.prompt
    if isinstance(given, str):
        template = prompts.get(given)
        if task_of(template) == task:
            return template
        given = None
    return prompts.get((given or {}).get(task) or backend.default_prompts.get(task) or DEFAULT_PROMPTS[task])


def _check_backends(prepared: Prepared, products: Mapping[str, str], problems: Problems) -> None:
    """Ask every backend what would make all its calls fail; a model still to be trained is asked after training."""
    for label, backend in prepared.backends.items():
        if not uses(backend, products.values()):
            check_backend(label, backend, problems)


def uses(backend: Backend, folders: Iterable[str]) -> bool:
    """Whether an option of the backend is one of the folders, or a path within one."""
    values = [value for value in backend.options.model_dump().values() if isinstance(value, str)]
    return any(value == folder or value.startswith(f"{folder}/") for value in values for folder in folders)


def check_backend(label: str, backend: Backend, problems: Problems) -> None:
    """The backend's own preflight, its problems placed under `label`."""
    try:
        found: Sequence[Problem] = backend.check()
    except (BackendError, UsageError) as error:
        problems.add(label, str(error), error.exit_code)
        return
    for problem in found:
        problems.found.append(problem.model_copy(update={"where": label}))


def _fingerprints(prepared: Prepared) -> Iterator[tuple[str, str]]:
    """sha256 of every input file, by its path relative to the config's folder (or its name, counted, elsewhere)."""
    files = {path for data in prepared.datasets.values() for path in data.loader.inputs()}
    files |= {path for training in prepared.trainings for path in training.inputs}
    taken: Counter[str] = Counter()
    for path in sorted(files):
        inside = path.is_relative_to(prepared.where)
        name = path.relative_to(prepared.where).as_posix() if inside else path.name
        taken[name] += 1
        yield name if taken[name] == 1 else f"{name} ({taken[name]})", sha256_of(path)
