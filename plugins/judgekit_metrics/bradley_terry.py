"""Bradley–Terry strengths of three or more systems, as the probability to win against an anchor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from judgekit.statistics import REFITTED, Floats, Indices, RefitTerms, no_interval, refitted
from judgekit_metrics.newton import Fitted, newton

Flags = NDArray[np.bool_]
CONVERGED = 1e-12


def standings(
    systems: Sequence[str],
    pairs: Sequence[tuple[str, str]],
    preferences: Floats,
    anchor: str,
    terms: RefitTerms,
    rng: np.random.Generator,
) -> dict[str, Fitted]:
    """The probability of every other system to win against the anchor, by maximum likelihood (Bradley and Terry 1952),
    ties counted as half a win each.

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
        return dict.fromkeys(others, Fitted(None, None, no_interval(REFITTED, refused)))
    strengths = log_strengths(everything)

    def refit(weights: Floats) -> Floats:
        return expit(log_strengths(wins_of(weights), strengths[0])[:, 1:])

    intervals = refitted(
        refit, len(preferences), replace(terms, width=1 + 4 * len(systems) ** 2 // len(preferences)), rng
    )
    values = [Fitted(float(value), *ends) for value, ends in zip(expit(strengths[0, 1:]), intervals, strict=True)]
    return dict(zip(others, values, strict=True))


def log_strengths(wins: Floats, start: Floats | None = None) -> Floats:
    """(resamples × systems) log-strengths with that of system 0 at 0; NaN where the win graph is not strongly
    connected. `wins[r, i, j]`: how often i won against j, a tie being half a win of both.

    Newton's method on the concave log-likelihood Σ wins_ij·log σ(s_i − s_j).
    """
    strengths = np.full(wins.shape[:2], np.nan)
    strengths[:, 0] = 0
    known = np.flatnonzero(_reach(wins).all(axis=(1, 2)))
    wins, diagonal = wins[known], np.arange(wins.shape[1])
    games = wins + wins.transpose(0, 2, 1)

    def step(now: Floats, active: Indices) -> Floats:
        s = np.pad(now, ((0, 0), (1, 0)))
        p = expit(s[:, :, None] - s[:, None, :])
        score = (wins[active] - games[active] * p).sum(axis=2)
        information = -games[active] * p * (1 - p)
        information[:, diagonal, diagonal] = 0
        information[:, diagonal, diagonal] = -information.sum(axis=2)
        return np.asarray(np.linalg.solve(information[:, 1:, 1:], score[:, 1:, None])[:, :, 0])

    first = np.zeros(len(diagonal)) if start is None else start
    strengths[known, 1:] = newton(np.tile(first[1:], (len(known), 1)), step, CONVERGED * max(1, len(diagonal)))
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
