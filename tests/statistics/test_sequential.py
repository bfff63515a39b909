"""Looks at any time: capital that is a fair game, false alarms at any stopping time, and an interval to match."""

import csv
import itertools

import numpy as np
import pytest

from judgekit.statistics.sequential import STAKES, anytime_bounds, log_capital, look

SPAN = 100.0


def differences(seed, pairs, n, change=0.0, sd=10.0):
    return np.clip(np.random.default_rng(seed).normal(change, sd, (pairs, n)), -SPAN, SPAN)


def test_the_capital_is_the_mean_over_the_stakes():
    x = np.asarray([5.0, -20.0, 40.0])
    by_hand = [np.log(np.mean([np.prod(1 - stake * x[: k + 1] / SPAN) for stake in STAKES])) for k in range(3)]
    assert log_capital(x, 0.0, SPAN, "less") == pytest.approx(by_hand)
    gain = (x + 3) / (SPAN - 3)
    by_hand = [np.log(np.mean([np.prod(1 + stake * gain[: k + 1]) for stake in STAKES])) for k in range(3)]
    assert log_capital(x, -3.0, SPAN, "more") == pytest.approx(by_hand)


@pytest.mark.parametrize("shape", ["normal", "rare", "all or nothing"])
def test_a_fair_game_rarely_makes_rich_at_any_time(shape):
    """Ville: the capital ever reaches 20 with a chance of at most 5 %, looked at after each of 400 differences."""
    rng, pairs = np.random.default_rng(3), 1000
    x = {
        "normal": np.clip(rng.normal(0, 30, (pairs, 400)), -SPAN, SPAN),
        "rare": np.where(rng.random((pairs, 400)) < 0.01, 99.0, -1.0),
        "all or nothing": rng.choice([-SPAN, SPAN], (pairs, 400)),
    }[shape]
    for side in ("less", "more"):
        rich = (log_capital(x, 0.0, SPAN, side) >= np.log(20)).any(axis=1).mean()
        assert rich <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / pairs)


def test_a_real_loss_is_found_early_and_no_change_passes_early():
    lost, same = differences(1, 40, 600, -5.0), differences(2, 40, 600)
    for row in lost:
        found = look(row, row, 3.0, SPAN)
        assert found.decided == "FAIL"
        assert found.at < 250
        assert found.p_worse <= 0.05
    passed = [look(row, row, 3.0, SPAN) for row in same]
    assert sum(found.decided == "PASS" for found in passed) >= 38
    assert np.mean([found.at for found in passed]) < 400


def test_too_few_items_decide_nothing():
    row = differences(4, 1, 20)[0]
    found = look(row, row, 3.0, SPAN)
    assert (found.decided, found.at) == (None, 20)
    assert look([], [], 3.0, SPAN).decided is None


def test_missing_verdicts_help_neither_side():
    row = differences(5, 1, 600, -6.0)[0]
    best = np.where(np.arange(600) % 3 == 0, SPAN, row)
    assert look(row, row, 3.0, SPAN).decided == "FAIL"
    assert look(row, best, 3.0, SPAN).decided is None


def test_the_interval_agrees_with_the_decision_and_holds_the_truth():
    held = 0
    for row in differences(6, 20, 300, -4.0):
        low, high = anytime_bounds(row, SPAN)
        held += low <= -4.0 <= high
        if look(row, row, 3.0, SPAN).decided == "FAIL":
            assert high <= 0.5  # a step of the grid
    assert held >= 17


def test_values_off_the_scale_are_refused():
    for bad in ([float("nan")], [101.0], [float("inf")]):
        with pytest.raises(ValueError, match="finite"):
            log_capital(bad, 0.0, SPAN, "less")
    with pytest.raises(ValueError, match="mean"):
        log_capital([0.0], -100.0, SPAN, "more")


@pytest.mark.shared
def test_on_real_preferences_far_systems_are_told_early_and_near_ones_save_nothing(shared_data):
    """AlpacaEval: the preference for each of four models over the same baseline, on 805 instructions."""
    models = {}
    for path in sorted((shared_data / "alpaca_eval").glob("*.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        models[path.stem] = {row["id"]: float(row["preference"] or 1.5) - 1 for row in rows}
    shared = sorted(set.intersection(*(set(scores) for scores in models.values())))
    order = np.random.default_rng(0).permutation(len(shared))
    judged = {}
    for a, b in itertools.permutations(models, 2):
        x = np.asarray([models[a][shared[i]] - models[b][shared[i]] for i in order])
        found = look(x, x, 0.05, 1.0)
        judged[a, b] = found.at
        if found.decided == "FAIL":
            assert x.mean() < 0
        if found.decided == "PASS":
            assert x.mean() > -0.05
        judged[a, b, "narrow"] = look(x, x, 0.02, 1.0).at
    assert min(judged.values()) < 100
    assert max(judged.values()) == len(shared)  # nothing saved is a result
