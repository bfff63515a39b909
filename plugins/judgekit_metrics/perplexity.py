"""The perplexity of given texts: e to the nats a token, over all tokens of all items."""

from __future__ import annotations

import math

import numpy as np

import judgekit
from judgekit.statistics import (
    REFITTED,
    Estimate,
    Floats,
    Interval,
    IntervalTerms,
    ItemTable,
    Range,
    Refit,
    RefitTerms,
    Subject,
    cluster_labels,
    generator,
    no_interval,
    refitted,
)

WORST = 30.0  # nats a token; beyond, a model finds the texts impossible
PERPLEXITY = judgekit.Scale(label="perplexity of the reference", low=1, high=math.exp(WORST), higher_is_better=False)
NAME = "perplexity"


def perplexity_estimate(
    nats: ItemTable,
    tokens: ItemTable,
    of: Subject,
    terms: IntervalTerms,
) -> Estimate:
    """exp(Σ nats / Σ tokens) over the items (Jelinek et al. 1977), with the percentile interval of resampled items:
    that of the nats a token, its ends exponentiated. The standard error is that of the nats times the perplexity.

    `nats` and `tokens` hold the negative log-likelihood and the number of tokens of each item. A long text counts for
    more than a short one: it is the perplexity of the whole, not a mean over items.
    """
    items, (present, sums) = nats.ids, nats.means()
    fit = _fit(sums, tokens.means()[1])
    labels, refused = cluster_labels(nats.clusters, [items[index] for index in present])
    mean = float(fit(np.ones((1, len(sums))))[0, 0]) if len(sums) else None
    error, interval = None, no_interval(REFITTED, refused or "no scored item")
    if mean is not None and not refused:
        scale = Range(0.0, WORST)
        ((error, interval),) = refitted(
            fit,
            len(sums),
            RefitTerms(terms.confidence, scale, terms.resamples, labels),
            generator(terms.seed, of.metric, of.system, NAME),
        )
    value = None if mean is None else math.exp(mean)
    return Estimate(
        metric=of.metric,
        system=of.system,
        series=of.series,
        scale=of.scale,
        value=value,
        se=None if error is None or value is None else error * value,
        confidence=terms.confidence,
        interval=_exponential(interval),
        n_items=len(sums),
        n_clusters=None if labels is None else len(np.unique(labels)),
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
