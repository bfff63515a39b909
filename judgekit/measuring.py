"""Responses → Rows → Estimates: what a metric is given, and what becomes of its rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pydantic import JsonValue

from judgekit.calling import Caller
from judgekit.contracts import Judge
from judgekit.errors import PluginError
from judgekit.folder import RunFolder
from judgekit.preparation import DataSet, PlannedMetric
from judgekit.records import Estimate, Reply, Request, Response, Row, Sample
from judgekit.spec import RunSpec
from judgekit.templates import Prompts, render_instruction

if TYPE_CHECKING:
    from judgekit.statistics.items import ItemTable


@dataclass
class RunStudy:
    """The Study of one metric: its samples, the stored responses to them, and ways to ask."""

    data: DataSet
    systems: tuple[str, ...]
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
        return self.callers[system].calls("loglikelihood", ((request, 0, 0) for request in requests))

    def prompt(self, system: str, sample: Sample) -> str:
        return render_instruction(self.styles[system], sample, self.prompts)

    def shots(self, sample: Sample) -> Sequence[Sample]:
        return self.data.loader.shots(sample)

    def render(self, template: str, **context: JsonValue) -> str:
        return self.prompts.get(template).render(**context)


@dataclass
class Measurements:
    """Tables of item values by (metric, system, series), filled row by row."""

    spec: RunSpec
    tables: dict[tuple[str, str, str], ItemTable] = field(default_factory=dict)

    def rows(self, planned: PlannedMetric, study: RunStudy) -> Iterator[Row]:
        """The metric's rows, named and counted on their way to the disk."""
        for row in planned.metric.rows(study):
            named = row.model_copy(update={"metric": planned.name})
            self._add(planned, named)
            yield named

    def _add(self, planned: PlannedMetric, row: Row) -> None:
        for name, series in planned.metric.series.items():
            # A row that was not scored has no value in any series, whatever its plugin put there.
            value = row.value if name == "value" or row.status != "scored" else row.series.get(name)
            if value is not None and not series.low <= value <= series.high:
                raise PluginError(
                    f"metric {planned.name!r}: {name} = {value} on sample {row.sample_id!r} is off its scale "
                    f"[{series.low}, {series.high}]"
                )
            if value is None and row.status == "scored":
                continue  # a series that says nothing about this row
            self._table(planned, row.system, name).add(row.sample_id, row.repeat, row.judge_repeat, value, row.status)

    def _table(self, planned: PlannedMetric, system: str, series: str) -> ItemTable:
        from judgekit.statistics.items import ItemTable

        key = (planned.name, system, series)
        if key not in self.tables:
            by_category = self.spec.statistics.cluster == "category"
            clusters = {sample.id: sample.category or "" for sample in planned.data.samples} if by_category else None
            self.tables[key] = ItemTable(clusters)
        return self.tables[key]

    def estimates(self, metrics: Sequence[PlannedMetric]) -> tuple[list[Estimate], list[Estimate]]:
        """(estimates, paired differences against the run's `against` system), in the order of the config."""
        from judgekit.statistics.estimates import difference, estimate

        found: list[Estimate] = []
        differences: list[Estimate] = []
        settings, seed = self.spec.statistics, self.spec.seed
        against = self.spec.against or next(iter(self.spec.models))
        series_of = {planned.name: planned.metric.series for planned in metrics}
        for (metric, system, name), table in self.tables.items():
            series = series_of[metric][name]
            found += estimate(
                table,
                metric=metric,
                system=system,
                series_name=name,
                series=series,
                method=settings.interval,
                confidence=settings.confidence,
                resamples=settings.resamples,
                seed=seed,
            )
            other = self.tables.get((metric, against, name))
            if name == "value" and system != against and other is not None:
                paired = difference(
                    table,
                    other,
                    metric=metric,
                    system=system,
                    against=against,
                    series_name=name,
                    series=series,
                    confidence=settings.confidence,
                    resamples=settings.resamples,
                    seed=seed,
                )
                differences.append(paired)
        return found, differences
