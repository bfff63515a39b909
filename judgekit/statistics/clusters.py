"""Clusters: items that belong together (one document, one subject) are not independent, and the cluster is the unit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from judgekit.results import Interval
from judgekit.statistics.intervals import Range, no_interval, t_interval
from judgekit.statistics.items import Floats, Indices, ItemTable, group

FEWEST = 10  # clusters; below, t with G − 1 degrees of freedom covers too little to print


def labels_of(table: ItemTable, present: Indices) -> tuple[Indices | None, str]:
    """(cluster number of each of the table's items in `present`, "") or (None, why there is none)."""
    ids = table.ids
    return cluster_labels(table.clusters, [ids[i] for i in present])


def cluster_labels(clusters: Mapping[str, str] | None, ids: Sequence[str]) -> tuple[Indices | None, str]:
    """(cluster number of each item, "") or (None, why there is none): no reason, where items are independent."""
    if clusters is None:
        return None, ""
    names = [clusters.get(item) for item in ids]
    unlabelled = sum(name is None for name in names)
    if unlabelled:
        return None, f"{unlabelled} of {len(names)} items have no cluster"
    return np.unique(np.asarray(names, dtype=str), return_inverse=True)[1], ""


def cluster_values(x: Floats, labels: Indices) -> Floats:
    """One value a cluster, with mean(x) as their mean: mean(x) + (G/n)·Σ(x_i − mean(x)) over the cluster's items.

    Clusters of one size give exactly the cluster means. With unequal sizes this is the linearised ratio estimator
    (Cochran 1977, 6.3): the mean over items stays the estimate, and sd/√G is its standard error.
    """
    mean = float(np.mean(x))
    clusters = group(labels, x - mean)
    return mean + clusters.mean * clusters.size * (len(clusters.size) / len(x))


def cluster_t(values: Floats, confidence: float, scale: Range) -> Interval:
    """t with G − 1 degrees of freedom on cluster values; no interval under ten clusters."""
    refused = too_few_clusters(len(values))
    if refused:
        return no_interval("cluster_t", refused)
    return t_interval(values, confidence, scale).model_copy(update={"method": "cluster_t"})


def too_few_clusters(clusters: int) -> str:
    """Why so few clusters give no interval; empty where they do."""
    return f"too few clusters: {clusters} of at least {FEWEST}" if clusters < FEWEST else ""
