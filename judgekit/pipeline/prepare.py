"""A config and the plugins → every part built and checked: all problems at once, before a cent or a second is spent."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pluggy
from pydantic import JsonValue

from judgekit.agreement.agreement import Terms, check_labels, expected
from judgekit.agreement.labels import read_labels
from judgekit.config.blocks import DataConfig, JudgeConfig, MetricConfig, RunConfig
from judgekit.config.load import build_options
from judgekit.contracts import CAPABILITIES, Backend, DataLoader, Metric
from judgekit.errors import NothingSelected, UsageError
from judgekit.files import sha256_of
from judgekit.judging.planning import TASKS, check_repeats, judging_itself
from judgekit.judging.questions import Task
from judgekit.judging.readings import Readings
from judgekit.pipeline.checks import (
    check_backends,
    check_budget,
    check_fields,
    check_model_repeats,
    check_prompts,
    check_stored,
)
from judgekit.pipeline.judges import plan_judges
from judgekit.pipeline.prepared import MAIN, DataSet, PlannedMetric, Prepared, Problems, Stored, data_label
from judgekit.pipeline.train import plan_trainings, products_of, substitute, trained_by
from judgekit.plugins import Catalogue, aside
from judgekit.prompting.styles import style_named
from judgekit.prompting.templates import Prompts, Template
from judgekit.records import Sample
from judgekit.regression.run_gate import plan_gate
from judgekit.text import did_you_mean


@aside()
def prepare(
    config: RunConfig,
    where: Path,
    manager: pluggy.PluginManager,
    checkpoints: Path,
    stored: Stored | None = None,
    *,
    offline: bool = False,
) -> Prepared:
    """Every part of the run, built and checked; samples and models are those `stored`, where there are. `offline`: no
    server is asked whether it is there. Raises PreflightError with every problem."""
    catalogue = Catalogue(manager)
    problems = Problems()
    prompts, readings = Prompts(catalogue.prompt_folders(), where), Readings(catalogue)
    prepared = Prepared(config, where, prompts, readings, stored=stored)
    prepared.trainings = plan_trainings(config.train, catalogue, where, checkpoints, problems)
    products = products_of(prepared.trainings)
    failed = set(config.train) - set(products)  # said already: what starts from these is passed over

    def build(kind: str, name: str, options: Mapping[str, JsonValue], label: str) -> Any:
        if not trained_by(options) & failed:
            with problems.collecting(label):
                factory = catalogue.get(kind, name)
                return factory(build_options(factory.Options, substitute(options, products, label), label), where)
        return None

    if stored is not None:
        prepared.datasets, prepared.models = dict(stored.datasets), dict(stored.models)
    else:
        _build_data(prepared, build, problems)
        _build_models(prepared, build, problems)
    for name, metric in config.metrics.items():
        if built := build("metrics", metric.type, metric.options, f"metrics.{name}"):
            _plan_metric(prepared, name, metric, built, problems)
    _plan_judges(prepared, build, problems)
    if config.against is not None and config.against not in config.models:
        problems.add("against", f"no model is named {config.against!r}{did_you_mean(config.against, config.models)}")
    check_stored(prepared, problems)
    check_fields(prepared, problems)
    check_prompts(prepared, problems)
    problems.attempt("executor", catalogue.get, "executors", config.executor)
    for report in config.reports:
        problems.attempt("reports", catalogue.get, "reporters", report)
    _ask_plugins(prepared, manager, problems)
    check_budget(prepared, problems)
    left = [name for name in ("labels", "gate") if getattr(config, name) is not None]
    problems.raise_errors(["whether the backends answer", *left])
    if not offline:
        check_backends(prepared, products, problems)
    prepared.metrics = _with_series(prepared, problems)
    problems.raise_errors(left)
    _read_labels(prepared, problems)
    _plan_gate(prepared, problems)
    problems.raise_errors()
    prepared.inputs = dict(_fingerprints(prepared))
    prepared.unchecked = problems.unchecked
    prepared.warnings = problems.warnings
    return prepared


Build = Callable[[str, str, Mapping[str, JsonValue], str], Any]


def _build_data(prepared: Prepared, build: Build, problems: Problems) -> None:
    wanted: dict[str, DataConfig] = {MAIN: prepared.config.data}
    wanted |= {name: metric.data for name, metric in prepared.config.metrics.items() if metric.data is not None}
    seen: dict[str, tuple[str, Sample]] = {}
    for name, data in wanted.items():
        label = data_label(name)
        loader = build("datasets", data.loader, data.options, label)
        if loader is None:
            continue
        samples = problems.attempt(label, _read, loader, prepared.config.limit)
        if samples is None:
            continue
        prepared.datasets[name] = DataSet(name, loader, samples)
        for sample in samples:
            place, first = seen.setdefault(sample.id, (label, sample))
            # Two metrics may ask the same questions, each in its way.
            if first is not sample and (place == label or first != sample):
                problems.add(label, f"the sample id {sample.id!r} is already in {place}")
                break


def _ask_plugins(prepared: Prepared, manager: pluggy.PluginManager, problems: Problems) -> None:
    """What plugins say of the whole config."""
    samples = {data_label(name): data.samples for name, data in prepared.datasets.items()}
    trainers = {training.name: training.trainer for training in prepared.trainings}
    for noted in manager.hook.judgekit_check(config=prepared.config, trainers=trainers, samples=samples):
        problems.noted.extend(noted)


def _build_models(prepared: Prepared, build: Build, problems: Problems) -> None:
    for name, model in prepared.config.models.items():
        label = f"models.{name}"
        if backend := build("backends", model.backend, model.options, label):
            prepared.models[name] = backend
            check_model_repeats(label, model, backend, prepared.repeats(name), problems)
        if (style := model.style) is not None:
            problems.attempt(f"{label}.style", style_named, style, prepared.prompts)


def _read(loader: DataLoader, limit: int | None) -> tuple[Sample, ...]:
    samples = tuple(islice(loader.load(), limit))
    if not samples:
        raise NothingSelected("no sample is left to evaluate")
    return samples


def _plan_metric(prepared: Prepared, name: str, config: MetricConfig, metric: Metric, problems: Problems) -> None:
    label = f"metrics.{name}"
    data = prepared.datasets.get(name if config.data is not None else MAIN)
    systems = tuple(config.models or prepared.config.models)
    capabilities = {
        name: prepared.models[name].capabilities if name in prepared.models else CAPABILITIES for name in systems
    }  # of a model that could not be built nothing more is said
    for system in systems:
        if system not in prepared.config.models:
            known = prepared.config.models
            problems.add(f"{label}.models", f"no model is named {system!r}{did_you_mean(system, known)}")
        elif "loglikelihood" in metric.needs - capabilities[system]:
            backend = prepared.config.models[system].backend
            problems.add(label, f"needs log-likelihoods, which models.{system} (backend {backend}) has not")
    with problems.collecting(label):
        for problem in metric.check(capabilities):
            problems.add(label, problem)
    try:
        inspect.signature(metric.aggregate).bind({}, None)
    except TypeError as error:
        problems.add(label, f"aggregate of a metric of type {config.type!r} must take (tables, terms): {error}")
    for series in sorted(set(metric.unscaled) & set(getattr(metric, "series", ()))):
        problems.add(label, f"a metric of type {config.type!r} has the series {series!r} both with and without a scale")
    templates: list[Template] = []
    with problems.collecting(label):
        templates = [prepared.prompts.get(prompt) for prompt in metric.prompts(capabilities)]
        for template in templates:
            template.expect(metric.prompt_variables)
    judge = _judge_of(prepared.config, config, metric, label, problems)
    if data is None:  # its problem is already noted
        problems.unchecked.append(f"{label} on its samples: they could not be read")
        return
    several = next((sample for sample in data.samples if sample.turns), None)
    if several is not None and "responses" in metric.needs:
        turns = f"sample {several.id!r} has {len(several.turns) + 1} turns"
        if not metric.conversations:
            problems.add(label, f"a metric of type {config.type!r} reads one answer a sample, and {turns}")
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
        for problem in metric.check_samples(data.samples, systems, prepared.config.limit is None):
            problems.add(label, problem)
    prepared.metrics.append(PlannedMetric(name, metric, data, systems, judge, tuple(templates)))


def _judge_of(config: RunConfig, part: MetricConfig, metric: Metric, label: str, problems: Problems) -> str | None:
    """The metric's judge: the one it names, or the only one there is."""
    judge = part.judge
    if not metric.needs & set(TASKS):
        if judge is not None:
            problems.add(f"{label}.judge", f"a metric of type {part.type!r} asks no judge")
        return None
    if judge is None and len(config.judges) == 1:
        return next(iter(config.judges))
    if judge is None:
        advice = f"name one of {', '.join(config.judges)}" if config.judges else "add a judges: block"
        problems.add(label, f"needs a judge: {advice}")
    elif judge not in config.judges:
        problems.add(f"{label}.judge", f"no judge is named {judge!r}{did_you_mean(judge, config.judges)}")
    return judge


def _plan_judges(prepared: Prepared, build: Build, problems: Problems) -> None:
    """The judges, each with the tasks that some metric gives it."""
    configs = prepared.config.judges
    tasks: dict[str, set[Task]] = {name: set() for name in configs}
    talks: dict[str, set[Task]] = {name: set() for name in configs}
    for planned in prepared.metrics:
        if planned.judge in configs:
            given = [task for task in TASKS if task in planned.metric.needs]
            tasks[planned.judge].update(given)
            talks[planned.judge].update(given if planned.data.talks else ())

    def build_backend(config: JudgeConfig, label: str) -> Backend | None:
        options = problems.attempt(label, prepared.readings.backend_options, config)
        return None if options is None else build("backends", config.backend, options, label)

    planning = Problems()
    prepared.judges = plan_judges(configs, tasks, build_backend, prepared.prompts, prepared.readings, planning, talks)
    members = {member for name, config in configs.items() if tasks[name] for member in config.panel or ()}
    for name, config in configs.items():
        label = f"judges.{name}"
        if not tasks[name] and name not in members:
            problems.warn(label, "no metric asks this judge")
        for judge in config.panel or (name,):
            if judge in configs:
                problems.noted += judging_itself(label, judge, configs[judge], prepared.config.models)
        if config.panel is None:  # a judge's problems stand together, panels' come last
            problems.noted += [problem for problem in planning.noted if problem.where == label]
            planning.noted = [problem for problem in planning.noted if problem.where != label]
        if name in prepared.judges.single:
            problems.noted += check_repeats(label, prepared.judges.single[name], prepared.config.repeats.judge)
    problems.noted += planning.noted


def _with_series(prepared: Prepared, problems: Problems) -> list[PlannedMetric]:
    """The metrics, each told what the values of its judge's verdicts mean, and asked for its own series."""
    metrics = []
    for planned in prepared.metrics:
        judge = prepared.judges[planned.judge] if planned.judge else None
        tasks = [task for task in TASKS if task in planned.metric.needs]
        judged = judge.series(tasks[0]) if judge and tasks else {}
        series = planned.metric.series_on(judged, planned.data.samples)
        if "value" not in series:
            problems.add(f"metrics.{planned.name}", "its series have no 'value', which is the headline")
        metrics.append(replace(planned, series=series))
    return metrics


def _plan_gate(prepared: Prepared, problems: Problems) -> None:
    """The run's gate, checked against what will be measured."""
    config = prepared.config.gate
    if config is None:
        return
    measured = {}
    for planned in prepared.metrics:
        pairs = planned.metric.pairs(planned.systems, prepared.config.anchor(planned.systems))
        own = planned.data.name != MAIN
        measured[planned.name] = (planned.series["value"], planned.data.samples, own, planned.systems, tuple(pairs))
    with problems.collecting("gate"):
        prepared.gate = plan_gate(config, prepared.config.against, prepared.where, measured)
        for warning in prepared.gate.warnings:
            problems.warn("gate", warning)


def _read_labels(prepared: Prepared, problems: Problems) -> None:
    """The run's labels, checked against what will be judged."""
    labels = prepared.config.labels
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
        pairs = planned.metric.pairs(planned.systems, prepared.config.anchor(planned.systems))
        ids = [sample.id for sample in planned.data.samples]
        verdicts = expected(planned.name, planned.series["value"], ids, repeats, pairs)
        check_labels(verdicts, prepared.labels, Terms(threshold=labels.threshold, label_scale=labels.scale))


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
