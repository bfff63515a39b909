"""Estimates: an `ItemTable` in, means with their intervals out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from judgekit.records import Scale
from judgekit.results import Estimate, Interval
from judgekit.statistics.betting import betting
from judgekit.statistics.bootstrap import Kind, bootstrap, generator
from judgekit.statistics.clusters import cluster_t, cluster_values, labels_of, too_few_clusters
from judgekit.statistics.intervals import (
    CARRIERS,
    Range,
    carriers,
    choose,
    clopper_pearson,
    no_interval,
    plus_two_t,
    standard_error,
    t_interval,
    trials,
    wilson,
)
from judgekit.statistics.items import Floats, Indices, ItemTable
from judgekit.statistics.methods import METHODS, RESAMPLES, Method
from judgekit.statistics.paired import paired_interval, pairs
from judgekit.statistics.refit import REFITTED, Refit, RefitTerms, refitted
from judgekit.statistics.repeats import rerun_interval

_NOISE = 1e-9  # of the scale's range
NOTHING = no_interval("none", "no scored item")
NOT_TO_BE_USED = "not to be used: a few items carry the whole spread"


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
class Subject:
    """What an estimate is of. `scale` and `series` are those of its values; `opponent` is the other system of a win
    rate. A `share` of judgements, a tie being a half, has Wilson's interval under `auto`. Further `names` fix the
    bootstrap, beside those of metric, system and series."""

    metric: str
    system: str
    scale: Scale
    series: str = "value"
    opponent: str | None = None
    share: bool = False
    names: tuple[str, ...] = ()

    @property
    def range(self) -> Range:
        return Range(self.scale.low, self.scale.high)

    def estimate(self, value: float | None, interval: Interval, **figures: Any) -> Estimate:
        """The estimate that says this value of it."""
        return Estimate(
            metric=self.metric,
            system=self.system,
            opponent=self.opponent,
            series=self.series,
            scale=self.scale,
            value=value,
            interval=interval,
            **figures,
        )


@dataclass(frozen=True)
class IntervalTerms:
    """How intervals are made; `seed` fixes the bootstrap."""

    confidence: float = 0.95
    method: Method = "auto"
    resamples: int = RESAMPLES
    seed: int = 0


@dataclass(frozen=True)
class _Maker:
    """Makes the intervals of one estimate, each from the same seed."""

    scale: Range
    terms: IntervalTerms
    names: tuple[str, ...]

    def bootstrap(self, sample: _Sample, kind: Kind = "bootstrap") -> Interval:
        if sample.refused:
            return no_interval(kind, sample.refused)
        rng = generator(self.terms.seed, *self.names)
        return bootstrap(sample.units, self.terms.confidence, self.scale, rng, kind, self.terms.resamples)

    def beside(self, sample: _Sample) -> Interval:
        """The bootstrap that is printed beside another headline, with a note where it means nothing."""
        if not len(sample.units):
            return NOTHING
        drawn = self.bootstrap(sample)
        few = drawn.low is not None and carriers(sample.units, self.scale) < min(CARRIERS, len(sample.units) / 4)
        return drawn.model_copy(update={"note": NOT_TO_BE_USED}) if few else drawn

    def clusters(self, sample: _Sample, method: Method) -> Interval:
        if method in ("bootstrap", "bca", "percentile"):
            return self.bootstrap(sample, method)
        if method not in ("auto", "t"):
            return no_interval(method, f"{method} takes the items for independent: with clusters use auto or bootstrap")
        if sample.refused:
            return no_interval("cluster_t", sample.refused)
        return cluster_t(sample.units, self.terms.confidence, self.scale)

    def items(self, sample: _Sample, rows: Floats, repeats: int, share: bool = False) -> Interval:
        """The interval over independent items whose means came from the values `rows`; a `share` is one of two
        judgements a row, whatever values lie between."""
        x, method, confidence = sample.means, self.terms.method, self.terms.confidence
        if method == "auto":
            method = choose(x, rows, self.scale, share)
        if method in ("bootstrap", "bca", "percentile"):
            return self.bootstrap(sample, method)
        if method == "wilson":
            at_most = 2 * repeats if share else trials(rows, repeats, self.scale) or 1
            return wilson(x, confidence, self.scale, at_most)
        if method == "betting":
            return betting(x, confidence, self.scale, generator(self.terms.seed, *self.names))
        closed = {"t": t_interval, "plus_two_t": plus_two_t, "clopper_pearson": clopper_pearson}
        return closed[method](x, confidence, self.scale)


def estimate(table: ItemTable, of: Subject, terms: IntervalTerms | None = None) -> list[Estimate]:
    """The mean over items with its interval for new items and, with repeats, the one for a rerun on these items.

    Items without a scored row are left out of `value` and counted; `bounds` has them at the ends of the scale.
    ValueError for values off the subject's scale, for an unknown method, and for a row that was added twice.
    """
    terms = terms or IntervalTerms()
    _check(terms)
    scale, rows = of.range, table.values()
    scale.check(rows)
    sample = _Sample.of(table, *table.means())
    make = _Maker(scale, terms, (of.metric, of.system, of.series, *of.names))
    clustered = table.clusters is not None
    if not len(sample.means):
        interval = NOTHING
    elif clustered:
        interval = make.clusters(sample, terms.method)
    else:
        interval = make.items(sample, rows, table.repeats, of.share)
    new_items = of.estimate(
        _mean(sample.means, scale),
        interval,
        se=sample.error,
        confidence=terms.confidence,
        bootstrap=interval if interval.method == "bootstrap" else make.beside(sample),
        bounds=_bounds(table, scale),
        n_items=len(sample.means),
        n_clusters=sample.clusters,
        repeats=max(table.repeats, 1),
        counts=dict(table.counts),
    )
    if table.repeats <= 1:
        return [new_items]
    error, interval = rerun_interval(table, terms.confidence, scale)
    rerun = {"estimand": "rerun on these items", "se": error, "interval": interval, "bootstrap": None}
    return [new_items, new_items.model_copy(update=rerun)]


def difference(
    table: ItemTable, other: ItemTable, of: Subject, against: str, terms: IntervalTerms | None = None
) -> Estimate:
    """The mean of (the subject's system − `against`) over the items that both have scored, matched by id.

    The estimate's scale is that of the differences, − range … + range; `counts` adds both systems' rows. Clusters
    come from the first table; the method is always the paired one. ValueError as in `estimate`.
    """
    terms = replace(terms or IntervalTerms(), method="auto")
    _check(terms)
    scale = of.range
    scale.check(table.values())
    scale.check(other.values())
    paired = pairs(table, other, scale)
    whole = Range(-scale.range, scale.range)
    sample = _Sample.of(table, paired.index, paired.difference)
    make = _Maker(whole, terms, (of.metric, of.system, of.series, against))
    clustered = table.clusters is not None
    counts = Counter(table.counts)
    counts.update(other.counts)
    return Estimate(
        metric=of.metric,
        system=of.system,
        series=of.series,
        against=against,
        scale=of.scale.model_copy(update={"low": whole.low, "high": whole.high}),
        value=_mean(paired.difference, whole),
        se=sample.error,
        confidence=terms.confidence,
        interval=make.clusters(sample, "auto") if clustered else paired_interval(sample.means, terms.confidence, scale),
        bootstrap=make.beside(sample),
        bounds=paired.bounds,
        n_items=len(paired.difference),
        n_clusters=sample.clusters,
        repeats=max(min(table.repeats, other.repeats), 1),
        counts=dict(counts),
    )


def resampled(table: ItemTable, number: Callable[[Floats], float], of: Subject, terms: IntervalTerms) -> Estimate:
    """Any number of the item means (a median, say), with the percentile interval of resampled items or clusters."""
    means = table.means()[1]

    def fit(weights: Floats) -> Floats:
        return np.asarray([[number(np.repeat(means, drawn.astype(np.intp)))] for drawn in weights])

    value = float(number(means)) if len(means) else None
    return refitted_estimate(table, fit, value, of, of.range, terms)


def refitted_estimate(
    table: ItemTable, fit: Refit, value: float | None, of: Subject, scale: Range, terms: IntervalTerms
) -> Estimate:
    """The estimate of one fitted number on `scale`, made anew on resamples of the table's scored items."""
    present = table.means()[0]
    labels, refused = labels_of(table, present)
    error, interval = None, no_interval(REFITTED, refused or "no scored item")
    if len(present) and not refused:
        rng = generator(terms.seed, of.metric, of.system, of.series, *of.names)
        how = RefitTerms(terms.confidence, scale, terms.resamples, labels)
        ((error, interval),) = refitted(fit, len(present), how, rng)
    return of.estimate(
        value,
        interval,
        se=error,
        confidence=terms.confidence,
        n_items=len(present),
        n_clusters=None if labels is None or not len(labels) else int(labels.max()) + 1,
        repeats=max(table.repeats, 1),
        counts=dict(table.counts),
    )


def is_item_mean(whole: Estimate, table: ItemTable) -> bool:
    """Whether the estimate is the mean of the table's items, so that two of its kind can be paired item by item."""
    if not whole.is_mean:
        return False
    means = table.means()[1]
    if whole.value is None or not len(means):
        return whole.value is None and not len(means)
    return abs(float(np.mean(means)) - whole.value) <= _NOISE * (whole.scale.high - whole.scale.low)


def _check(terms: IntervalTerms) -> None:
    if terms.method not in METHODS:
        raise ValueError(f"unknown interval method {terms.method!r}: one of {', '.join(METHODS)}")
    if not 0 < terms.confidence < 1:
        raise ValueError(f"confidence is a probability between 0 and 1, not {terms.confidence}")


def _mean(x: Floats, scale: Range) -> float | None:
    """The mean, kept on the scale against float noise; None of nothing."""
    return min(max(float(np.mean(x)), scale.low), scale.high) if len(x) else None


def _bounds(table: ItemTable, scale: Range) -> tuple[float, float] | None:
    if not len(table):
        return None
    return float(np.mean(table.means(scale.low)[1])), float(np.mean(table.means(scale.high)[1]))
