"""Clusters of items: their values keep the mean, and too few of them or items without one give no interval."""

import numpy as np
import pytest

from judgekit.statistics.clusters import FEWEST, cluster_t, cluster_values, labels_of, too_few_clusters
from judgekit.statistics.intervals import Range, t_interval
from judgekit.statistics.items import ItemTable

LABELS = np.array([0, 0, 1, 1, 1, 2])
X = np.array([1.0, 3.0, 4.0, 5.0, 6.0, 9.0])


def test_cluster_values_have_the_mean_of_the_items():
    values = cluster_values(X, LABELS)
    assert len(values) == 3
    assert values.mean() == pytest.approx(X.mean())
    assert cluster_values(X, np.array([0, 0, 1, 1, 2, 2])) == pytest.approx([2.0, 4.5, 7.5]), "of one size: the means"


def test_fewer_than_ten_have_no_interval():
    scale, values = Range(0, 100), np.linspace(10, 20, FEWEST)
    assert cluster_t(values[:-1], 0.95, scale).low is None
    assert too_few_clusters(FEWEST - 1)
    assert not too_few_clusters(FEWEST)
    plain = t_interval(values, 0.95, scale)
    assert cluster_t(values, 0.95, scale) == plain.model_copy(update={"method": "cluster_t"})


def test_an_item_without_a_cluster_is_counted():
    table = ItemTable({"a": "x", "b": "y"})
    for item in "abc":
        table.add(item, 0, 0, 1.0)
    assert labels_of(table, np.array([0, 1]))[0].tolist() == [0, 1]
    assert labels_of(table, np.array([0, 1, 2])) == (None, "1 of 3 items have no cluster")
    assert labels_of(ItemTable(), np.array([], dtype=int)) == (None, "")
