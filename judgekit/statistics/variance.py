"""The variance budget: what the standard error of a mean is made of, and what to buy next to make it smaller."""

from __future__ import annotations

import math

import numpy as np

from judgekit.records import Scale
from judgekit.results import Estimate, VarianceBudget
from judgekit.statistics.items import ItemTable, group
from judgekit.statistics.repeats import components


def variance_budget(table: ItemTable, whole: Estimate) -> VarianceBudget | None:
    """The budget of the estimate `whole` for new items, made from `table`; None where it has no standard error.

    Var(mean) = σ²_item/n + σ²_generation/(nG) + σ²_judge/(nGJ): the parts of the repeats come from their ANOVA
    moments (repeats.py), exactly for any numbers of them, and the items' part is the rest of the squared standard
    error, so that clusters and items with missing repeats are counted as the estimate counts them.
    """
    parts = components(table)
    if parts is None or whole.se is None:
        return None
    generations = table.generations()
    item, judged = np.unique(generations.item, return_inverse=True)[1], generations.judged
    per_item = group(item, 1 / judged.size)  # the mean of 1/J over an item's generations, and their number G
    n = len(per_item.size)
    generation = None if parts.generation is None else parts.generation * float(np.sum(1 / per_item.size)) / n**2
    judge = None if parts.judge is None else parts.judge * float(np.sum(per_item.mean / per_item.size)) / n**2
    rest = max(whole.se**2 - (generation or 0.0) - (judge or 0.0), 0.0)
    judgements = float(np.mean(judged.size))
    return VarianceBudget(
        metric=whole.metric,
        system=whole.system,
        opponent=whole.opponent,
        scale=whole.scale,
        item=rest,
        generation=generation,
        judge=judge,
        n_items=n,
        n_clusters=whole.n_clusters,
        generations=float(np.mean(per_item.size)),
        judgements=judgements,
        advice=_advice(rest, generation, judge, judgements, whole),
    )


def _advice(item: float, generation: float | None, judge: float | None, judgements: float, whole: Estimate) -> str:
    """What to buy next, in one line. Every call, of a model or a judge, is taken to cost the same.

    Twice the items halve the whole variance and cost as many calls again; twice the generations cost the same and
    halve their part alone, so they are never the better buy. Twice the judgements cost J/(1 + J) of that: they are
    where the judge's part of the variance is larger than that.
    """
    total, scale = item + (generation or 0.0) + (judge or 0.0), whole.scale
    units = "clusters" if whole.n_clusters is not None else "items"
    if total <= (1e-9 * (scale.high - scale.low)) ** 2:
        return f"Nothing that the spread tells: all {units} have the same score."
    now, twice = _error(total, scale), _error(total / 2, scale)
    more = f"twice the {units} would bring the standard error from {now} to {twice}"
    if generation is None and judge is None:
        return f"Buy {units}: {more}. What repeats would save is not known: every item was answered and judged once."
    if judge is not None and judge / total > judgements / (1 + judgements):
        fewer = _error(total - judge / 2, scale)
        return (
            f"Buy judgements: {judge / total:.0%} of the variance is the judge's noise. Twice as many of each answer "
            f"would bring the standard error from {now} to {fewer}; {more.replace(f' from {now}', '')}, for "
            f"{(1 + judgements) / judgements:.2g} times the calls."
        )
    noise = (generation or 0.0) + (judge or 0.0)
    limit = _error(total - noise, scale)
    if noise <= item:
        return f"Buy {units}: {more}; any number of repeats of these, to {limit} at best."
    what = "generations" if (generation or 0.0) >= (judge or 0.0) else "judgements"
    half = total - (noise if what == "generations" else judge or 0.0) / 2
    return (
        f"Buy {units}: {more}. {noise / total:.0%} of the variance is noise of repeats, and new {units} average it out "
        f"as well; if there are no more of them, twice the {what} would bring it to {_error(half, scale)}."
    )


def _error(variance: float, scale: Scale) -> str:
    """A standard error to three digits, in points where the scale is in percent."""
    points = scale.unit == "%"
    return f"{math.sqrt(max(variance, 0.0)) * (100 if points else 1):.3g}{' points' if points else ''}"
