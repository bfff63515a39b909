"""Falls of items, counted with exact bounds: against scipy, and against the chance that a mean lets them pass."""

import numpy as np
import pytest
from scipy.stats import binomtest

from judgekit.regression.catastrophes import Falls, items_needed
from judgekit.regression.paired_scores import Paired


def matched(differences, worst=None):
    ids = tuple(f"s{number}" for number in range(len(differences)))
    found = np.asarray(differences, dtype=float)
    return Paired(ids, found, ids, found if worst is None else np.asarray(worst, dtype=float), found)


def alone(ids, values):
    return values


@pytest.mark.parametrize(("fell", "units"), [(0, 110), (1, 110), (7, 60), (20, 20)])
def test_the_bounds_are_clopper_and_pearsons(fell, units):
    falls, _ = Falls.of(matched([-90.0] * fell + [0.0] * (units - fell)), 50, 100, alone)
    test = binomtest(fell, units)
    assert (falls.fell, falls.units, falls.share) == (fell, units, fell / units)
    assert falls.most == pytest.approx(binomtest(fell, units, alternative="less").proportion_ci(0.95).high)
    assert falls.least == pytest.approx(binomtest(fell, units, alternative="greater").proportion_ci(0.95).low)
    assert test.k == fell
    assert falls.p_more(0.03) == pytest.approx(binomtest(fell, units, 0.03, alternative="greater").pvalue)


def test_a_fall_of_just_the_limit_counts_and_a_rise_does_not():
    falls, worst = Falls.of(matched([-50.0, -49.9, 90.0], [-50.0, -100.0, 90.0]), 50, 100, alone)
    assert (falls.fell, worst.fell) == (1, 2)


def test_clusters_fall_with_any_of_their_items():
    falls, _ = Falls.of(matched([-90.0, 0.0, 0.0, 0.0]), 50, 100, lambda ids, fell: fell.reshape(2, 2).mean(axis=1))
    assert (falls.fell, falls.units, falls.named) == (1, 2, "cluster")


@pytest.mark.parametrize(("share", "need"), [(0.03, 99), (0.01, 299), (0.5, 5)])
def test_without_a_fall_so_many_items_are_just_enough(share, need):
    assert items_needed(share) == need
    assert Falls(50, 0, need).most <= share < Falls(50, 0, need - 1).most


def test_what_a_mean_lets_pass_the_rule_does_not():
    """1 % of the items fall by 90 points: of 110 the mean hides them in a third of the runs."""
    rng = np.random.default_rng(0)
    passed = sum(Falls(50, int(rng.binomial(110, 0.01)), 110).most <= 0.01 for _ in range(2000))
    assert passed == 0, "110 items cannot show so small a share"
    passed = sum(Falls(50, int(rng.binomial(400, 0.01)), 400).most <= 0.01 for _ in range(4000))
    assert passed / 4000 <= 0.05
