"""Bradley–Terry strengths of three or more systems, as the probability to win against an anchor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from judgekit.statistics import REFITTED, Floats, Interval, RefitTerms, no_interval, refitted

Flags = NDArray[np.bool_]
STEPS = 100
LONGEST = 2.0  # a step, in log-odds
CONVERGED = 1e-12


@dataclass(frozen=True)
class Standing:
    """One system's probability to win against the anchor; None where the strengths cannot be known."""

    system: str
    value: float | None
    se: float | None
    interval: Interval


def standings(
    systems: Sequence[str],
    pairs: Sequence[tuple[str, str]],
    preferences: Floats,
    anchor: str,
    terms: RefitTerms,
    rng: np.random.Generator,
) -> list[Standing]:
    """Every system but the anchor, by maximum likelihood (Bradley and Terry 1952), ties counted as half a win each.

    `preferences` is (items × pairs): the preference for the first of the pair in [0, 1], NaN where the item has no
    verdict on it. The interval resamples items, with all their battles, or clusters of items. Refused, with a reason,
    where the win graph is not strongly connected: then some strength is infinite (Ford 1957).
    """
    index = {system: place for place, system in enumerate(systems)}
    order = [index[anchor], *(place for system, place in index.items() if system != anchor)]
    others = [system for system in systems if system != anchor]
    a, b = np.asarray([(index[one], index[other]) for one, other in pairs]).T
    seen = ~np.isnan(preferences)
    first, second = np.where(seen, preferences, 0.0), np.where(seen, 1 - preferences, 0.0)

    def wins_of(weights: Floats) -> Floats:
        """(resamples × systems × systems) wins, the anchor in place 0."""
        wins = np.zeros((len(weights), len(systems), len(systems)))
        wins[:, a, b] += weights @ first  # each pair is there once
        wins[:, b, a] += weights @ second
        return wins[:, order][:, :, order]

    everything = wins_of(np.ones((1, len(preferences))))
    refused = not_connected(everything[0], [anchor, *others])
    if refused:
        return [Standing(system, None, None, no_interval(REFITTED, refused)) for system in others]
    strengths = log_strengths(everything)

    def refit(weights: Floats) -> Floats:
        return expit(log_strengths(wins_of(weights), strengths[0])[:, 1:])

    intervals = refitted(
        refit, len(preferences), replace(terms, width=1 + 4 * len(systems) ** 2 // len(preferences)), rng
    )
    values = expit(strengths[0, 1:])
    return [
        Standing(system, float(value), error, interval)
        for system, value, (error, interval) in zip(others, values, intervals, strict=True)
    ]


def log_strengths(wins: Floats, start: Floats | None = None) -> Floats:
    """(resamples × systems) log-strengths with that of system 0 at 0; NaN where the win graph is not strongly
    connected. `wins[r, i, j]`: how often i won against j, a tie being half a win of both.

    Newton's method on the concave log-likelihood Σ wins_ij·log σ(s_i − s_j).
    """
    strengths = np.full(wins.shape[:2], np.nan)
    strengths[:, 0] = 0
    active = np.flatnonzero(_reach(wins).all(axis=(1, 2)))
    now = np.zeros((len(wins), wins.shape[1])) if start is None else np.tile(start, (len(wins), 1))
    games = wins + wins.transpose(0, 2, 1)
    for _ in range(STEPS):
        if not len(active):
            break
        p = expit(now[active, :, None] - now[active, None, :])
        score = (wins[active] - games[active] * p).sum(axis=2)
        information = -games[active] * p * (1 - p)
        diagonal = np.arange(wins.shape[1])
        information[:, diagonal, diagonal] = 0
        information[:, diagonal, diagonal] = -information.sum(axis=2)
        step = np.linalg.solve(information[:, 1:, 1:], score[:, 1:, None])[:, :, 0]
        size = np.abs(step).max(axis=1, keepdims=True)
        now[active, 1:] += step * np.minimum(1, LONGEST / np.maximum(size, LONGEST))
        finished = size[:, 0] < CONVERGED * max(1, len(diagonal))
        strengths[active[finished]] = now[active[finished]]
        active = active[~finished]
    return strengths


def _reach(wins: Floats) -> Flags:
    """(resamples × systems × systems): whether j can be reached from i along wins and ties."""
    reach = (wins > 0) | np.eye(wins.shape[1], dtype=bool)
    for _ in range(max(wins.shape[1] - 1, 1).bit_length()):
        steps = reach.astype(np.float64)
        reach = np.asarray(steps @ steps > 0)
    return reach


def not_connected(wins: Floats, systems: Sequence[str]) -> str:
    """Why these (systems × systems) wins have no Bradley–Terry strengths; empty where they have."""
    reach = _reach(wins[None])[0]
    if reach.all():
        return ""
    # Nobody outside the smallest set of all who reach some system ever won against one of the set.
    top = reach[:, int(reach.sum(axis=0).argmin())]
    inside, outside = _named(systems, top), _named(systems, ~top)
    if wins[np.ix_(top, ~top)].any():
        return f"the win graph is not strongly connected: {inside} never lost or tied against {outside}"
    return f"the win graph is not strongly connected: no verdict compares {inside} with {outside}"


def _named(systems: Sequence[str], chosen: Flags) -> str:
    return ", ".join(system for system, one in zip(systems, chosen, strict=True) if one)
