"""Numbers of a pairwise metric that are no means of its rows, from its tables of item values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

import judgekit
from judgekit.statistics import (
    REFITTED,
    Estimate,
    Floats,
    Indices,
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
    refitted,
)
from judgekit_metrics.annotators import annotators_estimate
from judgekit_metrics.bradley_terry import standings
from judgekit_metrics.by_pair import by_pair
from judgekit_metrics.length_adjusted import length_adjusted
from judgekit_metrics.newton import Fitted
from judgekit_metrics.outcomes import outcome_statistics, position_statistics
from judgekit_metrics.preferences import ANNOTATOR, LONGER, UNSCALED, WEIGHT, WEIGHTED
from judgekit_metrics.style import STYLE
from judgekit_metrics.style_controlled import style_controlled

LENGTH_ADJUSTED = judgekit.Scale(label="length-adjusted win rate", low=0, high=1, unit="%")
STYLE_CONTROLLED = judgekit.Scale(label="style-controlled win rate", low=0, high=1, unit="%")
WEIGHTED_RATE = judgekit.Scale(label="win rate, strong verdicts weighted", low=0, high=1, unit="%")
BRADLEY_TERRY = judgekit.Scale(label="Bradley–Terry win rate", low=0, high=1, unit="%")
SHARES = Range(0.0, 1.0)


def pairwise_aggregate(tables: Tables, terms: judgekit.AggregateTerms) -> judgekit.Aggregate:
    """The means; of each pair its counts, the sign test of positions, the weighted win rate and those of equal length
    and style; and of three or more systems their strengths. What is said of all systems stands last."""
    means = terms.means(tables).estimates
    if terms.group is not None:
        return judgekit.Aggregate(means)
    adjusted: list[Estimate] = []
    statistics = []
    for pair, preferences in tables["value"].items():
        statistics += outcome_statistics(terms.metric, pair, preferences)
        first, consistent = (tables.get(name, {}).get(pair) for name in ("first", "consistent"))
        if first is not None and consistent is not None:
            statistics += position_statistics(terms.metric, pair, first, consistent)
        looks = {name: tables.get(name, {}).get(pair) for name in UNSCALED}
        known = {name: table for name, table in looks.items() if table is not None}
        adjusted += fitted_estimates(pair, preferences, known, terms)
        if ANNOTATOR in known:
            adjusted.append(annotators_estimate(pair, preferences, known[ANNOTATOR], terms))
    compared = [system for system in terms.systems if any(system in pair for pair in tables["value"])]
    several = len({opponent for _, opponent in tables["value"]}) > 1
    strengths = bradley_terry_estimates(compared, tables, terms) if several and len(compared) > 2 else []
    return judgekit.Aggregate([*by_pair([*means, *adjusted]), *strengths], statistics)


Fit = Callable[[Mapping[str, Floats], RefitTerms, np.random.Generator], Fitted]


def fitted_estimates(
    pair: Pair, preferences: ItemTable, looks: Mapping[str, ItemTable], terms: judgekit.AggregateTerms
) -> list[Estimate]:
    """The win rates of one pair that are fitted: with strong verdicts weighted, at equal length, at equal style."""
    wanted: list[tuple[judgekit.Scale, str, tuple[str, ...], Fit]] = [
        (WEIGHTED_RATE, "weighted", (WEIGHT, WEIGHTED), _weighted),
        (LENGTH_ADJUSTED, "length_adjusted", (LONGER,), _at_equal_length),
        (STYLE_CONTROLLED, "style_controlled", STYLE, _at_equal_style),
    ]
    estimates = []
    for scale, series, needed, fit in wanted:
        if not set(needed) <= set(looks):
            continue
        used = {"value": preferences, **{name: looks[name] for name in (*needed, WEIGHT, WEIGHTED) if name in looks}}
        items, columns = item_matrix(list(used.values()))
        whole = np.asarray(~np.isnan(columns).any(axis=1))
        units = _Units.of(preferences, [item for item, keep in zip(items, whole, strict=True) if keep])
        rng = generator(terms.seed, terms.metric, pair[0], series, pair[1])
        fitted = fit(dict(zip(used, columns[whole].T, strict=True)), units.terms(terms), rng)
        estimates.append(
            units.estimate(Subject(terms.metric, pair[0], scale, series, pair[1]), terms, [preferences], fitted)
        )
    return estimates


def _weighted(columns: Mapping[str, Floats], terms: RefitTerms, rng: np.random.Generator) -> Fitted:
    """Σ weight·preference / Σ weight, both sums over all verdicts: the way of Arena-Hard's leaderboard."""
    weight, won = columns[WEIGHT], columns[WEIGHTED]
    if not len(weight):
        return Fitted(None, None, no_interval(REFITTED, "no scored item"))
    ((error, interval),) = refitted(lambda drawn: (drawn @ won / (drawn @ weight))[:, None], len(won), terms, rng)
    return Fitted(float(won.sum() / weight.sum()), error, interval)


def _at_equal_length(columns: Mapping[str, Floats], terms: RefitTerms, rng: np.random.Generator) -> Fitted:
    return length_adjusted(columns["value"], columns[LONGER], terms, rng)


def _at_equal_style(columns: Mapping[str, Floats], terms: RefitTerms, rng: np.random.Generator) -> Fitted:
    features, win = np.column_stack([columns[name] for name in STYLE]), columns["value"]
    weight = columns.get(WEIGHT, np.ones(len(win)))
    win = columns[WEIGHTED] / weight if WEIGHTED in columns else win
    return style_controlled(win, weight, features, STYLE, terms, rng)


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
    for system, fitted in ranked.items():
        of = Subject(terms.metric, system, BRADLEY_TERRY, "bradley_terry", terms.anchor)
        its = [table for pair, table in by_pair.items() if system in pair]
        estimates.append(units.estimate(of, terms, its, fitted))
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

    def estimate(
        self, of: Subject, terms: judgekit.AggregateTerms, tables: Sequence[ItemTable], fitted: Fitted
    ) -> Estimate:
        counts: Counter[judgekit.statistics.VerdictStatus] = Counter()
        for table in tables:
            counts.update(table.counts)
        refused = self.refused and fitted.value is not None
        return of.estimate(
            fitted.value,
            no_interval(REFITTED, self.refused) if refused else fitted.interval,
            se=fitted.se,
            confidence=terms.confidence,
            n_items=self.items,
            n_clusters=None if self.labels is None else len(np.unique(self.labels)),
            repeats=max(max(table.repeats for table in tables), 1),
            counts=dict(counts),
        )
