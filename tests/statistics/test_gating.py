"""The three-state rule: bounds, p-values and Holm, against closed forms and the paired interval that is printed."""

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from judgekit.statistics.gating import Design, bounds, decide, fails, holm, p_worse, passes

RNG = np.random.default_rng(1)


def stats(x):
    return float(np.mean(x)), float(np.std(x, ddof=1))


def test_p_is_the_larger_of_the_one_sided_t_tests_with_and_without_two_pseudo_differences():
    for x in (RNG.normal(-1, 9, 120), RNG.normal(-1, 200, 120)):
        padded = np.concatenate((x, (-50, 50)))
        expected = max(ttest_1samp(y, 0, alternative="less").pvalue for y in (x, padded))
        assert float(p_worse(*stats(x), Design(120, 100))) == pytest.approx(expected)


@pytest.mark.parametrize("n", [20, 60, 120])
def test_p_is_the_least_level_whose_upper_bound_is_under_zero(n):
    mean, sd = -3.0, 9.0
    p = float(p_worse(mean, sd, Design(n, 100)))
    assert (
        bounds(mean, sd, Design(n, 100, level=p * 1.001))[1] < 0 < bounds(mean, sd, Design(n, 100, level=p * 0.999))[1]
    )


def test_the_three_states():
    assert decide(-2.9, 1.0, 3.0) == "PASS"
    assert decide(-2.9, -0.1, 3.0) == "PASS"  # worse, but within the margin
    assert decide(-3.0, -0.1, 3.0) == "FAIL"  # L > −m is strict
    assert decide(-3.1, 0.0, 3.0) == "INCONCLUSIVE"  # and so is U < 0
    assert decide(-9.0, 9.0, 3.0) == "INCONCLUSIVE"


def test_no_number_neither_passes_nor_fails():
    nan = float("nan")
    assert not passes(nan, 3.0)
    assert not fails(nan, nan, 3.0)
    assert decide(nan, nan, 3.0) == "INCONCLUSIVE"


def test_clusters_have_t_alone_and_ten_of_them_at_least():
    low, _ = bounds(-1.0, 4.0, Design(20, 100, clustered=True))
    assert low == pytest.approx(-1 - 1.7291328 * 4 / 20**0.5)
    with pytest.raises(ValueError, match="too few clusters: 9"):
        Design(9, 100, clustered=True)


@pytest.mark.parametrize("n", [0, 1])
def test_one_item_has_no_bounds(n):
    with pytest.raises(ValueError, match=r"no scored item|one item"):
        Design(n, 100)


def test_holm_is_as_published():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.6]) == [1.0, 1.0]
    assert holm([]) == []


def holm_by_hand(p, level):
    """Step down from the smallest p as long as p(i) ≤ level / (k − i)."""
    rejected = [False] * len(p)
    for step, i in enumerate(sorted(range(len(p)), key=p.__getitem__)):
        if p[i] > level / (len(p) - step):
            break
        rejected[i] = True
    return rejected


def test_holm_rejects_what_its_steps_reject():
    for seed in range(50):
        p = np.random.default_rng(seed).beta(0.3, 2, 6).tolist()
        assert [value <= 0.05 for value in holm(p)] == holm_by_hand(p, 0.05)
