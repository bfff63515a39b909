"""Counts of wins and the sign test of positions."""

import pytest
from scipy.stats import binomtest

from judgekit.statistics.items import ItemTable
from judgekit_metrics.outcomes import Outcomes, outcomes, position_test, sign_test
from tables import each


def table(*items):
    """One tuple of repeats an item."""
    found = ItemTable()
    for number, repeats in enumerate(items):
        for repeat, value in enumerate(repeats):
            found.add(str(number), repeat, 0, value, "scored" if value is not None else "unparsed")
    return found


@each((0, 1), (3, 2), (5, 5), (17, 4), (4, 17), (900, 800), (2, 0))
def test_the_sign_test_is_the_exact_binomial_one(wins, losses):
    assert sign_test(wins, losses) == pytest.approx(binomtest(wins, wins + losses).pvalue, rel=1e-9)


def test_without_a_changed_verdict_there_is_no_test():
    test = position_test(table((0.5,), (0.5,)), table((1,), (1,)))
    assert (test.changed, test.first, test.p) == (0, 0, None)


def test_an_item_counts_once_whatever_its_repeats():
    assert outcomes(table((1, 1, 0), (0.5, 0.5), (0, 1), (0.25, 0.5), (None, 1), (None,))) == Outcomes(2, 2, 1)
    test = position_test(table((1, 0.5, 1), (0.5, 0), (1, 0), (0.75,)), table((0, 1, 0), (1, 0), (0, 0), (0,)))
    assert (test.changed, test.first) == (4, 2)
    assert test.p == 1.0, "the item whose repeats fell to either side says nothing: two against one are left"


def test_a_soft_verdict_that_moves_and_names_the_same_winner_has_not_changed():
    test = position_test(table((0.6,), (0.7,), (0.8,)), table((1,), (1,), (0,)))
    assert (test.changed, test.first, test.p) == (1, 1, 1.0)
