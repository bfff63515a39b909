"""Numbers of a pairwise metric that are no means of its rows, from its tables of item values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

import judgekit
from judgekit.statistics import (
    REFITTED,
    Estimate,
    Indices,
    Interval,
    ItemTable,
    Pair,
    Range,
    RefitTerms,
    Subject,
    Tables,
    cluster_labels,
    generator,
    item_matrix,
    no_interval,
)
from judgekit_metrics.bradley_terry import standings
from judgekit_metrics.by_pair import by_pair
from judgekit_metrics.length_adjusted import length_adjusted
from judgekit_metrics.outcomes import outcome_statistics, position_statistics
from judgekit_metrics.preferences import LONGER

LENGTH_ADJUSTED = judgekit.Scale(label="length-adjusted win rate", low=0, high=1, unit="%")
BRADLEY_TERRY = judgekit.Scale(label="Bradley–Terry win rate", low=0, high=1, unit="%")
SHARES = Range(0.0, 1.0)


def pairwise_aggregate(tables: Tables, terms: judgekit.AggregateTerms) -> judgekit.Aggregate:
    """The means; of each pair its counts, the sign test of positions and the length-adjusted win rate; and of three or
    more systems their strengths. What is said of all systems stands last."""
    means = terms.means(tables).estimates
    if terms.group is not None:
        return judgekit.Aggregate(means)
    adjusted: list[Estimate] = []
    statistics = []
    for pair, preferences in tables["value"].items():
        statistics += outcome_statistics(terms.metric, pair, preferences)
        first, consistent, longer = (tables.get(name, {}).get(pair) for name in ("first", "consistent", LONGER))
        if first is not None and consistent is not None:
            statistics += position_statistics(terms.metric, pair, first, consistent)
        if longer is not None:
            adjusted.append(length_estimate(pair, preferences, longer, terms))
    compared = [system for system in terms.systems if any(system in pair for pair in tables["value"])]
    several = len({opponent for _, opponent in tables["value"]}) > 1
    strengths = bradley_terry_estimates(compared, tables, terms) if several and len(compared) > 2 else []
    return judgekit.Aggregate([*by_pair([*means, *adjusted]), *strengths], statistics)


def length_estimate(pair: Pair, preferences: ItemTable, longer: ItemTable, terms: judgekit.AggregateTerms) -> Estimate:
    """The length-adjusted win rate of one pair, over the items with a verdict and both lengths."""
    items, columns = item_matrix([preferences, longer])
    whole = np.asarray(~np.isnan(columns).any(axis=1))
    units = _Units.of(preferences, [item for item, keep in zip(items, whole, strict=True) if keep])
    rng = generator(terms.seed, terms.metric, pair[0], "length_adjusted", pair[1])
    fitted = length_adjusted(columns[whole, 0], columns[whole, 1], units.terms(terms), rng)
    of = Subject(terms.metric, pair[0], LENGTH_ADJUSTED, "length_adjusted", pair[1])
    estimate = units.estimate(of, terms, [preferences])
    interval = units.interval(fitted.value, fitted.interval)
    return estimate.model_copy(update={"value": fitted.value, "se": fitted.se, "interval": interval})


def bradley_terry_estimates(systems: Sequence[str], tables: Tables, terms: judgekit.AggregateTerms) -> list[Estimate]:
    """Every system's probability to win against the anchor, from the preferences of all pairs."""
    by_pair = tables["value"]
    items, preferences = item_matrix(list(by_pair.values()))
    some = np.asarray(~np.isnan(preferences).all(axis=1))
    kept = [item for item, keep in zip(items, some, strict=True) if keep]
    units = _Units.of(next(iter(by_pair.values())), kept)
    rng = generator(terms.seed, terms.metric, "bradley_terry", terms.anchor)
    ranked = standings(systems, list(by_pair), preferences[some], terms.anchor, units.terms(terms), rng)
    estimates = []
    for one in ranked:
        of = Subject(terms.metric, one.system, BRADLEY_TERRY, "bradley_terry", terms.anchor)
        estimate = units.estimate(of, terms, [table for pair, table in by_pair.items() if one.system in pair])
        interval = units.interval(one.value, one.interval)
        estimates.append(estimate.model_copy(update={"value": one.value, "se": one.se, "interval": interval}))
    return estimates


@dataclass(frozen=True)
class _Units:
    """What is resampled: so many items, or clusters of them. `refused` says why clusters give no interval."""

    items: int
    labels: Indices | None
    refused: str

    @classmethod
    def of(cls, table: ItemTable, items: Sequence[str]) -> _Units:
        return cls(len(items), *cluster_labels(table.clusters, items))

    def terms(self, terms: judgekit.AggregateTerms) -> RefitTerms:
        return RefitTerms(terms.confidence, SHARES, 0 if self.refused else terms.resamples, self.labels)

    def interval(self, value: float | None, interval: Interval) -> Interval:
        return no_interval(REFITTED, self.refused) if self.refused and value is not None else interval

    def estimate(self, of: Subject, terms: judgekit.AggregateTerms, tables: Sequence[ItemTable]) -> Estimate:
        """The estimate, as yet without its number."""
        counts: Counter[judgekit.statistics.VerdictStatus] = Counter()
        for table in tables:
            counts.update(table.counts)
        return of.estimate(
            None,
            no_interval(REFITTED, ""),
            confidence=terms.confidence,
            n_items=self.items,
            n_clusters=None if self.labels is None else len(np.unique(self.labels)),
            repeats=max(max(table.repeats for table in tables), 1),
            counts=dict(counts),
        )
