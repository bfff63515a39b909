"""The perplexity of given texts: e to the nats a token, over all tokens of all items."""

from __future__ import annotations

import math

import numpy as np

from judgekit.records import Scale
from judgekit.results import Estimate, Interval
from judgekit.statistics.bootstrap import generator
from judgekit.statistics.clusters import labels_of
from judgekit.statistics.intervals import Range, none
from judgekit.statistics.items import Floats, ItemTable
from judgekit.statistics.refit import METHOD, Refit, refitted

WORST = 30.0  # nats a token; beyond, a model finds the texts impossible
PERPLEXITY = Scale(label="perplexity of the reference", low=1, high=math.exp(WORST), higher_is_better=False)
NAME = "perplexity"


def perplexity_estimate(
    nats: ItemTable,
    tokens: ItemTable,
    *,
    metric: str,
    system: str,
    confidence: float,
    seed: int,
    resamples: int,
) -> Estimate:
    """exp(Σ nats / Σ tokens) over the items (Jelinek et al. 1977), with the percentile interval of resampled items:
    that of the nats a token, its ends exponentiated. The standard error is that of the nats times the perplexity.

    `nats` and `tokens` hold the negative log-likelihood and the number of tokens of each item. A long text counts for
    more than a short one: it is the perplexity of the whole, not a mean over items.
    """
    present, sums = nats.means()
    fit = _fit(sums, tokens.means()[1])
    labels, refused = labels_of(nats, present)
    mean = float(fit(np.ones((1, len(sums))))[0, 0]) if len(sums) else None
    error, interval = None, none(METHOD, refused or "no scored item")
    if mean is not None and not refused:
        ((error, interval),) = refitted(
            fit,
            len(sums),
            confidence=confidence,
            scale=Range(0.0, WORST),
            rng=generator(seed, metric, system, NAME),
            resamples=resamples,
            labels=labels,
        )
    value = None if mean is None else math.exp(mean)
    return Estimate(
        metric=metric,
        system=system,
        series=NAME,
        scale=PERPLEXITY,
        value=value,
        se=None if error is None or value is None else error * value,
        confidence=confidence,
        interval=_exponential(interval),
        n_items=len(sums),
        n_clusters=None if labels is None else int(labels.max()) + 1,
        counts=dict(nats.counts),
    )


def _fit(nats: Floats, tokens: Floats) -> Refit:
    """Nats a token."""

    def mean(weights: Floats) -> Floats:
        return np.minimum((weights @ nats) / (weights @ tokens), WORST)[:, np.newaxis]

    return mean


def _exponential(interval: Interval) -> Interval:
    if interval.low is None or interval.high is None:
        return interval
    return interval.model_copy(update={"low": math.exp(interval.low), "high": math.exp(interval.high)})
