"""A spec and the plugins → every part built and checked: all problems at once, before a cent or a second is spent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import pluggy
from pydantic import JsonValue

from judgekit.agreement import Terms, check_labels, expected
from judgekit.contracts import CAPABILITIES, Backend, DataLoader, Metric
from judgekit.errors import BackendError, JudgekitError, NothingSelected, PreflightError, UsageError
from judgekit.fields import check_groups, clusters
from judgekit.folder import RunFolder, sha256_of
from judgekit.gateplan import GatePlan, plan_gate
from judgekit.judges import (
    TASKS,
    PlannedJudge,
    PlannedPanel,
    check_repeats,
    judging_itself,
    plan_judge,
    plan_panel,
)
from judgekit.labels import LabelFile, read_labels
from judgekit.plugins import Catalogue, did_you_mean
from judgekit.readings import Task
from judgekit.records import Problem, Sample, Series
from judgekit.spec import DataSpec, JudgeSpec, MetricSpec, ModelSpec, RunSpec, build_options
from judgekit.styles import style_named
from judgekit.templates import Prompts, Template
from judgekit.training import PlannedTraining, named_product, plan_trainings, trained_by

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
    judged: Mapping[str, Series] = field(default_factory=dict)  # what the values of its judge's verdicts mean

    @cached_property
    def series(self) -> Mapping[str, Series]:
        return self.metric.series_on(self.judged, self.data.samples)


@dataclass(frozen=True)
class Stored:
    """Parts of a run that are there already: the samples and responses of another one, in its folder `run`."""

    run: RunFolder
    datasets: Mapping[str, DataSet]
    models: Mapping[str, Backend]


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
    panels: dict[str, PlannedPanel] = field(default_factory=dict)
    metrics: list[PlannedMetric] = field(default_factory=list)
    labels: LabelFile | None = None
    gate: GatePlan | None = None
    stored: Stored | None = None
    inputs: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def anchor(self, systems: Sequence[str]) -> str:
        """The system that others of these are compared with: the config's `against`, or the first."""
        against = self.spec.against
        return against if against is not None and against in systems else systems[0]

    def judge(self, name: str) -> PlannedJudge | PlannedPanel:
        return self.panels[name] if name in self.panels else self.judges[name]

    def repeats(self, system: str) -> int:
        return self.spec.models[system].repeats or self.spec.repeats.generation

    def close(self) -> None:
        for backend in self.backends.values():
            backend.close()

    @property
    def parts(self) -> dict[str, ModelSpec | JudgeSpec]:
        """The parts of the config that are served by a backend, by their place."""
        models = {f"models.{name}": self.spec.models[name] for name in self.models}
        return models | {f"judges.{name}": judge.spec for name, judge in self.judges.items()}

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


def prepare(
    spec: RunSpec,
    where: Path,
    manager: pluggy.PluginManager,
    checkpoints: Path,
    stored: Stored | None = None,
    *,
    offline: bool = False,
) -> Prepared:
    """Build and check every part of the run; samples and models are those `stored`, where there are. `offline`:
    no server is asked whether it is there.


    Raises PreflightError with every problem found.
    """
    catalogue = Catalogue(manager)
    problems = Problems()
    prepared = Prepared(spec, where, Prompts(catalogue.prompt_folders(), where), stored=stored)
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

    if stored is not None:
        prepared.datasets, prepared.models = dict(stored.datasets), dict(stored.models)
    else:
        _build_data(prepared, build, problems)
    for name, model in spec.models.items() if stored is None else ():
        if backend := build("backends", model.backend, model.options, f"models.{name}"):
            prepared.models[name] = backend
            _check_repeats(f"models.{name}", model, backend, prepared.repeats(name), problems)
        if (style := model.style) is not None:
            problems.attempt(f"models.{name}.style", lambda style=style: style_named(style, prepared.prompts))  # type: ignore[misc]
    for name, metric in spec.metrics.items():
        if built := build("metrics", metric.type, metric.options, f"metrics.{name}"):
            _plan_metric(prepared, name, metric, built, problems)
    _plan_judges(prepared, build, problems)
    if spec.against is not None and spec.against not in spec.models:
        problems.add("against", f"no model is named {spec.against!r}{did_you_mean(spec.against, spec.models)}")
    _check_stored(prepared, problems)
    _check_fields(prepared, problems)
    for report in spec.reports:
        problems.attempt("reports", lambda report=report: catalogue.get("reporters", report))  # type: ignore[misc]
    samples = {_data_label(name): data.samples for name, data in prepared.datasets.items()}
    trainers = {training.name: training.trainer for training in prepared.trainings}
    for found in manager.hook.judgekit_check(spec=spec, trainers=trainers, samples=samples):
        problems.found.extend(found)
    _check_budget(prepared, problems)
    problems.raise_errors()
    if not offline:
        _check_backends(prepared, products, problems)
    problems.raise_errors()
    prepared.metrics = _with_series(prepared)
    _read_labels(prepared, problems)
    _plan_gate(prepared, problems)
    problems.raise_errors()
    prepared.inputs = dict(_fingerprints(prepared))
    prepared.warnings = [
        f"{problem.where}: {problem.message}" for problem in problems.found if problem.severity == "warning"
    ]
    return prepared


def _check_budget(prepared: Prepared, problems: Problems) -> None:
    """A cap in tokens or money needs the most that each call can take; in money, its price too."""
    budget = prepared.spec.budget
    if budget is None or (budget.tokens is None and budget.usd is None):
        return
    for label, backend in prepared.backends.items():
        if backend.free:
            continue
        price = prepared.parts[label].price
        if budget.usd is not None and price is None:
            known = "price: {input: …, output: …}, in USD a million tokens; 0 and 0 if it costs nothing"
            problems.add(label, f"budget.usd is set, and what this costs is not known: add {known}")
        judge = prepared.judges.get(label.removeprefix("judges.")) if label.startswith("judges.") else None
        if judge is None or judge.spec.sampling.max_new_tokens is not None:
            continue
        if budget.tokens is None and price is not None and price.output == 0:
            continue  # however long a reply gets
        for template in judge.prompts:
            if template.front.tokens is None and "likelihood" not in template.front.reading:
                message = f"a budget needs the most that a reply can take, and {template.name} sets none"
                problems.add(label, f"{message}: add max_new_tokens")


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


def _check_fields(prepared: Prepared, problems: Problems) -> None:
    """The fields of the samples that the statistics are by must be there."""
    settings = prepared.spec.statistics
    measured = {planned.data.name: planned.data.samples for planned in prepared.metrics}
    named = {_data_label(name): samples for name, samples in measured.items()}
    for samples in measured.values() if settings.cluster is not None else ():
        problems.attempt("statistics.cluster", lambda samples=samples: clusters(samples, settings.cluster or ""))  # type: ignore[misc]
    for field_name in settings.by if measured else ():
        with problems.collecting("statistics.by"):
            for wrong, message in check_groups(named, field_name):
                (problems.add if wrong else problems.warn)("statistics.by", message)


def _check_stored(prepared: Prepared, problems: Problems) -> None:
    """Stored responses are matched by the samples' ids: a system that does not know a sample is no match for it."""
    for system, backend in prepared.models.items():
        with problems.collecting(f"models.{system}"):
            known = backend.known_ids()
            if known is None:
                continue
            samples = {
                sample.id: None
                for planned in prepared.metrics
                if "responses" in planned.metric.needs and system in planned.systems
                for sample in planned.data.samples
            }
            missing = [sample_id for sample_id in samples if sample_id not in known]
            if missing:
                problems.add(f"models.{system}", _other_ids(missing, len(samples), sorted(set(known) - set(samples))))


def _other_ids(missing: Sequence[str], samples: int, others: Sequence[str]) -> str:
    having = f"; it has others, such as {_some(others)}" if others else ""
    return (
        f"knows nothing of {len(missing)} of the {samples} samples, such as {_some(missing)}{having}. "
        "Responses are matched by id (or by instruction and input), never by position"
    )


def _some(ids: Sequence[str]) -> str:
    return ", ".join(repr(one) for one in ids[:3])


Build = Callable[[str, str, Mapping[str, JsonValue], str], Any]


def _data_label(name: str) -> str:
    """A data set's place in the config."""
    return "data" if name == MAIN else f"metrics.{name}.data"


def _build_data(prepared: Prepared, build: Build, problems: Problems) -> None:
    wanted: dict[str, DataSpec] = {MAIN: prepared.spec.data}
    wanted |= {name: metric.data for name, metric in prepared.spec.metrics.items() if metric.data is not None}
    seen: dict[str, tuple[str, Sample]] = {}
    for name, data in wanted.items():
        label = _data_label(name)
        loader = build("datasets", data.loader, data.options, label)
        if loader is None:
            continue
        samples = problems.attempt(label, lambda loader=loader: _read(loader, prepared.spec.limit))  # type: ignore[misc]
        if samples is None:
            continue
        prepared.datasets[name] = DataSet(name, loader, samples)
        for sample in samples:
            place, first = seen.setdefault(sample.id, (label, sample))
            # Two metrics may ask the same questions, each in its way.
            if first is not sample and (place == label or first != sample):
                problems.add(label, f"the sample id {sample.id!r} is already in {place}")
                break


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
    capabilities = {
        name: prepared.models[name].capabilities if name in prepared.models else CAPABILITIES for name in systems
    }  # of a model that could not be built nothing more is said
    with problems.collecting(label):
        for problem in metric.check(capabilities):
            problems.add(label, problem)
    templates: list[Template] = []
    with problems.collecting(label):
        templates = [prepared.prompts.get(prompt) for prompt in metric.prompts(capabilities)]
        for template in templates:
            template.expect(metric.prompt_variables)
    judge = _judge_of(prepared.spec, spec, metric, label, problems)
    if data is None:
        return  # its problem is already noted
    several = next((sample for sample in data.samples if sample.turns), None)
    if several is not None and "responses" in metric.needs:
        turns = f"sample {several.id!r} has {len(several.turns) + 1} turns"
        if not metric.conversations:
            problems.add(label, f"a metric of type {spec.type!r} reads one answer a sample, and {turns}")
        for system in systems:
            able = prepared.models[system].capabilities if system in prepared.models else frozenset({"chat"})
            if "stored" in able and "chat" not in able and prepared.stored is None:
                problems.add(f"models.{system}", f"has one stored answer a sample, and {turns}")
    if "reference" in metric.needs and all(set(sample.references) == {None} for sample in data.samples):
        problems.add(label, "needs references, and no sample has one")
    if "choices" in metric.needs:
        bad = next((sample for sample in data.samples if len(sample.choices) < 2 or sample.answer is None), None)
        if bad is not None:
            problems.add(label, f"needs choices with an answer, and sample {bad.id!r} has none")
    with problems.collecting(label):
        for problem in metric.check_samples(data.samples, systems, prepared.spec.limit is None):
            problems.add(label, problem)
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


def _plan_judges(prepared: Prepared, build: Build, problems: Problems) -> None:
    """The judges, each with the tasks that a metric gives it or a panel of which it is a member; then the panels."""
    specs = prepared.spec.judges
    asked = {name: {task for planned in prepared.metrics if planned.judge == name for task in planned.metric.needs}
             for name in specs}  # fmt: skip
    talks: dict[str, set[Task]] = {
        name: {task for planned in prepared.metrics if planned.judge == name and planned.data.talks
               for task in TASKS if task in planned.metric.needs}
        for name in specs
    }  # fmt: skip
    for name, spec in specs.items():
        for member in spec.panel or ():
            asked.get(member, set()).update(asked[name])
            talks.get(member, set()).update(talks[name])
    for name, spec in specs.items():
        tasks = [task for task in TASKS if task in asked[name]]
        label = f"judges.{name}"
        if not tasks:
            problems.warn(label, "no metric asks this judge")
        for judge in spec.panel or (name,):
            if judge in specs:
                problems.found += judging_itself(label, judge, specs[judge], prepared.spec.models)
        if spec.panel is None and (backend := build("backends", spec.backend, spec.options, label)):
            planned = plan_judge(name, spec, backend, tasks, prepared.prompts, problems.found, talks[name])
            problems.found += check_repeats(label, planned, prepared.spec.repeats.judge)
            prepared.judges[name] = planned
    for name, spec in specs.items():
        if spec.panel is not None:
            tasks = [task for task in TASKS if task in asked[name]]
            if panel := plan_panel(name, spec, specs, prepared.judges, tasks, problems.found):
                prepared.panels[name] = panel


def _with_series(prepared: Prepared) -> list[PlannedMetric]:
    """The metrics, each told what the values of its judge's verdicts mean."""
    found = []
    for planned in prepared.metrics:
        judge = prepared.judge(planned.judge) if planned.judge else None
        tasks = [task for task in TASKS if task in planned.metric.needs]
        found.append(replace(planned, judged=judge.series(tasks[0])) if judge and tasks else planned)
    return found


def _plan_gate(prepared: Prepared, problems: Problems) -> None:
    """The run's gate, checked against what will be measured."""
    spec = prepared.spec.gate
    if spec is None:
        return
    measured = {}
    for planned in prepared.metrics:
        pairs = planned.metric.pairs(planned.systems, prepared.anchor(planned.systems))
        own = planned.data.name != MAIN
        measured[planned.name] = (planned.series["value"], planned.data.samples, own, planned.systems, tuple(pairs))
    with problems.collecting("gate"):
        prepared.gate = plan_gate(spec, prepared.spec.against, prepared.where, measured)
        for warning in prepared.gate.warnings:
            problems.warn("gate", warning)


def _read_labels(prepared: Prepared, problems: Problems) -> None:
    """The run's labels, checked against what will be judged."""
    labels = prepared.spec.labels
    if labels is None:
        return
    with problems.collecting("labels"):
        judged = {planned.name: planned for planned in prepared.metrics if planned.judge}
        if labels.metric is not None and labels.metric not in judged:
            hint = did_you_mean(labels.metric, judged) or f" (there are: {', '.join(judged) or 'none'})"
            raise UsageError(f"labels.metric: no metric named {labels.metric!r} asks a judge{hint}")
        if labels.metric is None and len(judged) != 1:
            names = ", ".join(judged) or "none asks a judge"
            raise UsageError(f"labels.metric: name the metric that they are for ({names})")
        planned = judged[labels.metric or next(iter(judged))]
        prepared.labels = read_labels(prepared.where / Path(labels.path).expanduser())
        repeats = {system: prepared.repeats(system) for system in planned.systems}
        pairs = planned.metric.pairs(planned.systems, prepared.anchor(planned.systems))
        ids = [sample.id for sample in planned.data.samples]
        found = expected(planned.name, planned.series["value"], ids, repeats, pairs)
        check_labels(found, prepared.labels, Terms(threshold=labels.threshold, label_scale=labels.scale))


def _check_backends(prepared: Prepared, products: Mapping[str, str], problems: Problems) -> None:
    """Ask every backend what would make all its calls fail; a model still to be trained is asked after training."""
    for label, backend in prepared.backends.items():
        if not uses(backend, products.values()):
            check_backend(label, backend, problems)
    for name, judge in prepared.judges.items():
        readings = [judge.reading(task) for task in judge.settings]
        read_by_tokens = any(reading.measured and reading.kind == "generate" for reading in readings)
        if read_by_tokens and (why := judge.backend.lacks("logprobs")):
            problems.add(f"judges.{name}", why, 4)


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
    files |= {path for planned in prepared.metrics for path in planned.metric.inputs()}
    files |= {prepared.labels.path} if prepared.labels else set()
    files |= {prepared.gate.path} if prepared.gate and prepared.gate.path else set()
    taken: Counter[str] = Counter()
    root = prepared.stored.run.path if prepared.stored else prepared.where
    for path in sorted(files):
        inside = path.is_relative_to(root)
        name = path.relative_to(root).as_posix() if inside else path.name
        taken[name] += 1
        yield name if taken[name] == 1 else f"{name} ({taken[name]})", sha256_of(path)
