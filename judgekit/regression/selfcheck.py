"""Simulations on a run's own scores: the coverage of its intervals, and how often a gate fails an unchanged system.

The run's items are taken for the whole population, and studies are drawn from them: the truth is then known. Repeats
give the noise of a rerun, from which two runs of an unchanged system are made.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple, cast

import numpy as np

from judgekit.data.groups import clusters_of
from judgekit.errors import ConfigError, DataError
from judgekit.records import Scale, ScoreKey
from judgekit.regression.baseline import scores_of, system_key
from judgekit.regression.paired_scores import SAME, Vector, paired
from judgekit.regression.rules import Reference, unknown
from judgekit.results import RunView
from judgekit.statistics.bootstrap import generator
from judgekit.statistics.estimates import IntervalTerms, Subject, estimate
from judgekit.statistics.gating import Design, bounds, fails
from judgekit.statistics.intervals import Range, on_grid
from judgekit.statistics.item_tables import item_tables, scales_of, unpaired
from judgekit.statistics.items import ItemTable
from judgekit.statistics.methods import Method

SIMULATIONS = 400
GATES = 20_000  # simulated gates; these are quick
VALUES = 2_000_000  # resampled values that coverage may take without being asked to
FEWEST = 50
RESAMPLES = 999  # of the bootstrap inside each study
CELLS = 4_000_000  # of one block of simulated gates


@dataclass(frozen=True)
class Share:
    """A simulated share and its Monte Carlo standard error, or why there is none."""

    value: float | None
    error: float | None = None
    simulations: int = 0
    note: str = ""

    @classmethod
    def of(cls, hits: int, simulations: int, note: str = "") -> Share:
        value = hits / simulations
        # Agresti and Coull's: a share of 0 or 1 is not known without error
        padded = (hits + 2) / (simulations + 4)
        return cls(value, math.sqrt(padded * (1 - padded) / (simulations + 4)), simulations, note)


@dataclass(frozen=True)
class Checked:
    """One metric of one system. `coverage` is of the run's own interval method at its `confidence`. `false_alarms` is
    how often the gate says FAIL between two runs of one system, `naive` how often "the mean dropped" does."""

    metric: str
    system: str
    n_items: int
    repeats: int
    method: str
    confidence: float
    coverage: Share
    false_alarms: Share
    naive: Share
    noise_from: str = ""

    def tree(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class SelfcheckOptions:
    """`simulations` None: as many as take seconds. `reference`: a baseline whose differences are the noise."""

    metrics: tuple[str, ...] = ()
    simulations: int | None = None
    seed: int = 0
    reference: Reference | None = None


class _Value(NamedTuple):
    """One scored row of an item."""

    repeat: int
    judge_repeat: int
    value: float


@dataclass
class _Rows:
    """A table's scored values by item, and the cluster of each item, if there are any."""

    scale: Scale
    values: list[list[_Value]] = field(default_factory=list)
    labels: list[str] | None = None
    share: bool = False  # of single judgements: Wilson's interval was the run's


def selfcheck(view: RunView, options: SelfcheckOptions) -> list[Checked]:
    """Every metric and system of the run, or the named metrics. Raises ConfigError, DataError."""
    record, scales = view.record, scales_of(view.record)
    for metric in options.metrics:
        if metric not in scales:
            raise ConfigError(unknown("metric", metric, scales))
    chosen = options.metrics or tuple(scales)
    tables, _ = item_tables(view.rows, chosen)
    if not tables:
        raise DataError(f"{record.run_id} has no rows")
    whys = unpaired(record, tables)
    tables = {place: table for place, table in tables.items() if place.metric not in whys}
    if wrong := [f"{metric} {whys[metric]}" for metric in chosen if metric in whys and (options.metrics or not tables)]:
        raise ConfigError(f"{record.run_id}: nothing to check: {'; '.join(wrong)}")
    settings, labels = record.part("statistics"), clusters_of(record, view.samples)
    rows = {place: _Rows(scales[place[0]], labels=None if labels is None else []) for place in tables}
    _gather(view, rows, labels)
    for one in record.estimates:
        place = ScoreKey(one.metric, one.system, one.opponent or "")
        if one.series == "value" and one.group is None and place in rows:
            rows[place].share |= one.interval.method.startswith("wilson")
    return [_checked(place, tables[place], rows[place], settings, options) for place in tables]


def _gather(view: RunView, rows: Mapping[ScoreKey, _Rows], labels: Mapping[str, str] | None) -> None:
    at: dict[tuple[ScoreKey, str], int] = {}
    for row in view.rows:
        place = row.place
        if place not in rows or row.value is None:
            continue
        mine = rows[place]
        number = at.setdefault((place, row.sample_id), len(mine.values))
        if number == len(mine.values):
            mine.values.append([])
            if mine.labels is not None and labels is not None:
                mine.labels.append(labels[row.sample_id])
        mine.values[number].append(_Value(row.repeat, row.judge_repeat, row.value))


def _checked(
    place: ScoreKey, table: ItemTable, rows: _Rows, settings: Mapping[str, Any], options: SelfcheckOptions
) -> Checked:
    metric, system, opponent = place
    key = system_key(system, opponent)
    method, confidence = str(settings.get("interval", "auto")), float(settings.get("confidence", 0.95))
    rng = generator(options.seed, "selfcheck", metric, key)
    used, coverage = _coverage(rows, method, confidence, options, rng)
    false_alarms, naive, source = _false_alarms(metric, key, table, rows, options, rng)
    return Checked(
        metric, key, len(rows.values), max(table.repeats, 1), used, confidence, coverage, false_alarms, naive, source
    )


# --- what the interval covers -----------------------------------------------------------------------------------------


def _coverage(
    rows: _Rows, method: str, confidence: float, options: SelfcheckOptions, rng: np.random.Generator
) -> tuple[str, Share]:
    """The method used most, and how often its interval holds the mean of the items that the studies are drawn from."""
    n = len(rows.values)
    if n < 2:
        return method, Share(None, note="one item has no interval" if n else "no scored item")
    means = np.asarray([np.mean(_means(item)) for item in rows.values])
    if float(np.ptp(means)) <= SAME * (rows.scale.high - rows.scale.low):
        return method, Share(None, note="all items have the same score: every study would be the same")
    truth = float(np.mean(means))
    units, scale = _units(rows), Range(rows.scale.low, rows.scale.high)
    every = np.asarray([one.value for item in rows.values for one in item])
    share = rows.share and not on_grid(every, scale, 2)
    simulations = options.simulations or max(FEWEST, min(SIMULATIONS, VALUES // (n * 8)))
    hits, missing, methods = 0, 0, dict[str, int]()
    for _ in range(simulations):
        labels: dict[str, str] = {}
        table = ItemTable(labels if rows.labels is not None else None)
        for copy, unit in enumerate(rng.integers(0, len(units), len(units))):
            for item in units[unit]:
                sample_id = f"{copy:06}/{item:06}"
                labels[sample_id] = str(copy)
                for one in rows.values[item]:
                    table.add(sample_id, *one)
        drawn = IntervalTerms(confidence, cast(Method, method), RESAMPLES, int(rng.integers(1 << 30)))
        made = estimate(table, Subject("m", "s", rows.scale, share=share), drawn)[0].interval
        methods[made.method] = methods.get(made.method, 0) + 1
        missing += made.low is None
        hits += made.low is not None and made.high is not None and made.low <= truth <= made.high
    note = f"{missing} studies had no interval, and count as misses" if missing else ""
    return max(methods, key=lambda name: methods[name]), Share.of(hits, simulations, note)


def _units(rows: _Rows) -> list[list[int]]:
    """Numbers of the items that are drawn together: each alone, or by cluster."""
    if rows.labels is None:
        return [[number] for number in range(len(rows.values))]
    by_label: dict[str, list[int]] = {}
    for number, label in enumerate(rows.labels):
        by_label.setdefault(label, []).append(number)
    return list(by_label.values())


def _means(item: list[_Value]) -> list[float]:
    """The mean of each generation over its judge repeats."""
    by_generation: dict[int, list[float]] = {}
    for one in item:
        by_generation.setdefault(one.repeat, []).append(one.value)
    return [float(np.mean(values)) for values in by_generation.values()]


# --- how often a gate fails by chance ---------------------------------------------------------------------------------


def _false_alarms(
    metric: str, key: str, table: ItemTable, rows: _Rows, options: SelfcheckOptions, rng: np.random.Generator
) -> tuple[Share, Share, str]:
    if rows.labels is not None:
        noise = _Noise(why="the items come in clusters, and this simulation takes them for independent: not measured")
    elif options.reference is not None:
        noise = _against_baseline(metric, key, table, rows.scale, options.reference)
    else:
        noise = _of_repeats(rows)
    if noise.why:
        return Share(None, note=noise.why), Share(None, note=noise.why), ""
    span = rows.scale.high - rows.scale.low
    alarms, drops, gates = gate_alarms(noise.items, span, options.simulations or GATES, rng)
    return Share.of(alarms, gates), Share.of(drops, gates), noise.source


@dataclass(frozen=True)
class _Noise:
    """The differences that two runs of an unchanged system could show on each item, and their source.

    `why`: the reason why they are not known."""

    items: list[Vector] = field(default_factory=list)
    source: str = ""
    why: str = ""


def _of_repeats(rows: _Rows) -> _Noise:
    noise = []
    for item in rows.values:
        means = _means(item)
        values = np.asarray(means if len(means) > 1 else [one.value for one in item])
        if len(values) > 1:
            # Two single runs differ by this much; the means of R repeats by 1/√R of it.
            apart = (values[:, None] - values[None, :])[~np.eye(len(values), dtype=bool)] / math.sqrt(len(values))
            noise.append(apart)
    if len(noise) < 2:
        return _Noise(
            why="one repeat: how much a rerun differs is not known; give another run of the same system as --baseline"
        )
    return _Noise(noise, "repeats of the same items")


def _against_baseline(metric: str, key: str, table: ItemTable, scale: Scale, reference: Reference) -> _Noise:
    """Differences between two runs of one system (the caller says that it is one), as they are."""
    sheet = reference.scores.metrics.get(metric)
    if sheet is None or key not in sheet.systems:
        return _Noise(why=f"the baseline has no {metric} of {key}")
    matched = paired(scores_of(table, scale, {}), sheet.systems[key], scale)
    if len(matched.ids) < 2:
        return _Noise(why="the run and the baseline have fewer than two items in common")
    return _Noise(
        [matched.difference[number : number + 1] for number in range(len(matched.ids))], "the run and the baseline"
    )


class Alarms(NamedTuple):
    """Counts of simulated gates: those that said FAIL, those whose mean was lower, and all."""

    fails: int
    drops: int
    gates: int


def gate_alarms(noise: list[Vector], span: float, gates: int, rng: np.random.Generator) -> Alarms:
    """Gates between two runs without a change: items are drawn anew, each with a difference drawn from its noise, of
    a random sign, so that the true change is nothing."""
    n, design = len(noise), Design(len(noise), span)
    width = max(map(len, noise))
    padded = np.stack([np.resize(item, width) for item in noise])  # np.resize repeats an item's values in turn
    sizes = np.asarray([len(item) for item in noise])
    alarms = drops = done = 0
    while done < gates:
        block = min(gates - done, max(1, CELLS // n))
        items = rng.integers(0, n, (block, n))
        picks = (rng.random((block, n)) * sizes[items]).astype(np.intp)
        changes = padded[items, picks] * rng.choice((-1.0, 1.0), (block, n))
        mean, sd = changes.mean(axis=1), changes.std(axis=1, ddof=1)
        low, high = bounds(mean, sd, design)
        alarms += int(np.sum(fails(low, high, 0.0)))
        drops += int(np.sum(mean < 0))
        done += block
    return Alarms(alarms, drops, done)
