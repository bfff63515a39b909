"""Repeats: the noise of a rerun, and what the variance is made of."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from judgekit.results import Interval
from judgekit.statistics.intervals import Range, no_interval, t_quantile
from judgekit.statistics.items import Groups, ItemTable, group

JUDGED_AGAIN = "of the judgements alone: every item was answered once"


@dataclass(frozen=True)
class Components:
    """Var(mean) = item/n + generation/(nG) + judge/(nGJ); None where no repeat can tell. Squared score units.

    `item` holds the generation's variance too where there is one generation, and the judge's where there is one
    judgement.
    """

    item: float
    generation: float | None
    judge: float | None


def rerun_interval(table: ItemTable, confidence: float, scale: Range) -> tuple[float | None, Interval]:
    """(SE, interval) of the mean if these same items were run again: t with Σ(R_i − 1) degrees of freedom.

    SE = √(s²·Σ 1/R_i)/n with the pooled variance s² of an item's repeats; with R repeats each this is
    √(Σ s_i²/R)/n and n(R − 1). Repeats are generations (each with its judgements averaged), or, where every item
    was generated once, judgements: the interval then bears that as its note.
    """
    method = "rerun_t"
    generations = table.generations()
    _, labels = np.unique(generations.item, return_inverse=True)
    items = group(labels, generations.judged.mean) if labels.size else None
    if items is None:
        return None, no_interval(method, "no scored item")
    units = generations.judged if items.size.max() == 1 else items
    df = int(np.sum(units.size - 1))
    if df == 0:
        return None, no_interval(method, "no item was scored twice")
    error = math.sqrt(_pooled(units) * float(np.sum(1 / units.size))) / len(units.size)
    if error <= 1e-12 * scale.range:
        return error, no_interval(method, "every repeat gave the same score")
    mean, half = float(np.mean(items.mean)), t_quantile(confidence, df) * error
    interval = scale.interval(method, mean - half, mean + half)
    return error, interval.model_copy(update={"note": JUDGED_AGAIN}) if units is generations.judged else interval


def components(table: ItemTable) -> Components | None:
    """The variance components by ANOVA moments, each at least 0; None for fewer than two scored items.

    Exact for a balanced design; with missing verdicts the unweighted-means analysis (Searle, Casella and
    McCulloch 1992, 4.6), in which 1/R_i is averaged.
    """
    generations = table.generations()
    present, labels = np.unique(generations.item, return_inverse=True)
    if len(present) < 2:
        return None
    judged, items = generations.judged, group(labels, generations.judged.mean)
    judge = _pooled(judged) if np.any(judged.size > 1) else None
    judge_share = (judge or 0.0) * float(np.mean(1 / judged.size))  # what judging adds to a generation's mean
    generation = max(_pooled(items) - judge_share, 0.0) if np.any(items.size > 1) else None
    noise = judge_share + (generation or 0.0)
    item = float(np.var(items.mean, ddof=1)) - noise * float(np.mean(1 / items.size))
    return Components(max(item, 0.0), generation, judge)


def _pooled(groups: Groups) -> float:
    """The variance inside the groups, over all of them."""
    return float(np.sum(groups.squares) / np.sum(groups.size - 1))
