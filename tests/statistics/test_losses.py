"""Losses that follow a group are found, and those that follow nothing are not."""

import random

import pytest

from judgekit.statistics.losses import ALPHA, uneven_losses


def study(draw, chances, each=40, asked=2):
    """Items of groups of this size, each asked about so often, lost with the group's chance."""
    counts, groups = {}, {}
    for group, chance in chances.items():
        groups[group] = [f"{group}{n}" for n in range(each)]
        # what is missing of an item goes together: a judge that fails on a text fails on it again
        counts |= {item: (asked * (draw.random() < chance), asked) for item in groups[group]}
    return counts, groups


def test_a_group_that_loses_more_is_named_with_both_shares():
    counts = {f"m{n}": (2 * (n < 10), 2) for n in range(20)} | {f"o{n}": (0, 2) for n in range(60)}
    groups = {"mathematics": [f"m{n}" for n in range(20)], "others": [f"o{n}" for n in range(60)]}
    (loss,) = uneven_losses({"q": (counts, groups)})["q"]
    assert loss[:3] == ("mathematics", (20, 40), (0, 120))
    # 10 lost of 80, all among the 20: C(20, 10) / C(80, 10), doubled by Holm over two groups
    assert loss.p == pytest.approx(2 * 184_756 / 1_646_492_110_120)


@pytest.mark.parametrize("chance", [0.02, 0.1, 0.5])
def test_no_wolf_is_cried_where_losses_follow_nothing(chance):
    draw, runs = random.Random(1), 400
    cried = sum(bool(uneven_losses({"q": study(draw, dict.fromkeys("abcde", chance))})) for _ in range(runs))
    assert cried / runs <= 2 * ALPHA


def test_a_loss_of_a_fifth_in_one_group_is_mostly_found():
    draw = random.Random(1)
    found = sum(
        [loss.group for loss in uneven_losses({"q": study(draw, {"a": 0.02, "b": 0.02, "c": 0.4})}).get("q", ())]
        == ["c"]
        for _ in range(100)
    )
    assert found >= 80


def test_too_small_a_difference_and_too_few_items_are_no_news():
    counts = {f"a{n}": (int(n < 40), 1) for n in range(2000)} | {f"b{n}": (0, 1) for n in range(2000)}
    ids = {name: [item for item in counts if item.startswith(name)] for name in "ab"}
    assert not uneven_losses({"q": (counts, ids)})  # 2 % against none
    assert not uneven_losses({"q": ({"x": (1, 1), "y": (0, 1)}, {"a": ["x"], "b": ["y"]})})
    assert not uneven_losses({"q": ({"x": (1, 1)}, {"a": ["x"]})})
    assert not uneven_losses({})
