"""Estimates of a pairwise metric that are no means of a series, from its tables of item values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from judgekit.records import Scale, VerdictStatus
from judgekit.results import Estimate, Interval, Statistic
from judgekit.statistics.bootstrap import generator
from judgekit.statistics.bradley_terry import standings
from judgekit.statistics.items import Floats, Indices, ItemTable
from judgekit.statistics.length import length_adjusted
from judgekit.statistics.pairwise import outcomes, position_test
from judgekit.statistics.refit import METHOD

LENGTH_ADJUSTED = Scale(label="length-adjusted win rate", low=0, high=1, unit="%")
BRADLEY_TERRY = Scale(label="Bradley–Terry win rate", low=0, high=1, unit="%")
Pair = tuple[str, str]
"""(system, opponent)"""


@dataclass(frozen=True)
class Setting:
    """What all estimates of a metric have in common."""

    metric: str
    confidence: float
    seed: int
    resamples: int


def length_estimate(setting: Setting, pair: Pair, preferences: ItemTable, longer: ItemTable) -> Estimate:
    """The length-adjusted win rate of one pair (length.py), over the items with a verdict and both lengths."""
    items, columns = _by_item([preferences, longer])
    whole = np.asarray(~np.isnan(columns).any(axis=1))
    labels, refused = _labels(preferences, [item for item, keep in zip(items, whole, strict=True) if keep])
    rng = generator(setting.seed, setting.metric, pair[0], "length_adjusted", pair[1])
    found = length_adjusted(
        columns[whole, 0],
        columns[whole, 1],
        confidence=setting.confidence,
        rng=rng,
        resamples=0 if refused else setting.resamples,
        labels=labels,
    )
    interval = _refused(refused) if refused and found.value is not None else found.interval
    return _estimate(setting, pair, "length_adjusted", LENGTH_ADJUSTED, found.value, found.se, interval,
                     int(whole.sum()), labels, [preferences])  # fmt: skip


def bradley_terry_estimates(
    setting: Setting, systems: Sequence[str], anchor: str, tables: Mapping[Pair, ItemTable]
) -> list[Estimate]:
    """Every system's probability to win against the anchor (bradley_terry.py), from the preferences of all pairs."""
    pairs = list(tables)
    items, preferences = _by_item(list(tables.values()))
    some = np.asarray(~np.isnan(preferences).all(axis=1))
    kept = [item for item, keep in zip(items, some, strict=True) if keep]
    labels, refused = _labels(tables[pairs[0]], kept)
    found = standings(
        systems,
        pairs,
        preferences[some],
        anchor,
        confidence=setting.confidence,
        rng=generator(setting.seed, setting.metric, "bradley_terry", anchor),
        resamples=0 if refused else setting.resamples,
        labels=labels,
    )
    return [
        _estimate(setting, (one.system, anchor), "bradley_terry", BRADLEY_TERRY, one.value, one.se,
                  _refused(refused) if refused and one.value is not None else one.interval,
                  len(kept), labels, [table for pair, table in tables.items() if one.system in pair])
        for one in found
    ]  # fmt: skip


def outcome_statistics(metric: str, pair: Pair, preferences: ItemTable) -> list[Statistic]:
    """Items won, tied and lost."""
    counted = outcomes(preferences)
    return [
        _statistic(metric, pair, name, f"items {label}", value, "by the mean of the item's preferences")
        for name, label, value in (
            ("wins", "won", counted.wins),
            ("ties", "tied", counted.ties),
            ("losses", "lost", counted.losses),
        )
    ]


def position_statistics(metric: str, pair: Pair, first: ItemTable, consistent: ItemTable) -> list[Statistic]:
    """The sign test of "first wins" among the items whose verdict changed with the order."""
    test = position_test(first, consistent)
    changed = "of the items whose verdict changed with the order"
    why = "two-sided and exact, " + changed if test.p is not None else "no verdict changed with the order"
    return [
        _statistic(metric, pair, "changed", "verdict changed with the order", test.changed, "items"),
        _statistic(metric, pair, "first_won", "the first position won", test.first, changed),
        _statistic(metric, pair, "sign_test", "p of the sign test of positions", test.p, why),
    ]


def _statistic(metric: str, pair: Pair, name: str, label: str, value: float | None, note: str) -> Statistic:
    return Statistic(metric=metric, system=pair[0], opponent=pair[1], name=name, label=label, value=value, note=note)


def _by_item(tables: Sequence[ItemTable]) -> tuple[list[str], Floats]:
    """(sample ids, (items × tables) item means), NaN where a table has none."""
    items = sorted({item for table in tables for item in table.ids})
    place = {item: number for number, item in enumerate(items)}
    values = np.full((len(items), len(tables)), np.nan)
    for column, table in enumerate(tables):
        ids, (present, means) = table.ids, table.means()
        values[[place[ids[index]] for index in present], column] = means
    return items, values


def _labels(table: ItemTable, items: Sequence[str]) -> tuple[Indices | None, str]:
    """The cluster number of each item, or why there is none; (None, "") where items are independent."""
    if table.clusters is None:
        return None, ""
    names = [table.clusters.get(item) for item in items]
    unlabelled = sum(name is None for name in names)
    if unlabelled:
        return None, f"{unlabelled} of {len(names)} items have no cluster"
    return np.unique(np.asarray(names, dtype=str), return_inverse=True)[1], ""


def _refused(why: str) -> Interval:
    return Interval(method=METHOD, low=None, high=None, note=why)


def _estimate(
    setting: Setting,
    pair: Pair,
    name: str,
    scale: Scale,
    value: float | None,
    error: float | None,
    interval: Interval,
    items: int,
    labels: Indices | None,
    tables: Sequence[ItemTable],
) -> Estimate:
    counts: Counter[VerdictStatus] = Counter()
    for table in tables:
        counts.update(table.counts)
    return Estimate(
        metric=setting.metric,
        system=pair[0],
        opponent=pair[1],
        series=name,
        scale=scale,
        value=value,
        se=error,
        confidence=setting.confidence,
        interval=interval,
        n_items=items,
        n_clusters=None if labels is None else len(np.unique(labels)),
        repeats=max(max(table.repeats for table in tables), 1),
        counts=dict(counts),
    )
