"""The entry for the runner: an `ItemTable` in, `Estimate`s out."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from judgekit.records import Scale
from judgekit.results import Estimate, Interval
from judgekit.statistics.betting import betting
from judgekit.statistics.bootstrap import Kind, bootstrap, generator
from judgekit.statistics.clusters import cluster_t, cluster_values, labels_of, too_few_clusters
from judgekit.statistics.intervals import (
    Range,
    choose,
    clopper_pearson,
    none,
    plus_two_t,
    standard_error,
    t_interval,
    trials,
    wilson,
)
from judgekit.statistics.items import Floats, Indices, ItemTable
from judgekit.statistics.methods import METHODS, RESAMPLES, Method
from judgekit.statistics.paired import paired_interval, pairs
from judgekit.statistics.repeats import rerun_interval


@dataclass(frozen=True)
class _Sample:
    """Item means, and the units they are resampled by: the items themselves, or values of clusters of them.

    `refused` says why clusters were asked for and give no interval.
    """

    means: Floats
    units: Floats
    clusters: int | None
    refused: str

    @classmethod
    def of(cls, table: ItemTable, present: Indices, means: Floats) -> _Sample:
        labels, why = labels_of(table, present)
        if labels is None or not len(means):
            return cls(means, means, None, why)
        units = cluster_values(means, labels)
        return cls(means, units, len(units), too_few_clusters(len(units)))

    @property
    def error(self) -> float | None:
        """The standard error of the mean; None where clusters are unknown."""
        return standard_error(self.units) if self.clusters is not None or not self.refused else None


@dataclass(frozen=True)
class _Maker:
    """Makes the intervals of one estimate, each from the same seed."""

    confidence: float
    scale: Range
    resamples: int
    seed: int
    names: tuple[str, ...]

    def bootstrap(self, sample: _Sample, kind: Kind = "bootstrap") -> Interval:
        if sample.refused:
            return none(kind, sample.refused)
        rng = generator(self.seed, *self.names)
        return bootstrap(sample.units, self.confidence, self.scale, rng, kind, self.resamples)

    def clusters(self, sample: _Sample, method: Method) -> Interval:
        if method in ("bootstrap", "bca", "percentile"):
            return self.bootstrap(sample, method)
        if method not in ("auto", "t"):
            return none(method, f"{method} takes the items for independent: with clusters use auto or bootstrap")
        if sample.refused:
            return none("cluster_t", sample.refused)
        return cluster_t(sample.units, self.confidence, self.scale)

    def items(self, sample: _Sample, method: Method, rows: Floats, repeats: int, share: bool = False) -> Interval:
        """The interval over independent items whose means came from the values `rows`.

        A `share` is one of two judgements a row, whatever values lie between: its `auto` is Wilson's.
        """
        x = sample.means
        if share and method == "auto":
            return wilson(x, self.confidence, self.scale, 2 * repeats)
        if method == "auto":
            method = choose(x, rows, self.scale)
        if method in ("bootstrap", "bca", "percentile"):
            return self.bootstrap(sample, method)
        if method == "wilson":
            return wilson(x, self.confidence, self.scale, trials(rows, repeats, self.scale) or 1)
        if method == "betting":
            return betting(x, self.confidence, self.scale, generator(self.seed, *self.names))
        closed = {"t": t_interval, "plus_two_t": plus_two_t, "clopper_pearson": clopper_pearson}
        return closed[method](x, self.confidence, self.scale)


def estimate(
    table: ItemTable,
    *,
    metric: str,
    system: str,
    series: Scale,
    series_name: str = "value",
    confidence: float = 0.95,
    method: Method = "auto",
    seed: int = 0,
    resamples: int = RESAMPLES,
    opponent: str | None = None,
    share: bool = False,
    names: tuple[str, ...] = (),
) -> list[Estimate]:
    """The mean over items with its interval for new items and, with repeats, the one for a rerun on these items.

    Items without a scored row are left out of `value` and counted; `bounds` has them at the ends of the scale.
    `seed`, the names of metric, system and series, and further `names` fix the bootstrap. `opponent` is the other
    system of a win rate. A `share` of judgements, a tie being a half, has Wilson's interval under `auto`. ValueError
    for values off the scale of `series`, for an unknown method, and for a row that was added twice.
    """
    _check(method, confidence)
    scale = Range(series.low, series.high)
    rows = table.values()
    scale.check(rows)
    sample = _Sample.of(table, *table.means())
    make = _Maker(confidence, scale, resamples, seed, (metric, system, series_name, *names))
    clustered = table.clusters is not None
    interval = make.clusters(sample, method) if clustered else make.items(sample, method, rows, table.repeats, share)
    new_items = Estimate(
        metric=metric,
        system=system,
        opponent=opponent,
        series=series_name,
        scale=series,
        value=_mean(sample.means, scale),
        se=sample.error,
        confidence=confidence,
        interval=interval,
        bootstrap=interval if interval.method == "bootstrap" else make.bootstrap(sample),
        bounds=_bounds(table, scale),
        n_items=len(sample.means),
        n_clusters=sample.clusters,
        repeats=max(table.repeats, 1),
        counts=dict(table.counts),
    )
    if table.repeats <= 1:
        return [new_items]
    error, interval = rerun_interval(table, confidence, scale)
    rerun = {"estimand": "rerun on these items", "se": error, "interval": interval, "bootstrap": None}
    return [new_items, new_items.model_copy(update=rerun)]


def difference(
    table: ItemTable,
    other: ItemTable,
    *,
    metric: str,
    system: str,
    against: str,
    series: Scale,
    series_name: str = "value",
    confidence: float = 0.95,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Estimate:
    """The mean of (system − against) over the items that both have scored, matched by id.

    The estimate's scale is that of the differences, − range … + range; `counts` adds both systems' rows. Clusters
    come from the first table. ValueError as in `estimate`.
    """
    _check("auto", confidence)
    scale = Range(series.low, series.high)
    scale.check(table.values())
    scale.check(other.values())
    paired = pairs(table, other, scale)
    whole = Range(-scale.range, scale.range)
    sample = _Sample.of(table, paired.index, paired.difference)
    make = _Maker(confidence, whole, resamples, seed, (metric, system, series_name, against))
    clustered = table.clusters is not None
    counts = Counter(table.counts)
    counts.update(other.counts)
    return Estimate(
        metric=metric,
        system=system,
        series=series_name,
        against=against,
        scale=series.model_copy(update={"low": whole.low, "high": whole.high}),
        value=_mean(paired.difference, whole),
        se=sample.error,
        confidence=confidence,
        interval=make.clusters(sample, "auto") if clustered else paired_interval(sample.means, confidence, scale),
        bootstrap=make.bootstrap(sample),
        bounds=paired.bounds,
        n_items=len(paired.difference),
        n_clusters=sample.clusters,
        repeats=max(min(table.repeats, other.repeats), 1),
        counts=dict(counts),
    )


def _check(method: str, confidence: float) -> None:
    if method not in METHODS:
        raise ValueError(f"unknown interval method {method!r}: one of {', '.join(METHODS)}")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is a probability between 0 and 1, not {confidence}")


def _mean(x: Floats, scale: Range) -> float | None:
    """The mean, kept on the scale against float noise; None of nothing."""
    return min(max(float(np.mean(x)), scale.low), scale.high) if len(x) else None


def _bounds(table: ItemTable, scale: Range) -> tuple[float, float] | None:
    if not len(table):
        return None
    return float(np.mean(table.means(scale.low)[1])), float(np.mean(table.means(scale.high)[1]))
