"""Estimates in the order in which they are shown: what is said of one system, or of one pair, stands together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from judgekit.statistics import Estimate


def by_pair(estimates: Sequence[Estimate]) -> list[Estimate]:
    """The estimates by the first mention of their system and opponent, else in their own order."""
    pairs = list(dict.fromkeys((one.system, one.opponent) for one in estimates))
    return sorted(estimates, key=lambda one: pairs.index((one.system, one.opponent)))
