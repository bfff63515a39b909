"""The win rate for new items and new annotators: a vote is one item's and one person's, and both are drawn.

The interval of the headline is of new items, judged by these same people. Where few people gave many votes each, what
one of them likes moves many items at once, and only an interval over both says so.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.special import stdtrit

import judgekit
from judgekit.statistics import (
    Estimate,
    Floats,
    Indices,
    Interval,
    ItemTable,
    Pair,
    Range,
    Subject,
    no_interval,
    too_few_clusters,
)

METHOD = "two_way_cluster_t"
SCALE = judgekit.Scale(label="win rate, annotators drawn too", low=0, high=1, unit="%")


def annotators_estimate(
    pair: Pair, preferences: ItemTable, annotators: ItemTable, terms: judgekit.AggregateTerms
) -> Estimate:
    """The mean over items of one pair's votes, with the interval over items and annotators.

    `annotators` has the number of who gave a vote, for each scored row of `preferences`.
    """
    who = {tuple(place): person for *place, person in annotators.cells()}
    cells = list(preferences.cells())
    _, items = np.unique([sample_id for sample_id, *_ in cells], return_inverse=True)
    _, people = np.unique([who[tuple(place)] for *place, _ in cells], return_inverse=True)
    value, error, interval = two_way(np.asarray([vote for *_, vote in cells]), items, people, terms.confidence)
    return Subject(terms.metric, pair[0], SCALE, "new_annotators", pair[1]).estimate(
        value,
        interval,
        se=error,
        confidence=terms.confidence,
        n_items=len(set(items)),
        n_clusters=len(set(people)),
        counts=dict(preferences.counts),
    )


def two_way(
    votes: Floats, items: Indices, people: Indices, confidence: float
) -> tuple[float | None, float | None, Interval]:
    """(mean over items, SE, interval) of votes in [0, 1]: t with the fewer clusters' degrees of freedom on the two-way
    cluster-robust variance (Cameron, Gelbach and Miller 2011), which is never taken below either one-way variance."""
    if not len(votes):
        return None, None, no_interval(METHOD, "no scored item")
    of_item = np.bincount(items)
    value = float(np.mean(np.bincount(items, votes) / of_item))
    if value in (0, 1) or (few := too_few_clusters(len(np.bincount(people)))):
        return value, None, no_interval(METHOD, "all votes are equal" if value in (0, 1) else f"annotators: {few}")
    influence = (votes - value) / (len(of_item) * of_item[items])
    one_way = [len(sums) / (len(sums) - 1) * float(sums @ sums) for sums in _sums(influence, items, people)]
    error = math.sqrt(max(sum(one_way) - float(influence @ influence), *one_way))
    half = error * float(stdtrit(min(len(of_item), len(np.bincount(people))) - 1, (1 + confidence) / 2))
    return value, error, Range(0, 1).interval(METHOD, value - half, value + half)


def _sums(influence: Floats, *labels: Indices) -> list[Floats]:
    return [np.bincount(one, influence).astype(np.float64) for one in labels]
