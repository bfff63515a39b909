"""The style-controlled win rate: how often a system would win if its answers looked like the opponent's.

It is Arena-Hard's logistic regression on length, headers, lists and bold text (Li et al. 2024), with one difference:
Arena-Hard reads its win rates at the mean style of all models in the fit, this one where both answers look alike.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import expit

from judgekit.statistics import REFITTED, Floats, Indices, RefitTerms, no_interval, refitted
from judgekit_metrics.length_adjusted import LEAST_SIDE
from judgekit_metrics.newton import LONGEST, Fitted, newton

CONVERGED = 1e-9
FARTHEST = 30.0  # log-odds of a parameter from which the fit is running to infinity
ALIKE = 1e-9  # of a feature: how much it must vary to be one


def style_controlled(
    win: Floats, weight: Floats, features: Floats, names: Sequence[str], terms: RefitTerms, rng: np.random.Generator
) -> Fitted:
    """σ(w_0), where P(win | x) = σ(w_0 + Σ w_k·x_k) is fitted by maximum likelihood.

    `win`: the items' preferences in [0, 1], soft or not; `weight`: how many verdicts an item counts as; `features`:
    (items × names) by how much the system's answer is longer, or has more of a mark. A feature that is 0 everywhere is
    left out, and said so. The interval refits everything on resampled items, or clusters of items.
    """
    kept = [column for column in range(len(names)) if np.any(features[:, column])]
    x = features[:, kept]
    if refused := _why(win, x, [names[column] for column in kept]):
        return Fitted(None, None, no_interval(REFITTED, refused))
    order = np.lexsort((*x.T, win))
    win, weight, x = win[order], weight[order], x[order]
    design = np.column_stack([np.ones(len(win)), x / np.std(x, axis=0)])
    whole = _fit(design, win, weight[None], np.zeros(design.shape[1]))[0]
    if np.isnan(whole[0]):
        why = "the features part the wins from the losses: the fit runs to infinity"
        return Fitted(None, None, no_interval(REFITTED, why))

    def refit(drawn: Floats) -> Floats:
        return expit(_fit(design, win, drawn * weight, whole)[:, :1])

    labels = None if terms.labels is None else terms.labels[order]
    resampled = RefitTerms(terms.confidence, terms.scale, terms.resamples, labels, design.shape[1])
    ((error, interval),) = refitted(refit, len(win), resampled, rng)
    if absent := [name for column, name in enumerate(names) if column not in kept]:
        note = "; ".join(part for part in (interval.note, f"the same in both everywhere: {', '.join(absent)}") if part)
        interval = interval.model_copy(update={"note": note})
    return Fitted(float(expit(whole[0])), error, interval)


def _fit(design: Floats, win: Floats, weights: Floats, start: Floats) -> Floats:
    """(resamples × parameters), NaN where the likelihood has no maximum."""

    def step(now: Floats, active: Indices) -> Floats:
        lost = np.abs(now).max(axis=1) > FARTHEST
        p, drawn = expit(now @ design.T), weights[active]
        score = (drawn * (win - p)) @ design
        information = np.einsum("rn,nj,nk->rjk", drawn * p * (1 - p), design, design, optimize=True)
        information[lost] = np.eye(len(start))
        information += 1e-12 * np.eye(len(start))
        found = np.linalg.solve(information, score[:, :, None])[:, :, 0]
        return np.where(lost[:, None], LONGEST * np.sign(now), found)  # away for ever: it never converges

    return newton(np.tile(start, (len(weights), 1)), step, CONVERGED)


def _why(win: Floats, features: Floats, names: Sequence[str]) -> str:
    """Why there is no fit, in words; empty where there may be one."""
    if not len(win):
        return "no scored item"
    if not len(names):
        return "both answers look alike on every item: there is nothing to control"
    if np.all(win == 1) or np.all(win == 0):
        return f"every item is {'won' if win[0] else 'lost'}: there is nothing to fit"
    for name, column in zip(names, features.T, strict=True):
        if np.ptp(column) <= ALIKE:
            return f"{name} differs from the opponent's by the same everywhere"
        for side, share in (("more", np.mean(column >= 0)), ("less", np.mean(column <= 0))):
            if share < LEAST_SIDE:
                return f"not identified: {name} is {side} than the opponent's, or as much, on only {share:.0%} of items"
    if np.linalg.matrix_rank(np.column_stack([np.ones(len(win)), features])) <= len(names):
        return "one feature follows from the others, so that they cannot be told apart"
    return ""
