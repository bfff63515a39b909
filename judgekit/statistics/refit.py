"""Item bootstrap of a fitted number: the fit is made again on each resample of the items (or of clusters of them)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from judgekit.results import Interval
from judgekit.statistics.bootstrap import CHUNK, quantiles
from judgekit.statistics.clusters import too_few_clusters
from judgekit.statistics.intervals import Range, no_interval, too_few
from judgekit.statistics.items import Floats, Indices

REFITTED = "bootstrap_refit"
WORK = 100_000_000  # resamples × items at most: a hundred thousand items get a thousand refits
FEWEST = 999
NO_FIT = 0.5  # share of resamples without a fit from which there is no interval

Refit = Callable[[Floats], Floats]
"""(resamples × items) weights → one row of fitted numbers a resample, NaN where there is no fit."""


def weights(
    items: int, rng: np.random.Generator, resamples: int, labels: Indices | None = None, width: int = 1
) -> Iterator[Floats]:
    """How often each item is drawn, (some resamples × items) at a time. With `labels`, whole clusters are drawn.

    `width` is the memory that a fit needs for each weight, in values.
    """
    units = items if labels is None else int(labels.max()) + 1
    resamples = min(resamples, max(FEWEST, WORK // items))
    chunk = max(1, CHUNK // (max(items, units) * width))
    for start in range(0, resamples, chunk):
        size = min(chunk, resamples - start)
        drawn = rng.integers(0, units, size=(size, units)) + units * np.arange(size)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=size * units).reshape(size, units).astype(np.float64)
        yield counts if labels is None else counts[:, labels]


@dataclass(frozen=True)
class RefitTerms:
    """How a fit is resampled: on which `scale` its numbers are, and the cluster number of each item in `labels`.

    `width` is the memory that a fit needs for each weight, in values.
    """

    confidence: float
    scale: Range
    resamples: int
    labels: Indices | None = None
    width: int = 1


def refitted(
    fit: Refit, items: int, terms: RefitTerms, rng: np.random.Generator
) -> list[tuple[float | None, Interval]]:
    """(SE, percentile interval) of each fitted number (Efron and Tibshirani 1993, 13.3).

    A resample on which there is no fit counts as the scale's low end for `low` and as its high end for `high`: it
    can widen an interval and never narrow it.
    """
    labels = terms.labels
    clusters = None if labels is None else int(labels.max()) + 1 if len(labels) else 0
    refused = too_few_clusters(clusters) if clusters is not None else ""
    missing = too_few(REFITTED, items) or (no_interval(REFITTED, refused) if refused else None)
    if missing:
        return [(None, missing)] * fit(np.ones((1, items))).shape[1]
    fitted = np.concatenate([fit(drawn) for drawn in weights(items, rng, terms.resamples, labels, terms.width)])
    return [_interval(column, terms.confidence, terms.scale) for column in fitted.T]


def _interval(values: Floats, confidence: float, scale: Range) -> tuple[float | None, Interval]:
    fitted = values[~np.isnan(values)]
    if len(fitted) < 2 or len(fitted) <= NO_FIT * len(values):
        return None, no_interval(REFITTED, f"{len(values) - len(fitted)} of {len(values)} resamples have no fit")
    if scale.equal(fitted):
        return None, no_interval(REFITTED, "every resample gives the same")
    tails = (1 - confidence) / 2, (1 + confidence) / 2
    low, _ = quantiles(np.where(np.isnan(values), scale.low, values), *tails)
    _, high = quantiles(np.where(np.isnan(values), scale.high, values), *tails)
    return float(np.std(fitted, ddof=1)), scale.interval(REFITTED, low, high)
