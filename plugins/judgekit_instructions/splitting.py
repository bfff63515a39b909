"""Splits into train, test and validation: by file order, by chance, or by groups that stay together. Pure."""

from __future__ import annotations

import random
from collections.abc import Hashable, Mapping, Sequence

import judgekit
import judgekit.data


def in_order(order: Sequence[int], shares: Mapping[str, float]) -> dict[str, list[int]]:
    """The places in that order, cut into parts; within a part they are in file order."""
    parts, start = {}, 0
    for name, size in judgekit.data.split_sizes(len(order), shares).items():
        parts[name] = sorted(order[start : start + size])
        start += size
    return parts


def shuffled(count: int, seed: int) -> list[int]:
    """The places 0 … count − 1 in an order that depends on the seed alone."""
    order = list(range(count))
    random.Random(f"split {seed}").shuffle(order)
    return order


def grouped(order: Sequence[int], groups: Sequence[Hashable], shares: Mapping[str, float]) -> dict[str, list[int]]:
    """Parts that share no group; `groups` has the group of every place.

    The largest groups come first, each to the part with the most room left; single items then fill the parts in order.
    So a part misses its size by less than the largest group has items, and mostly not at all.
    """
    members: dict[Hashable, list[int]] = {}
    for place in order:
        members.setdefault(groups[place], []).append(place)
    room = judgekit.data.split_sizes(len(order), shares)
    parts: dict[str, list[int]] = {name: [] for name in shares}
    for group in sorted(members.values(), key=len, reverse=True):  # stable: equal ones stay in order
        if len(group) > 1:
            name = max(room, key=room.__getitem__)
        else:
            name = next((name for name in room if room[name] > 0), max(room, key=room.__getitem__))
        parts[name] += group
        room[name] -= len(group)
    return {name: sorted(places) for name, places in parts.items()}
