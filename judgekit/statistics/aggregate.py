"""Aggregates: what a metric makes of the values of its items, and the terms on which it does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from judgekit.records import Sample, Scale
from judgekit.results import Estimate, Statistic
from judgekit.statistics.estimates import IntervalTerms, Subject, estimate
from judgekit.statistics.items import ItemTable

Pair = tuple[str, str]
"""(system, opponent); the opponent is "" where a metric looks at one system at a time."""
Tables = Mapping[str, Mapping[Pair, ItemTable]]
"""Series → (system, opponent) → table of item values: pairs as their rows came, series in the metric's own order."""


@dataclass(frozen=True)
class Aggregate:
    """What a metric says of its items: estimates, in the order in which they are shown, and statistics."""

    estimates: Sequence[Estimate]
    statistics: Sequence[Statistic] = ()


@dataclass(frozen=True, kw_only=True)
class AggregateTerms(IntervalTerms):
    """What `aggregate` is given besides its tables, and how it is to make intervals.

    `metric` is the name that its estimates bear, `series` are the scales of its rows' series, and `shares` those of
    which Wilson's interval is `auto`. `systems` are in the config's order; `anchor` is the one that others are compared
    with. `clusters`, of sample ids, are those of the tables; None: items are independent. `group` is the part of a
    breakdown that this is, None for all of the samples: of a part, statistics are not kept.
    """

    metric: str
    series: Mapping[str, Scale]
    samples: Sequence[Sample]
    systems: Sequence[str]
    anchor: str
    shares: frozenset[str] = frozenset()
    clusters: Mapping[str, str] | None = None
    group: str | None = None

    def means(self, tables: Tables) -> Aggregate:
        """The mean of every series with its intervals, pair by pair."""
        pairs = dict.fromkeys(pair for by_pair in tables.values() for pair in by_pair)
        several = len({opponent for _, opponent in pairs}) > 1
        return Aggregate([one for pair in pairs for one in self._means_of(pair, tables, several)])

    def _means_of(self, pair: Pair, tables: Tables, several: bool) -> list[Estimate]:
        estimates: list[Estimate] = []
        system, opponent = pair
        for name, scale in self.series.items():
            table = tables.get(name, {}).get(pair)
            if table is None or (name != "value" and not table.counts["scored"]):
                continue  # a series of another mode of the metric: only rows without a score are in it
            names = (opponent,) if several else ()
            of = Subject(self.metric, system, scale, name, opponent or None, share=name in self.shares, names=names)
            estimates += estimate(table, of, self)
        return estimates
