"""Whether what is missing follows the subject: a loss in one group of the items that chance does not explain."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from judgekit.statistics.gating import holm

ALPHA = 0.01  # the chance that a run in which losses follow nothing is warned about
LEAST = 0.05  # the least difference of the shares that is worth a word

Counts = Mapping[str, tuple[int, int]]
"""By item: (missing, all) of what was asked about it."""


class Loss(NamedTuple):
    """A group that loses more than the other items: both shares, and the p-value after Holm's correction."""

    group: str
    here: tuple[int, int]
    elsewhere: tuple[int, int]
    p: float


def uneven_losses(studies: Mapping[str, tuple[Counts, Mapping[str, list[str]]]]) -> dict[str, list[Loss]]:
    """By study, the groups of its items whose losses are larger than those of the others.

    The unit is the item, however often it was asked about, since what is missing of one item is rarely independent: an
    item counts as lost when it misses more than the average item does. Groups are compared with all other items by
    Fisher's exact test, one-sided, with Holm's correction over all groups of all studies. (Fisher, 1935; Holm, 1979)
    """
    found = []
    for study, (counts, groups) in studies.items():
        for group, ids in groups.items():
            inside = set(ids) & counts.keys()
            if 0 < len(inside) < len(counts):
                found.append((study, _loss(group, inside, counts)))
    losses: dict[str, list[Loss]] = {}
    for (study, loss), p in zip(found, holm([loss.p for _, loss in found]), strict=True):
        if p <= ALPHA and loss.here[0] / loss.here[1] - loss.elsewhere[0] / loss.elsewhere[1] >= LEAST:
            losses.setdefault(study, []).append(loss._replace(p=p))
    return losses


def _loss(group: str, inside: set[str], counts: Counts) -> Loss:
    from scipy.stats import hypergeom

    shares = {item: missing / asked for item, (missing, asked) in counts.items()}
    average = sum(shares.values()) / len(shares)
    lost = {item for item, share in shares.items() if share > average}
    p = float(hypergeom.sf(len(lost & inside) - 1, len(counts), len(lost), len(inside)))
    here = [sum(counts[item][place] for item in inside) for place in (0, 1)]
    whole = [sum(one[place] for one in counts.values()) for place in (0, 1)]
    return Loss(group, (here[0], here[1]), (whole[0] - here[0], whole[1] - here[1]), min(p, 1.0))
