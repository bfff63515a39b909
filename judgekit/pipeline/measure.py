"""Responses → Rows → Estimates: what a metric is given, and what becomes of its rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

from pydantic import JsonValue

from judgekit.calls.caller import Caller
from judgekit.config.blocks import RunConfig
from judgekit.contracts import Judge
from judgekit.data.groups import clusters, groups, has, in_order
from judgekit.errors import PluginError
from judgekit.judging.judge import ASKED_TWICE
from judgekit.pipeline.generate import takes_turns
from judgekit.pipeline.lineage import provenances
from judgekit.pipeline.prepared import DataSet, PlannedMetric, Prepared
from judgekit.prompting.messages import prompt_messages
from judgekit.prompting.styles import render_instruction
from judgekit.prompting.templates import Prompts
from judgekit.records import Call, Message, Reply, Request, Response, Row, Sample, ScoreKey, VerdictStatus
from judgekit.regression.run_gate import Looking
from judgekit.results import Breakdown, Estimate, Group, Statistic, VarianceBudget
from judgekit.run_folder import RunFolder

if TYPE_CHECKING:
    from judgekit.statistics.items import ItemTable


BRADLEY_TERRY = "bradley_terry"
CATEGORY = "category"  # of a multiple-choice question: its subject
LONGER = "longer"  # the row series of how many characters longer the system's answer is than the opponent's
NATS, TOKENS = "nats", "tokens"  # the row series of a text's negative log-likelihood, and of its length
# Row series that have no scale, so that they are no series of a metric's own, by what is derived from them.
WITHOUT_SCALE = {"length_adjusted": (LONGER,), "perplexity": (NATS, TOKENS)}


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


class Key(NamedTuple):
    """What a table of item values is of. `opponent` is empty where a metric looks at one system at a time."""

    metric: str
    system: str
    opponent: str
    series: str


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
    """Tables of item values by metric, system, opponent and series, filled row by row; beside them, how many verdicts
    there were, and how many took a second asking."""

    config: RunConfig
    tables: dict[Key, ItemTable] = field(default_factory=dict)
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
        for name in [one for kind in planned.metric.derived for one in WITHOUT_SCALE.get(kind, ())]:
            if row.status == "scored" and name in row.series:
                value = row.series[name]
                self._table(planned, row, name).add(row.sample_id, row.repeat, row.judge_repeat, value)
        return row

    def _table(self, planned: PlannedMetric, row: Row, series: str) -> ItemTable:
        from judgekit.statistics.items import ItemTable

        key = Key(planned.name, row.system, row.opponent, series)
        if key not in self.tables:
            self.tables[key] = ItemTable(self._clusters(planned))
        return self.tables[key]

    def _clusters(self, planned: PlannedMetric) -> dict[str, str] | None:
        field = self.config.statistics.cluster
        return None if field is None else clusters(planned.data.samples, field)

    def estimates(self, metrics: Sequence[PlannedMetric]) -> tuple[list[Estimate], list[Estimate]]:
        """(estimates, paired differences), in the order of the config. Systems are compared with the run's `against`
        system, and trained ones with those that they were trained from."""
        from judgekit.statistics.estimates import difference, estimate

        found: list[Estimate] = []
        differences: list[Estimate] = []
        settings, seed = self.config.statistics, self.config.seed
        compared = self._compared()
        by_name = {planned.name: planned for planned in metrics}
        for key in self._in_order(by_name):
            table, (metric, system, opponent, name) = self.tables[key], key
            if name != "value" and not table.counts["scored"]:
                continue  # a series of another mode of the metric: only rows without a score are in it
            series = by_name[metric].series[name]
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
                opponent=opponent or None,
                share=name in by_name[metric].metric.shares,
                names=(opponent,) if self._several_opponents(metric) else (),
            )
            for against in compared[system] if name == "value" else ():
                other = self.tables.get(Key(metric, against, opponent, name))
                if other is None:
                    continue
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

    def _compared(self) -> dict[str, tuple[str, ...]]:
        """By system, those that it is compared with."""
        models, trained = self.config.models, provenances(self.config.work())
        against = self.config.against or next(iter(models))
        return {
            system: tuple(dict.fromkeys(
                other
                for other in (against, *(trained[system].compared if system in trained else ()))
                if other != system
            ))
            for system in models
        }  # fmt: skip

    def variance_budgets(self, estimates: Iterable[Estimate]) -> list[VarianceBudget]:
        """What the standard errors of the headline means are made of, in the order of the estimates."""
        from judgekit.statistics.variance import variance_budget

        found = []
        for whole in estimates:
            table = self.tables.get(Key(whole.metric, whole.system, whole.opponent or "", whole.series))
            if whole.series == "value" and whole.estimand == "new items" and table is not None:
                found.append(variance_budget(table, whole))
        return [budget for budget in found if budget is not None]

    def breakdowns(self, metrics: Sequence[PlannedMetric]) -> list[Breakdown]:
        """The estimates once more by group, for each field of the config's `by`; multiple choice by category always.

        A metric none of whose samples has the field is left out. Within a group of the field that also makes the
        clusters there is one cluster alone: its items are taken for independent.
        """
        found = []
        for field_name, mine in self._by(metrics):
            ids = {
                planned.name: groups(planned.data.samples, field_name)
                for planned in mine
                if has(planned.data.samples, field_name)
            }
            estimates: list[Estimate] = []
            differences: list[Estimate] = []
            labels = in_order({label for grouped in ids.values() for label in grouped})
            for label in labels:
                parts = {
                    key: table.part(
                        ids[key.metric][label], None if field_name == self.config.statistics.cluster else table.clusters
                    )
                    for key, table in self.tables.items()
                    if label in ids.get(key.metric, ())
                }
                fresh, paired = Measurements(self.config, parts).estimates(metrics)
                named = {"group": label}
                estimates += [one.model_copy(update=named) for one in fresh if one.estimand == "new items"]
                differences += [one.model_copy(update=named) for one in paired]
            sizes = [len({one for grouped in ids.values() for one in grouped.get(label, ())}) for label in labels]
            found.append(
                Breakdown(
                    field=field_name,
                    groups=tuple(Group(name=name, n_samples=n) for name, n in zip(labels, sizes, strict=True)),
                    estimates=tuple(estimates),
                    differences=tuple(differences),
                )
            )
        return found

    def _by(self, metrics: Sequence[PlannedMetric]) -> list[tuple[str, Sequence[PlannedMetric]]]:
        """The fields that results are broken down by, each with its metrics."""
        named = self.config.statistics.by
        found: list[tuple[str, Sequence[PlannedMetric]]] = [(field_name, metrics) for field_name in named]
        chosen = [
            planned
            for planned in metrics
            if "choices" in planned.metric.derived and len(groups(planned.data.samples, CATEGORY)) > 1
        ]
        return [*found, (CATEGORY, chosen)] if chosen and CATEGORY not in named else found

    def _in_order(self, metrics: Mapping[str, PlannedMetric]) -> list[Key]:
        """The keys by metric and pair as they came, then by the metric's own order of its series."""
        place: dict[tuple[str, str, str], int] = {}
        for metric, system, opponent, _ in self.tables:
            place.setdefault((metric, system, opponent), len(place))
        series = {name: list(metric.series) for name, metric in metrics.items()}
        known = [key for key in self.tables if key.series in series[key.metric]]
        return sorted(known, key=lambda key: (place[key[:3]], series[key.metric].index(key.series)))

    def _several_opponents(self, metric: str) -> bool:
        return len({key.opponent for key in self.tables if key.metric == metric}) > 1

    def derived(self, prepared: Prepared, estimates: Sequence[Estimate]) -> tuple[list[Estimate], list[Statistic]]:
        """(the estimates with those added that are no means of a series, behind their metric's; statistics)."""
        found: list[Estimate] = []
        statistics: list[Statistic] = []
        for planned in prepared.metrics:
            mine = [estimate for estimate in estimates if estimate.metric == planned.name]
            if planned.metric.derived:
                added, counted = self._derived_of(planned, prepared.anchor(planned.systems))
                pairs = list(dict.fromkeys((estimate.system, estimate.opponent) for estimate in mine))
                # What is said of a pair stands together; what is said of all systems stands last.
                place = {pair: number for number, pair in enumerate(pairs)}
                mine = sorted(
                    [*mine, *added],
                    key=lambda one: len(pairs) if one.series == BRADLEY_TERRY else place[one.system, one.opponent],
                )
                statistics += counted
            found += mine
            statistics += self._asked_twice(planned.name)
            if "choices" in planned.metric.derived:
                added, counted = self._of_choices(planned, estimates)
                found += added
                statistics += counted
        return found, statistics

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

    def _of_choices(
        self, planned: PlannedMetric, estimates: Sequence[Estimate]
    ) -> tuple[list[Estimate], list[Statistic]]:
        from judgekit.statistics import choices

        samples, clustered = planned.data.samples, self.config.statistics.cluster == "category"
        categories = {sample.id: sample.category or "" for sample in samples}
        habits = choices.baselines(planned.name, samples, self.config.statistics.confidence, self._clusters(planned))
        headlines = [
            estimate
            for estimate in estimates
            if (estimate.metric, estimate.series, estimate.estimand) == (planned.name, "value", "new items")
        ]
        found: list[Estimate] = []
        statistics = [choices.chance_statistic(planned.name, samples)]
        for whole in headlines:
            table = self.tables[Key(planned.name, whole.system, "", "value")]
            found += choices.by_category(table, categories, whole, clustered)
            statistics.append(choices.letter_bias(whole, table, samples))
        return [*found, *habits], statistics

    def _derived_of(self, planned: PlannedMetric, anchor: str) -> tuple[list[Estimate], list[Statistic]]:
        from judgekit.statistics import derived
        from judgekit.statistics.perplexity import perplexity_estimate

        settings, kinds = self.config.statistics, planned.metric.derived
        setting = derived.Setting(planned.name, settings.confidence, self.config.seed, settings.resamples)
        tables = {
            series: {(key.system, key.opponent): table for key, table in self.tables.items()
                     if key.metric == planned.name and key.series == series}
            for series in ("value", "first", "consistent", LONGER, NATS, TOKENS)
        }  # fmt: skip
        found: list[Estimate] = []
        statistics: list[Statistic] = []
        for pair, values in tables["value"].items():
            if "outcomes" in kinds:
                statistics += derived.outcome_statistics(planned.name, pair, values)
            if "position" in kinds and pair in tables["first"] and pair in tables["consistent"]:
                first, consistent = tables["first"][pair], tables["consistent"][pair]
                statistics += derived.position_statistics(planned.name, pair, first, consistent)
            if "length_adjusted" in kinds and pair in tables[LONGER]:
                found.append(derived.length_estimate(setting, pair, values, tables[LONGER][pair]))
            if "perplexity" in kinds and pair in tables[NATS]:
                found.append(
                    perplexity_estimate(
                        tables[NATS][pair],
                        tables[TOKENS][pair],
                        metric=planned.name,
                        system=pair[0],
                        confidence=settings.confidence,
                        seed=self.config.seed,
                        resamples=settings.resamples,
                    )
                )
        compared = [system for system in planned.systems if any(system in pair for pair in tables["value"])]
        if BRADLEY_TERRY in kinds and len(compared) > 2 and self._several_opponents(planned.name):
            found += derived.bradley_terry_estimates(setting, compared, anchor, tables["value"])
        return found, statistics
