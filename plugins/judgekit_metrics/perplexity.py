"""The perplexity of given texts: e to the nats a token, over all tokens of all items."""

from __future__ import annotations

import math

import numpy as np

import judgekit
from judgekit.statistics import (
    Estimate,
    Floats,
    Interval,
    IntervalTerms,
    ItemTable,
    Range,
    Subject,
    refitted_estimate,
)

WORST = 30.0  # nats a token; beyond, a model finds the texts impossible
PERPLEXITY = judgekit.Scale(label="perplexity of the reference", low=1, high=math.exp(WORST), higher_is_better=False)
NAME = "perplexity"


def perplexity_estimate(nats: ItemTable, tokens: ItemTable, of: Subject, terms: IntervalTerms) -> Estimate:
    """exp(Σ nats / Σ tokens) over the items (Jelinek et al. 1977), with the percentile interval of resampled items:
    that of the nats a token, its ends exponentiated. The standard error is that of the nats times the perplexity.

    `nats` and `tokens` hold the negative log-likelihood and the number of tokens of each item. A long text counts for
    more than a short one: it is the perplexity of the whole, not a mean over items.
    """
    sums, lengths = nats.means()[1], tokens.means()[1]

    def fit(weights: Floats) -> Floats:
        """Nats a token."""
        return np.minimum((weights @ sums) / (weights @ lengths), WORST)[:, np.newaxis]

    mean = float(fit(np.ones((1, len(sums))))[0, 0]) if len(sums) else None
    fitted = refitted_estimate(nats, fit, mean, of, Range(0.0, WORST), terms)
    value = None if mean is None else math.exp(mean)
    error = None if fitted.se is None or value is None else fitted.se * value
    return fitted.model_copy(
        update={"value": value, "se": error, "repeats": 1, "interval": _exponential(fitted.interval)}
    )


def _exponential(interval: Interval) -> Interval:
    if interval.low is None or interval.high is None:
        return interval
    return interval.model_copy(update={"low": math.exp(interval.low), "high": math.exp(interval.high)})
