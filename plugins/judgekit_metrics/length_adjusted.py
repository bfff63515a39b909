"""The length-adjusted win rate: how often a system would win if its answers were as long as the opponent's.

It takes the length term alone from AlpacaEval's length-controlled win rate (Dubois et al. 2024), which also has a
term for the difficulty of each instruction and two gamed baselines in its fit: the two numbers are not the same.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from judgekit.statistics import REFITTED, Floats, RefitTerms, no_interval, refitted
from judgekit_metrics.newton import LONGEST, Fitted, newton

CONVERGED = 1e-9
LEAST_SIDE = 0.1  # share of the items on each side of equal length, without which the fit there is an extrapolation
NARROW = 1e-6  # of tanh(x/sd(x)): where it varies less, its weight cannot be told from w_0


def length_adjusted(win: Floats, longer: Floats, terms: RefitTerms, rng: np.random.Generator) -> Fitted:
    """σ(w_0), where P(win | x) = σ(w_len·tanh(x/sd(x)) + w_0) is fitted by maximum likelihood.

    `win`: the items' preferences in [0, 1], taken as they are (soft labels). `longer`: by how many characters the
    system's answer is the longer one; its sd has ddof 1. The interval refits everything, the sd too, on resampled
    items (on resampled clusters where the terms have labels).
    """
    order = np.lexsort((win, longer))
    win, longer = np.clip(win[order], 0, 1), longer[order]
    slope, intercept = _fit(win, longer, np.ones((1, len(win))))[0] if len(win) else (np.nan, np.nan)
    if refused := _why(win, longer) if np.isnan(intercept) else _one_sided(longer):
        return Fitted(None, None, no_interval(REFITTED, refused))

    def refit(drawn: Floats) -> Floats:
        return expit(_fit(win, longer, drawn, (slope, intercept))[:, 1:])

    labels = None if terms.labels is None else terms.labels[order]
    ((error, interval),) = refitted(refit, len(win), replace(terms, labels=labels), rng)
    return Fitted(float(expit(intercept)), error, interval)


def _fit(win: Floats, longer: Floats, weights: Floats, start: tuple[float, float] = (0.0, 0.0)) -> Floats:
    """(w_len, w_0) for each row of weights, NaN where the likelihood has no maximum. Items are sorted by `longer`."""
    total = weights.sum(axis=1)
    mean = (weights @ longer) / total
    spread = np.sqrt(np.maximum(weights @ longer**2 - total * mean**2, 0) / (total - 1)) if len(win) > 1 else total * 0
    exists = _overlap(win, longer, weights) & (spread > 0)
    fitted = np.full((len(weights), 2), np.nan)
    x = np.tanh(longer / np.where(exists, spread, 1)[:, None])
    drawn = weights > 0
    last = len(win) - 1 - drawn[:, ::-1].argmax(axis=1)
    every = np.arange(len(x))
    exists &= x[every, last] - x[every, drawn.argmax(axis=1)] > NARROW
    weights, x = weights[exists], x[exists]
    starts = np.tile(np.asarray(start), (len(weights), 1))
    fitted[exists] = newton(starts, lambda now, active: _step(now, x[active], win, weights[active]), CONVERGED)
    return fitted


def _step(at: Floats, x: Floats, win: Floats, weights: Floats) -> Floats:
    """Newton's step for each row: the inverse of the 2 × 2 information times the score."""
    p = expit(at[:, :1] * x + at[:, 1:])
    rest, information = weights * (win - p), weights * p * (1 - p)
    first, second = (rest * x).sum(axis=1), rest.sum(axis=1)
    a, b, c = (information * x * x).sum(axis=1), (information * x).sum(axis=1), information.sum(axis=1)
    determinant = a * c - b * b
    with np.errstate(divide="ignore", invalid="ignore"):
        step = np.stack([(c * first - b * second) / determinant, (a * second - b * first) / determinant], axis=1)
    return np.where(np.isfinite(step), step, LONGEST)


def _overlap(win: Floats, longer: Floats, weights: Floats) -> NDArray[np.bool_]:
    """Whether no length parts the wins from the losses, without which there is no finite fit (Albert and Anderson
    1984). An item with a soft label is a bit of both."""
    drawn = weights > 0
    won, lost = drawn & (win > 0), drawn & (win < 1)
    last = len(win) - 1
    ends = [(longer[part.argmax(axis=1)], longer[last - part[:, ::-1].argmax(axis=1)]) for part in (won, lost)]
    (won_low, won_high), (lost_low, lost_high) = ends
    return np.asarray(won.any(axis=1) & lost.any(axis=1) & (won_low < lost_high) & (lost_low < won_high))


def _one_sided(longer: Floats) -> str:
    """Why answers of equal length cannot be spoken of; empty where enough are longer, and enough shorter.

    AlpacaEval's alpaca-7b wins 2.6 % and writes a longer answer on 2 % of the items: the fit says 19.8 %, AlpacaEval's
    own, with its further terms, 5.9.
    """
    for side, share in (("longer", np.mean(longer >= 0)), ("shorter", np.mean(longer <= 0))):
        if share < LEAST_SIDE:
            return f"not identified: only {share:.0%} of the answers are {side} than the opponent's, or as long"
    return ""


def _why(win: Floats, longer: Floats) -> str:
    """Why there is no fit, in words."""
    if not len(win):
        return "no scored item"
    if np.ptp(longer) == 0:
        return "every answer differs from the opponent's by the same length"
    if np.all(win == 1) or np.all(win == 0):
        return f"every item is {'won' if win[0] else 'lost'}: there is nothing to fit"
    if np.ptp(np.tanh(longer / np.std(longer, ddof=1))) <= NARROW:
        return "the answers' lengths differ from the opponent's by far more than they vary: nothing to adjust by"
    return "the lengths part the wins from the losses: the fit runs to infinity"
