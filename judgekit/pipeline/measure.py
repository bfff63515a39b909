"""Responses → Rows → Estimates: what a metric is given, and what becomes of its rows."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from pydantic import JsonValue

from judgekit.calls.caller import Caller
from judgekit.config.blocks import RunConfig
from judgekit.contracts import Judge, Metric
from judgekit.data.groups import clusters, groups, has, in_order
from judgekit.data.lineage import provenances
from judgekit.errors import JudgekitError, PluginError
from judgekit.judging.judge import ASKED_TWICE
from judgekit.pipeline.generate import takes_turns
from judgekit.pipeline.prepared import DataSet, PlannedMetric
from judgekit.prompting.messages import prompt_messages
from judgekit.prompting.styles import render_instruction
from judgekit.prompting.templates import Prompts
from judgekit.records import Call, Message, Reply, Request, Response, Row, Sample, ScoreKey, VerdictStatus
from judgekit.regression.run_gate import Looking
from judgekit.results import Breakdown, Estimate, Group, Statistic, VarianceBudget
from judgekit.run_folder import RunFolder
from judgekit.secrets import one_line

if TYPE_CHECKING:
    from judgekit.statistics.aggregate import Aggregate, AggregateTerms, Pair, Tables
    from judgekit.statistics.items import ItemTable

OFF = 1e-9  # of a scale's range: float noise


@dataclass
class RunStudy:
    """The Study of one metric: its samples, the stored responses to them, and ways to ask."""

    data: DataSet
    systems: tuple[str, ...]
    anchor: str
    judge: Judge | None
    judge_repeats: int
    folder: RunFolder
    callers: Mapping[str, Caller]
    prompts: Prompts
    styles: Mapping[str, str]

    @property
    def samples(self) -> Sequence[Sample]:
        return self.data.samples

    def responses(self, system: str) -> Iterator[tuple[Sample, Response]]:
        by_id = {sample.id: sample for sample in self.data.samples}
        for response in self.folder.responses(system):
            if (sample := by_id.get(response.sample_id)) is not None:
                yield sample, response

    def loglikelihood(self, system: str, requests: Iterable[Request]) -> Iterator[Reply]:
        return self.callers[system].calls("loglikelihood", map(Call, requests))

    def generate(self, system: str, requests: Iterable[Request]) -> Iterator[Reply]:
        return self.callers[system].calls("generate", map(Call, requests))

    def capabilities(self, system: str) -> frozenset[str]:
        return self.callers[system].backend.capabilities

    def prompt(self, system: str, sample: Sample) -> str:
        return render_instruction(self.styles[system], sample, self.prompts)

    def messages(self, system: str, sample: Sample, answers: Sequence[str] = ()) -> tuple[Message, ...]:
        chat = takes_turns(self.callers[system].backend)
        return prompt_messages(self.styles[system], sample, answers, self.prompts, chat=chat)

    def shots(self, sample: Sample) -> Sequence[Sample]:
        return self.data.loader.shots(sample)

    def render(self, template: str, **context: JsonValue) -> str:
        return self.prompts.get(template).render(**context)


@dataclass(frozen=True)
class Results:
    """What came of the rows: in the order of the config's metrics."""

    estimates: list[Estimate] = field(default_factory=list)
    differences: list[Estimate] = field(default_factory=list)
    statistics: list[Statistic] = field(default_factory=list)


@dataclass(frozen=True)
class BreakdownPart:
    """A group of a breakdown: its label, the sample ids in it by metric, and whether its items have their clusters."""

    label: str
    ids: Mapping[str, Sequence[str]]
    clustered: bool


def _entry(row: Row, series: str) -> tuple[float | None, VerdictStatus]:
    """(value, status) of the row in one of its series. A row that was not scored has no value in any, whatever its
    plugin put there, unless it says itself which are missing."""
    if series == "value":
        return row.value, row.status
    if series in row.missing:
        return None, row.missing[series]
    if row.missing and series in row.series:
        return row.series[series], "scored"
    return (row.series.get(series) if row.status == "scored" else None), row.status


@dataclass
class Measurements:
    """Tables of item values by metric, series, and system and opponent, filled row by row; beside them, how many
    verdicts there were, and how many took a second asking."""

    config: RunConfig
    tables: dict[str, dict[str, dict[Pair, ItemTable]]] = field(default_factory=dict)
    verdicts: Counter[ScoreKey] = field(default_factory=Counter)
    asked_twice: Counter[ScoreKey] = field(default_factory=Counter)

    def rows(self, planned: PlannedMetric, study: RunStudy, looking: Looking | None = None) -> Iterator[Row]:
        """The metric's rows, named and counted on their way to the disk; `looking` may end them before the last."""

        def measure(samples: Sequence[Sample]) -> Iterator[Row]:
            return planned.metric.rows(replace(study, data=replace(study.data, samples=tuple(samples))))

        for row in planned.metric.rows(study) if looking is None else looking.run(study.samples, measure):
            yield self.added(planned, row.model_copy(update={"metric": planned.name}))

    def added(self, planned: PlannedMetric, row: Row) -> Row:
        """The row, counted. Raises PluginError for a value off its series' scale."""
        place = ScoreKey(planned.name, row.system, row.opponent)
        self.verdicts[place] += len(row.verdicts)
        self.asked_twice[place] += sum(ASKED_TWICE in verdict.detail for verdict in row.verdicts)
        for name, series in planned.series.items():
            value, status = _entry(row, name)
            if value is not None and not series.low <= value <= series.high:
                raise PluginError(
                    f"metric {planned.name!r}: {name} = {value} on sample {row.sample_id!r} is off its scale "
                    f"[{series.low}, {series.high}]"
                )
            if value is None and status == "scored":
                continue  # a series that says nothing about this row
            self._table(planned, row, name).add(row.sample_id, row.repeat, row.judge_repeat, value, status)
        for name in planned.metric.unscaled if row.status == "scored" else ():
            if name in row.series:
                value = row.series[name]
                self._table(planned, row, name).add(row.sample_id, row.repeat, row.judge_repeat, value)
        return row

    def _table(self, planned: PlannedMetric, row: Row, series: str) -> ItemTable:
        from judgekit.statistics.items import ItemTable

        tables = self.tables.setdefault(planned.name, {}).setdefault(series, {})
        if (row.system, row.opponent) not in tables:
            tables[row.system, row.opponent] = ItemTable(self._clusters(planned))
        return tables[row.system, row.opponent]

    def _clusters(self, planned: PlannedMetric) -> dict[str, str] | None:
        field = self.config.statistics.cluster
        return None if field is None else clusters(planned.data.samples, field)

    def results(self, metrics: Sequence[PlannedMetric], part: BreakdownPart | None = None) -> Results:
        """What every metric makes of its tables, and the paired differences of its headline. Raises PluginError for a
        metric that makes nothing, or nonsense, of them."""
        results = Results()
        for planned in metrics:
            if planned.name not in self.tables:
                continue
            mine = self.tables[planned.name]
            tables = {name: mine[name] for name in (*planned.series, *planned.metric.unscaled) if name in mine}
            terms = self._terms(planned, part)
            aggregate = aggregated(planned.metric, tables, terms, self.config.metrics[planned.name].type)
            results.estimates.extend(aggregate.estimates)
            results.differences.extend(self._differences(aggregate.estimates, tables.get("value", {}), terms))
            results.statistics.extend([*aggregate.statistics, *self._asked_twice(planned.name)])
        return results

    def _terms(self, planned: PlannedMetric, part: BreakdownPart | None) -> AggregateTerms:
        from judgekit.statistics.aggregate import AggregateTerms

        settings, samples = self.config.statistics, planned.data.samples
        if part is not None:
            ids = set(part.ids[planned.name])
            samples = tuple(sample for sample in samples if sample.id in ids)
        return AggregateTerms(
            confidence=settings.confidence,
            method=settings.interval,
            resamples=settings.resamples,
            seed=self.config.seed,
            metric=planned.name,
            series=planned.series,
            samples=samples,
            systems=planned.systems,
            anchor=self.config.anchor(planned.systems),
            shares=planned.metric.shares,
            clusters=self._clusters(planned) if part is None or part.clustered else None,
            group=None if part is None else part.label,
        )

    def _differences(
        self, estimates: Iterable[Estimate], tables: Mapping[Pair, ItemTable], terms: AggregateTerms
    ) -> Iterator[Estimate]:
        """Systems are compared with the run's `against` system, and trained ones with those that they were trained
        from; each with a headline that is the mean of its items."""
        from judgekit.statistics.estimates import Subject, difference

        compared = self._compared()
        means = {(one.system, one.opponent or "") for one, _ in item_means(estimates, tables)}
        for system, opponent in tables:
            for against in compared[system]:
                if {(system, opponent), (against, opponent)} <= means:
                    of = Subject(terms.metric, system, terms.series["value"])
                    yield difference(tables[system, opponent], tables[against, opponent], of, against, terms)

    def _compared(self) -> dict[str, tuple[str, ...]]:
        """By system, those that it is compared with."""
        models, trained = self.config.models, provenances(self.config.work())
        against = self.config.against or next(iter(models))
        compared = {}
        for system in models:
            others = (against, *(trained[system].compared if system in trained else ()))
            compared[system] = tuple(dict.fromkeys(other for other in others if other != system))
        return compared

    def _asked_twice(self, metric: str) -> list[Statistic]:
        return [
            Statistic(
                metric=metric,
                system=place.system,
                opponent=place.opponent or None,
                name="asked_twice",
                label="verdicts that took a second asking",
                value=count,
                note=f"of {self.verdicts[place]}: the first reply could not be read",
            )
            for place, count in self.asked_twice.items()
            if count and place.metric == metric
        ]

    def fields(self, metrics: Sequence[PlannedMetric]) -> dict[str, Any]:
        """What the rows come to, as fields of the record."""
        results = self.results(metrics)
        return {
            "estimates": tuple(results.estimates),
            "differences": tuple(results.differences),
            "statistics": tuple(results.statistics),
            "breakdowns": tuple(self.breakdowns(metrics)),
            "variance_budgets": tuple(self.variance_budgets(results.estimates)),
        }

    def variance_budgets(self, estimates: Iterable[Estimate]) -> list[VarianceBudget]:
        """What the standard errors of the headline means are made of, in the order of the estimates."""
        from judgekit.statistics.variance import variance_budget

        budgets = [
            variance_budget(table, whole)
            for estimate in estimates
            for whole, table in item_means([estimate], self.tables[estimate.metric].get("value", {}))
        ]
        return [budget for budget in budgets if budget is not None]

    def breakdowns(self, metrics: Sequence[PlannedMetric]) -> list[Breakdown]:
        """The estimates once more by group, for each field of the config's `by`, and for each of a metric's own.

        A metric none of whose samples has the field is left out. Within a group of the field that also makes the
        clusters there is one cluster alone: its items are taken for independent.
        """
        return [self._breakdown(field_name, mine) for field_name, mine in self._by(metrics).items()]

    def _breakdown(self, field_name: str, metrics: Sequence[PlannedMetric]) -> Breakdown:
        ids = {
            planned.name: groups(planned.data.samples, field_name)
            for planned in metrics
            if has(planned.data.samples, field_name)
        }
        estimates: list[Estimate] = []
        differences: list[Estimate] = []
        labels = in_order({label for grouped in ids.values() for label in grouped})
        for label in labels:
            here = {name: grouped[label] for name, grouped in ids.items() if label in grouped}
            part = BreakdownPart(label, here, clustered=field_name != self.config.statistics.cluster)
            fresh = Measurements(self.config, self._tables_of(part)).results(metrics, part)
            named = {"group": label}
            estimates += [one.model_copy(update=named) for one in fresh.estimates if one.estimand == "new items"]
            differences += [one.model_copy(update=named) for one in fresh.differences]
        sizes = [len({one for grouped in ids.values() for one in grouped.get(label, ())}) for label in labels]
        return Breakdown(
            field=field_name,
            groups=tuple(Group(name=name, n_samples=n) for name, n in zip(labels, sizes, strict=True)),
            estimates=tuple(estimates),
            differences=tuple(differences),
        )

    def _tables_of(self, part: BreakdownPart) -> dict[str, dict[str, dict[Pair, ItemTable]]]:
        return {
            metric: {
                series: {
                    pair: table.part(ids, table.clusters if part.clustered else None) for pair, table in tables.items()
                }
                for series, tables in self.tables.get(metric, {}).items()
            }
            for metric, ids in part.ids.items()
            if metric in self.tables
        }

    def _by(self, metrics: Sequence[PlannedMetric]) -> dict[str, list[PlannedMetric]]:
        """The fields that results are broken down by, each with its metrics."""
        named = self.config.statistics.by
        by = {field_name: list(metrics) for field_name in named}
        for field_name in (own for planned in metrics for own in planned.metric.by if own not in named):
            mine = [planned for planned in metrics if field_name in planned.metric.by]
            by[field_name] = [planned for planned in mine if len(groups(planned.data.samples, field_name)) > 1]
        return {field_name: mine for field_name, mine in by.items() if mine}


def item_means(estimates: Iterable[Estimate], tables: Mapping[Pair, ItemTable]) -> Iterator[tuple[Estimate, ItemTable]]:
    """The headlines that are means of their items, each with the table of these."""
    from judgekit.statistics.estimates import is_item_mean

    for one in estimates:
        table = tables.get((one.system, one.opponent or ""))
        if (one.series, one.estimand) == ("value", "new items") and table is not None and is_item_mean(one, table):
            yield one, table


# --- a metric's own numbers, checked ----------------------------------------------------------------------------------


def aggregated(metric: Metric, tables: Tables, terms: AggregateTerms, kind: str) -> Aggregate:
    """What the metric makes of the tables. Raises PluginError naming it where that cannot be."""
    from judgekit.statistics.aggregate import Aggregate

    name = f"metric {terms.metric!r} (type {kind!r}, of {type(metric).__module__})"
    try:
        aggregate = metric.aggregate(tables, terms)
    except (Exception, SystemExit) as error:
        if isinstance(error, JudgekitError):
            raise
        said = one_line(f"{type(error).__name__}: {error}")
        raise PluginError(f"{name} failed in aggregate: {said}") from error
    if not isinstance(aggregate, Aggregate):
        raise PluginError(f"{name}: aggregate returned {type(aggregate).__name__}, where a judgekit.Aggregate was due")
    for one in (*aggregate.estimates, *aggregate.statistics):
        if not isinstance(one, Estimate | Statistic):
            raise PluginError(f"{name}: aggregate returned {type(one).__name__} among its estimates and statistics")
        if one.metric != terms.metric:
            raise PluginError(
                f"{name}: aggregate returned a number of the metric {one.metric!r}; its own is terms.metric"
            )
    seen = set()
    for estimate in aggregate.estimates:
        what = f"{name}: aggregate: {estimate.series} of {estimate.system}"
        _check_scale(what, estimate)
        pair, scale = (estimate.system, estimate.opponent or ""), terms.series.get(estimate.series, estimate.scale)
        if (estimate.scale.low, estimate.scale.high) != (scale.low, scale.high):
            raise PluginError(f"{what} is on another scale than the series, [{scale.low}, {scale.high}]")
        if estimate.confidence != terms.confidence:
            raise PluginError(f"{what} has the confidence {estimate.confidence}; the run's is terms.confidence")
        if estimate.series == "value" and pair not in tables.get("value", {}):
            raise PluginError(f"{what}: there are no rows of {' against '.join(filter(None, pair))}")
        if (key := (*pair, estimate.series, estimate.estimand)) in seen:
            raise PluginError(f"{what} is there twice")
        seen.add(key)
    headlines = {(one.system, one.opponent or "") for one in aggregate.estimates if one.series == "value"}
    if headlines and (missing := tables.get("value", {}).keys() - headlines):
        raise PluginError(f"{name}: aggregate returned no value of {' against '.join(filter(None, min(missing)))}")
    for statistic in aggregate.statistics:
        if statistic.value is not None and not math.isfinite(statistic.value):
            raise PluginError(f"{name}: aggregate: {statistic.name} of {statistic.system} is {statistic.value}")
    return aggregate


def _check_scale(what: str, estimate: Estimate) -> None:
    """Raises PluginError for a value or an end of an interval that is no number on the estimate's scale."""
    scale = estimate.scale
    slack = OFF * (scale.high - scale.low)
    for number in (estimate.value, estimate.interval.low, estimate.interval.high):
        if number is not None and not scale.low - slack <= number <= scale.high + slack:  # NaN is on no scale
            raise PluginError(f"{what} = {number} is off its scale [{scale.low}, {scale.high}]")
    if estimate.se is not None and not (math.isfinite(estimate.se) and estimate.se >= 0):
        raise PluginError(f"{what} has the standard error {estimate.se}")
