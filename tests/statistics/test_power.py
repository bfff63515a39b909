"""The least change that a gate finds is found that often: against simulation and the textbook's formula."""

import numpy as np
import pytest

from judgekit.statistics.gating import Design, bounds, fails
from judgekit.statistics.power import detection, items_needed, minimum_detectable

SD = 10.0
PAIRS = 4000
NOISE = 3 * np.sqrt(0.8 * 0.2 / PAIRS)  # three standard errors: 1.9 points


def seen(change, n, margin, fail_level=None):
    x = np.random.default_rng(n).normal(change, SD, (PAIRS, n))
    design = Design(n, 100, fail_level=fail_level)
    return float(np.mean(fails(*bounds(x.mean(axis=1), x.std(axis=1, ddof=1), design), margin)))


@pytest.mark.parametrize("n", [15, 60, 110, 400])
@pytest.mark.parametrize("margin", [0.0, 3.0, 9.0])
def test_the_printed_least_change_is_found_four_times_in_five(n, margin):
    least = minimum_detectable(SD, Design(n, 100), margin)
    assert seen(-least, n, margin) == pytest.approx(0.8, abs=NOISE + 0.005)


def test_with_five_rules_the_least_change_is_that_of_holms_first_step():
    one, five = (minimum_detectable(SD, Design(110, 100, fail_level=0.05 / k), 3.0) for k in (1, 5))
    assert five > one
    assert seen(-five, 110, 3.0, fail_level=0.01) == pytest.approx(0.8, abs=NOISE + 0.005)


def test_with_many_items_it_is_the_textbooks():
    assert minimum_detectable(SD, Design(5000, 100)) == pytest.approx((1.6449 + 0.8416) * SD / 5000**0.5, rel=5e-3)


def test_the_items_needed_are_the_fewest_that_decide():
    need = items_needed(SD, Design(20, 100), 2.0)
    assert ((1.6449 + 0.8416) * SD / 2) ** 2 < need < 1.25 * ((1.6449 + 0.8416) * SD / 2) ** 2
    assert minimum_detectable(SD, Design(need, 100), 2.0) <= 2.0 < minimum_detectable(SD, Design(need - 1, 100), 2.0)


def test_two_items_find_nothing_and_an_absurd_margin_needs_too_many():
    assert minimum_detectable(SD, Design(2, 100)) is None
    assert items_needed(SD, Design(50, 100), 1e-4) is None


def test_without_a_change_the_gate_rarely_fails():
    assert detection(0.0, SD, Design(110, 100, clustered=True)) == pytest.approx(0.05, abs=0.001)
    assert 0.02 < detection(0.0, SD, Design(110, 100)) <= 0.05  # plus-two has to agree
    assert detection(0.0, SD, Design(60, 100)) <= 0.05
    assert detection(0.0, SD, Design(110, 100), margin=6.0) <= 0.05


def test_scores_without_noise_still_have_a_least_change():
    assert 0 < minimum_detectable(0.0, Design(110, 100)) < minimum_detectable(0.0, Design(30, 100))
