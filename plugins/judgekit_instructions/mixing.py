"""The arithmetic of mixtures: the share of each source, and the items that are drawn. Pure.

A pool has a share of its own: a source, a task, or the part of either that is chain of thought. Shares are
given, or follow from the pools' sizes as in T5 and FLAN: with a cap K and a temperature T, pool i of n_i examples has a
share in proportion to min(n_i, K) ^ (1 / T) (Raffel et al. 2020, section 3.5.2; FLAN, Wei et al. 2022: T = 1, K =
3,000, at most 30,000 items of a source). T = 1 is examples-proportional, T → ∞ makes all equal.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import judgekit


@dataclass(frozen=True)
class Pool:
    """The items (by their numbers, in the order of the sources) that share a `share` of the mixture, which sum to 1."""

    name: str
    members: Sequence[int]
    share: float
    thinks: bool = False  # its items are marked as chain of thought


@dataclass(frozen=True)
class Drawn:
    """The items drawn from a pool: how many, and how many of them for a second time or more."""

    pool: Pool
    count: int
    repeated: int
    chosen: Sequence[int] = field(repr=False)


def by_weight(weights: Mapping[str, float]) -> dict[str, float]:
    """Shares from weights. Raises UsageError for one that is negative or not a number, and where all are 0."""
    for name, weight in weights.items():
        if not 0 <= weight < math.inf:
            raise judgekit.UsageError(f"{name}: a weight is a number from 0 on, not {weight}")
    total = math.fsum(weights.values())
    if not total:
        raise judgekit.UsageError(f"the weights of {', '.join(weights)} sum to nothing")
    return {name: weight / total for name, weight in weights.items()}


def by_size(counts: Mapping[str, int], temperature: float = 1, cap: int | None = None) -> dict[str, float]:
    """Shares in proportion to min(n, cap) ^ (1 / temperature)."""
    return by_weight({name: min(count, cap or count) ** (1 / temperature) for name, count in counts.items()})


def with_thoughts(pools: Sequence[Pool], share: float) -> list[Pool]:
    """The pools with the shares of those of chain of thought scaled to sum to `share`, the others' to 1 − `share`.
    Raises UsageError where one of the two should have a share and has no item."""
    wanted = {True: share, False: 1 - share}
    have = {thinks: math.fsum(pool.share for pool in pools if pool.thinks == thinks) for thinks in wanted}
    for thinks, kind in ((True, "chain of thought"), (False, "anything else")):
        if wanted[thinks] and not have[thinks]:
            raise judgekit.UsageError(
                f"{wanted[thinks]:.0%} are to be {kind}, and no source with a share has such items"
            )
    scale = {thinks: wanted[thinks] / have[thinks] if have[thinks] else 0 for thinks in wanted}
    return [Pool(pool.name, pool.members, pool.share * scale[pool.thinks], pool.thinks) for pool in pools]


def most_without_repeats(pools: Sequence[Pool]) -> int:
    """The largest mixture in which no item stands twice."""
    total = math.floor(min(len(pool.members) / pool.share for pool in pools if pool.share) * (1 + 1e-12))
    while any(count > len(pool.members) for count, pool in zip(apportioned(pools, total), pools, strict=True)):
        total -= 1
    return total


def apportioned(pools: Sequence[Pool], total: int) -> list[int]:
    """The number of items from each pool, `total` in all: within one of share × total (largest remainders)."""
    exact = [pool.share * total for pool in pools]
    counts = [math.floor(wanted) for wanted in exact]
    by_remainder = sorted(range(len(pools)), key=lambda place: (counts[place] - exact[place], place))
    for place in by_remainder[: total - sum(counts)]:
        counts[place] += 1
    return counts


def draw(pools: Sequence[Pool], counts: Sequence[int], seed: int) -> list[Drawn]:
    """The items of each pool. Each pool is drawn from by the seed and its name alone: without replacement, and where
    more are wanted than there are, all of them as often as they fit, and then the rest without replacement."""
    drawn = []
    for pool, count in zip(pools, counts, strict=True):
        have = len(pool.members)
        rounds, rest = divmod(count, have) if have else (0, 0)
        chosen = [*pool.members] * rounds + random.Random(f"draw {seed} {pool.name}").sample([*pool.members], rest)
        drawn.append(Drawn(pool, count, max(0, count - have), chosen))
    return drawn


def order(drawn: Sequence[Drawn], seed: int) -> list[int]:
    """All that was drawn, in an order that depends on the seed alone."""
    chosen = [place for one in drawn for place in one.chosen]
    random.Random(f"order {seed}").shuffle(chosen)
    return chosen
