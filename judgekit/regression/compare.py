"""Two runs, or two systems of one, on the same items: paired by item id, never by position.

Nothing is compared across instruments: another judge, prompt, scale or metric is refused and named. Samples that only
one side has, or that changed under the same id, are left out, with a note.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from judgekit.data.groups import NONE, clusters_of, groups
from judgekit.errors import ConfigError, DataError, UsageError
from judgekit.records import Finite, Noun, Sample, Scale, ScoreKey
from judgekit.regression.baseline import Sheet, dataset_hash, instrument, sample_hash, samples_of, system_key
from judgekit.results import Estimate, RunRecord, RunView
from judgekit.statistics.item_tables import item_tables, scales_of, unpaired
from judgekit.text import counted, one_of

if TYPE_CHECKING:
    from judgekit.statistics.items import ItemTable
from judgekit.regression.paired_scores import moved, some_of, unlike


class Mover(Noun):
    """An item with its question, and its scores and (first) responses on both sides."""

    sample_id: str
    first: Finite
    second: Finite
    change: Finite
    instruction: str
    reference: str | None = None
    first_response: str | None = None
    second_response: str | None = None


class Compared(Noun):
    """The comparison of one metric: `difference` is second − first over the items of both sides.

    `better`, `worse` and `equal` count items, from the second side's point of view. `detectable` is the least true
    difference that the interval would detect with a power of 80 %; None where there is no interval.
    """

    metric: str
    group: str | None = None
    first: str
    second: str
    first_mean: Finite | None
    second_mean: Finite | None
    difference: Estimate
    better: int
    worse: int
    equal: int
    detectable: Finite | None
    movers: tuple[Mover, ...] = ()


class Comparison(Noun):
    """The result of `judgekit compare`. `notes` say what did not match and was left out."""

    first: str
    second: str
    results: tuple[Compared, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Side:
    """One run of a comparison; `system` picks one of its systems."""

    name: str
    view: RunView
    system: str | None
    samples: Mapping[str, Sample]
    tables: Mapping[ScoreKey, ItemTable]
    used: Mapping[str, set[str]]
    unpaired: Mapping[str, str]

    @classmethod
    def of(cls, name: str, view: RunView, system: str | None) -> Side:
        record = view.record
        if system is not None and system not in record.systems:
            raise ConfigError(f"{record.run_id} has no system {system!r}{one_of(system, record.systems)}")
        tables, used = item_tables(view.rows, scales_of(record))
        whys = unpaired(record, tables)
        tables = {place: table for place, table in tables.items() if place.metric not in whys}
        return cls(name, view, system, {sample.id: sample for sample in view.samples}, tables, used, whys)

    @property
    def record(self) -> RunRecord:
        return self.view.record

    def systems(self, metric: str) -> dict[str, tuple[str, str]]:
        """(system, opponent) by key, of a metric."""
        pairs = {
            system_key(system, opponent): (system, opponent) for name, system, opponent in self.tables if name == metric
        }
        return {key: pair for key, pair in pairs.items() if self.system is None or pair[0] == self.system}

    def chosen(self, metric: str) -> list[Sample]:
        return samples_of(self.record, metric, list(self.samples.values()), self.used.get(metric, set()))

    def sheet(self, metric: str) -> Sheet:
        """The metric's scale, instrument and samples, without scores."""
        samples = self.chosen(metric)
        return Sheet(
            scale=scales_of(self.record)[metric],
            instrument=instrument(self.record, metric),
            dataset=dataset_hash(samples),
            n_samples=len(samples),
            systems={},
        )


@dataclass(frozen=True)
class CompareOptions:
    """`metrics`: these, or all that both sides have. `by`: the field of the samples that groups are made of."""

    metrics: tuple[str, ...] = ()
    by: str | None = "category"
    movers: int = 3
    confidence: float = 0.95
    resamples: int | None = None


def compare(first: Side, second: Side, options: CompareOptions) -> Comparison:
    """Every metric that both sides have, or those that were named. Raises ConfigError for unknown names, UsageError
    where the instruments differ, DataError where no item is in both."""
    both = (first,) if first.view is second.view else (first, second)
    notes = [
        f"{side.record.run_id} is incomplete: the items that it lacks are left out"
        for side in both
        if side.record.status == "incomplete"
    ]
    results: list[Compared] = []
    for metric in _metrics(first, second, options.metrics, notes):
        shared = _shared_samples(first, second, metric, notes)
        for ours, theirs in _matched(first, second, metric):
            match = _Match(first, second, (ours, theirs), (first.tables[ours], second.tables[theirs]))
            results += _results(match, shared, options, notes)
    return Comparison(
        first=_side_name(first, second),
        second=_side_name(second, first),
        results=tuple(results),
        notes=tuple(dict.fromkeys(notes)),
    )


def _side_name(side: Side, other: Side) -> str:
    same = side.record.run_id == other.record.run_id
    return f"{side.record.run_id}: {side.system}" if same and side.system else side.record.run_id


def _metrics(first: Side, second: Side, wanted: Sequence[str], notes: list[str]) -> list[str]:
    there = [list(dict.fromkeys(name for name, _, _ in side.tables)) for side in (first, second)]
    for side in (first,) if first.view is second.view else (first, second):
        for metric, why in side.unpaired.items():
            if metric in wanted:
                raise UsageError(f"{side.record.run_id}: {metric} {why}, so there is nothing to pair")
            notes.append(f"{side.record.run_id}: {metric} {why}, so it is not compared")
    for metric in wanted:
        for side, names in zip((first, second), there, strict=True):
            if metric not in names:
                raise ConfigError(f"{side.record.run_id} has no metric {metric!r}{one_of(metric, names)}")
    common = [name for name in there[0] if name in there[1]]
    for side, names in zip((first, second), there, strict=True):
        if not wanted and (alone := [name for name in names if name not in common]):
            notes.append(f"only {side.record.run_id} has {', '.join(alone)}")
    if not common:
        raise DataError(
            "; ".join([f"{first.record.run_id} and {second.record.run_id} have no metric in common", *notes])
        )
    return list(wanted) or common


def _shared_samples(first: Side, second: Side, metric: str, notes: list[str]) -> list[str]:
    """Ids of the samples that are the same on both sides. Raises UsageError for another instrument."""
    if first.view is second.view:
        return [sample.id for sample in first.chosen(metric)]
    sheets, names = (first.sheet(metric), second.sheet(metric)), ("in the first run", "in the second")
    if wrong := unlike(*sheets, names):
        lines = "\n".join(f"{metric}: {line}" for line in wrong)
        raise UsageError(f"{lines}\n{metric} was measured by two different instruments: the difference would be theirs")
    ours, theirs = ({sample.id: sample for sample in side.chosen(metric)} for side in (first, second))
    common = [sample_id for sample_id in ours if sample_id in theirs]
    same = [one for one in common if sample_hash(ours[one]) == sample_hash(theirs[one])]
    if not same:
        raise DataError(f"{metric}: the runs have no sample in common ({some_of(ours)}; {some_of(theirs)})")
    if len(same) < max(len(ours), len(theirs)):
        changed = f", {len(common) - len(same)} of them changed under the same id" if len(common) > len(same) else ""
        notes.append(
            f"{metric}: another dataset: {counted(len(ours), 'sample')} in the first run, {len(theirs)} in the second, "
            f"{len(common)} in both{changed}; compared on the {len(same)} that are the same"
        )
    return same


def _matched(first: Side, second: Side, metric: str) -> list[tuple[ScoreKey, ScoreKey]]:
    """The systems to compare with each other: the named ones, those of one name, or the only one of each."""
    ours, theirs = first.systems(metric), second.systems(metric)
    if first.system is not None and second.system is not None and first.system != second.system:
        # Two systems, by the opponents that both have met; a win rate against each other has no pair here.
        return [
            (ScoreKey(metric, *a), ScoreKey(metric, *b)) for a in ours.values() for b in theirs.values() if a[1] == b[1]
        ]
    common = [(ScoreKey(metric, *ours[key]), ScoreKey(metric, *theirs[key])) for key in ours if key in theirs]
    if common:
        return common
    if len(ours) == len(theirs) == 1:
        return [(ScoreKey(metric, *next(iter(ours.values()))), ScoreKey(metric, *next(iter(theirs.values()))))]
    raise UsageError(
        f"{metric}: no system is in both runs ({', '.join(ours) or 'none'}; {', '.join(theirs) or 'none'}): "
        "name one of each with --system A --system B"
    )


class _Match(NamedTuple):
    """A system on each side, and the tables of their scores on the same items."""

    first: Side
    second: Side
    keys: tuple[ScoreKey, ScoreKey]
    tables: tuple[ItemTable, ItemTable]

    @property
    def scale(self) -> Scale:
        return scales_of(self.second.record)[self.keys[1].metric]

    def part(self, ids: Sequence[str], clusters: Mapping[str, str] | None) -> _Match:
        first, second = self.tables
        return self._replace(tables=(first.part(ids, clusters), second.part(ids, clusters)))

    def by_id(self) -> tuple[dict[str, float], dict[str, float]]:
        first, second = self.tables
        return first.by_id(), second.by_id()


def _results(match: _Match, shared: Sequence[str], options: CompareOptions, notes: list[str]) -> list[Compared]:
    """The metric's comparison over all the shared items, then by group."""
    record, metric = match.second.record, match.keys[0].metric
    samples = [match.second.samples[one] for one in shared]
    labels = clusters_of(record, samples)
    match = match.part(shared, labels)
    results = [_compared(match, options).model_copy(update={"movers": tuple(_movers(match, options.movers))})]
    grouped = groups(samples, options.by) if options.by is not None else {}
    if set(grouped) == {NONE} and options.by != CompareOptions.by:
        notes.append(f"{metric}: no sample has the field {options.by!r}: there are no groups")
    if len(grouped) > 1:
        inner = labels if record.part("statistics").get("cluster") != options.by else None
        parts = {label: match.part(ids, inner) for label, ids in grouped.items()}
        results += [_compared(part, options, label) for label, part in parts.items() if any(map(len, part.tables))]
    return results


def _compared(match: _Match, options: CompareOptions, group: str | None = None) -> Compared:
    from judgekit.statistics.estimates import IntervalTerms, Subject, difference
    from judgekit.statistics.methods import RESAMPLES

    (_, against, _), (metric, system, _) = match.keys
    scale = match.scale
    try:
        estimate = difference(
            match.tables[1],
            match.tables[0],
            Subject(metric, system, scale),
            against=against,
            terms=IntervalTerms(options.confidence, resamples=options.resamples or RESAMPLES),
        )
    except ValueError as error:
        raise DataError(f"rows.jsonl: {error}") from None
    a, b = match.by_id()
    better, worse, equal = moved(
        [(b[one] - a[one]) * (1 if scale.higher_is_better else -1) for one in b if one in a], scale
    )
    first, second = (system_key(key.system, key.opponent) for key in match.keys)
    return Compared(
        metric=metric,
        group=group,
        first=first,
        second=second,
        first_mean=_mean([a[one] for one in a if one in b]),
        second_mean=_mean([b[one] for one in b if one in a]),
        difference=estimate.model_copy(update={"group": group}),
        better=better,
        worse=worse,
        equal=equal,
        detectable=_detectable(estimate, scale),
    )


def _detectable(estimate: Estimate, scale: Scale) -> float | None:
    """The least true difference whose interval would leave out 0 with a power of 80 %."""
    from judgekit.statistics.gating import Design
    from judgekit.statistics.power import minimum_detectable

    n = estimate.n_items if estimate.n_clusters is None else estimate.n_clusters
    if estimate.interval.low is None or estimate.se is None or n < 2:
        return None
    design = Design(n, scale.high - scale.low, (1 - estimate.confidence) / 2, clustered=estimate.n_clusters is not None)
    return minimum_detectable(estimate.se * n**0.5, design)


def _movers(match: _Match, most: int) -> list[Mover]:
    """The items that moved furthest, `most` of them for the worse and as many for the better."""
    a, b = match.by_id()
    changes = {one: b[one] - a[one] for one in b if one in a and b[one] != a[one]}
    sign = 1 if match.scale.higher_is_better else -1
    by_change = sorted(changes, key=lambda one: (sign * changes[one], one))
    worse = [one for one in by_change if sign * changes[one] < 0][:most]
    better = [one for one in reversed(by_change) if sign * changes[one] > 0][:most]
    named, samples = {*worse, *better}, match.second.samples
    first, second = (
        _responses(side, key.system, named) for side, key in zip((match.first, match.second), match.keys, strict=True)
    )
    return [
        Mover(
            sample_id=one,
            first=a[one],
            second=b[one],
            change=changes[one],
            instruction=_asked(samples[one]),
            reference=samples[one].reference,
            first_response=first.get(one),
            second_response=second.get(one),
        )
        for one in (*worse, *better)
    ]


def _asked(sample: Sample) -> str:
    return f"{sample.instruction}\n{sample.input}" if sample.input else sample.instruction


def _responses(side: Side, system: str, wanted: set[str]) -> dict[str, str]:
    answers: dict[str, str] = {}
    for response in side.view.responses if wanted else ():
        if response.system == system and response.sample_id in wanted and response.sample_id not in answers:
            answers[response.sample_id] = "\n".join(response.answers)
    return answers


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if len(values) else None
