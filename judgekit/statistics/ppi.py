"""PPI++: a few labels correct a judge that has read every item (Angelopoulos, Duchi and Zrnic 2023)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from judgekit.results import Corrected, Interval
from judgekit.statistics.intervals import Range, no_interval, t_interval, t_quantile
from judgekit.statistics.items import Floats
from judgekit.text import counted

FEWEST = 3  # labels: the interval has n − 2 degrees of freedom
FEW_BINARY = 50  # labels under which an interval on yes/no labels covers too little


@dataclass(frozen=True)
class Ppi:
    """The estimate, its standard error, and λ, the weight of the judge."""

    value: float
    se: float
    weight: float


def ppi_plus_plus(human: Floats, judge: Floats, unlabelled: Floats) -> Ppi:
    """The mean label over all items: θ = mean(H) + λ(mean(J_u) − mean(J_l)).

    `human` and `judge` are the label and the judge's score of the n labelled items, `unlabelled` the judge's scores of
    the N others. λ = clip(cov(H, J) / ((1 + n/N) var J), 0, 1), var J over all n + N scores;
    SE² = var(H − λJ)/n + λ² var(J_u)/N. The labelled items must be a random sample of all items. ValueError for fewer
    than three labels or two others.
    """
    n, others = len(human), len(unlabelled)
    if n != len(judge) or n < FEWEST or others < 2:
        raise ValueError("needs three labelled items, and two others")
    spread = float(np.var(np.concatenate((judge, unlabelled)), ddof=1))
    together = float(np.cov(human, judge)[0, 1])
    weight = min(max(together / ((1 + n / others) * spread), 0.0), 1.0) if spread > 0 else 0.0
    value = float(np.mean(human)) + weight * (float(np.mean(unlabelled)) - float(np.mean(judge)))
    variance = np.var(human - weight * judge, ddof=1) / n + weight**2 * np.var(unlabelled, ddof=1) / others
    return Ppi(value, math.sqrt(variance), weight)


def corrected(
    system: str, human: Floats, judge: Floats, unlabelled: Floats, scale: Range, confidence: float = 0.95
) -> Corrected:
    """The PPI++ estimate with its t-interval of n − 2 degrees of freedom, clipped to the scale, beside the judge's
    and the labels' own means. Where it cannot be made, the note says why."""
    every = np.concatenate((judge, unlabelled))
    n, others = len(human), len(unlabelled)
    value, weight, note = None, None, ""
    if n < FEWEST:
        interval = no_interval("ppi++", f"{counted(n, 'label')}: it takes {FEWEST} at least")
    elif others < 2:
        interval = no_interval("ppi++", "every item has a label: the labels' own mean needs no correction")
    else:
        corrected = ppi_plus_plus(human, judge, unlabelled)
        value, weight = min(max(corrected.value, scale.low), scale.high), corrected.weight
        interval = _interval(corrected, n, confidence, scale)
        if len(np.unique(human)) <= 2 and n < FEW_BINARY:
            note = f"{n} yes/no labels: under {FEW_BINARY}, the interval covers less than it says"
    return Corrected(
        system=system,
        value=value,
        interval=interval,
        weight=weight,
        judge_only=t_interval(every, confidence, scale),
        judge_mean=float(np.mean(every)) if len(every) else None,
        labels_only=t_interval(human, confidence, scale),
        labels_mean=float(np.mean(human)) if n else None,
        n_labels=n,
        n_unlabelled=others,
        note=note,
    )


def _interval(corrected: Ppi, n: int, confidence: float, scale: Range) -> Interval:
    if corrected.se <= 1e-9 * scale.range:
        return no_interval("ppi++", "all labels differ from the judge by the same: there is no spread to estimate from")
    half = t_quantile(confidence, n - 2) * corrected.se
    return scale.interval("ppi++", corrected.value - half, corrected.value + half)
