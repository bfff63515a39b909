"""Macro averages: accuracies over categories (MMLU's subjects), each category counting the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from judgekit.statistics import (
    Estimate,
    Floats,
    Indices,
    ItemTable,
    Range,
    cluster_t,
    cluster_values,
    group,
    no_interval,
    standard_error,
    too_few_clusters,
)

_MACRO = "macro accuracy"
_CLUSTERED = "clustered by category"


def by_category(
    table: ItemTable, categories: Mapping[str, str], whole: Estimate, clustered: bool = False
) -> list[Estimate]:
    """The macro accuracy, which gives each category the same weight, and the (micro) accuracy with its standard error
    over categories: both t with G − 1 degrees of freedom. Nothing where there are fewer than two categories.

    `whole` is the headline estimate of the table; `clustered` says that it has the categories as clusters already.
    """
    ids = table.ids
    scale = Range(whole.scale.low, whole.scale.high)
    present, means = table.means()
    labels = _labels([categories.get(ids[index], "") for index in present])
    if not len(means) or labels.max() < 1:
        return []
    averages = [_macro(table, categories, whole, group(labels, means).mean, scale)]
    if not clustered:
        values = cluster_values(means, labels)
        averages.append(_over(whole, "clustered", _CLUSTERED, float(np.mean(means)), values, scale))
    return averages


def _macro(table: ItemTable, categories: Mapping[str, str], whole: Estimate, values: Floats, scale: Range) -> Estimate:
    ends = []
    for end in (scale.low, scale.high):  # with every missing verdict at this end
        present, means = table.means(end)
        ids = table.ids
        labels = _labels([categories.get(ids[index], "") for index in present])
        ends.append(float(np.mean(group(labels, means).mean)))
    average = _over(whole, "macro", _MACRO, float(np.mean(values)), values, scale)
    return average.model_copy(update={"bounds": (ends[0], ends[1])})


def _over(whole: Estimate, series: str, label: str, value: float, values: Floats, scale: Range) -> Estimate:
    """An estimate whose units are categories, one value each."""
    refused = too_few_clusters(len(values))
    interval = no_interval("cluster_t", refused) if refused else cluster_t(values, whole.confidence, scale)
    return whole.model_copy(
        update={
            "series": series,
            "scale": whole.scale.model_copy(update={"label": label}),
            "value": min(max(value, scale.low), scale.high),
            "se": standard_error(values),
            "interval": interval,
            "bootstrap": None,
            "n_clusters": len(values),
        }
    )


def _labels(names: Sequence[str]) -> Indices:
    return np.unique(np.asarray(names, dtype=str), return_inverse=True)[1].astype(np.intp)
