"""Bootstrap intervals of the mean: items (or clusters) are resampled, each with its repeats averaged."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from typing import Literal

import numpy as np
from scipy.special import ndtr, ndtri

from judgekit.results import Interval
from judgekit.statistics.intervals import Range, no_interval, standard_error, too_few
from judgekit.statistics.items import Floats
from judgekit.statistics.methods import RESAMPLES

Kind = Literal["bootstrap", "bca", "percentile"]  # bootstrap: studentised
CHUNK = 1 << 17  # resampled values at a time: 1 MiB each, which stays in the processor's cache
REPEATED = 24  # draw counts instead of values where every value occurs this often


def generator(seed: int, *names: str) -> np.random.Generator:
    """A generator of its own for the estimate of this name: results do not depend on the order of estimates."""
    digest = hashlib.sha256("\x1f".join(names).encode()).digest()
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, *digest[:16]])))


def bootstrap(
    x: Floats,
    confidence: float,
    scale: Range,
    rng: np.random.Generator,
    kind: Kind = "bootstrap",
    resamples: int = RESAMPLES,
) -> Interval:
    """The interval of mean(x), studentised unless `kind` says otherwise.

    Studentised (Efron and Tibshirani 1993, 12.5): mean − q(t*)·se with t* = (mean* − mean)/se*. A resample without
    spread has an infinite t*: where these reach the quantile, the interval runs to the end of the scale.
    """
    missing = too_few(kind, len(x)) or (no_interval(kind, "all scores are equal") if scale.equal(x) else None)
    if missing:
        return missing
    x = np.sort(x)  # the result depends on the values alone, not on their order
    mean = float(np.mean(x))
    centred = x - mean
    if kind == "bootstrap":
        t_star = np.concatenate([_studentised(*sums, len(x)) for sums in _sums(centred, rng, resamples)])
        low_t, high_t = quantiles(t_star, (1 - confidence) / 2, (1 + confidence) / 2)
        error = float(standard_error(x) or 0)
        return scale.interval(kind, mean - high_t * error, mean - low_t * error)
    shifts = np.concatenate([total for total, _ in _sums(centred, rng, resamples)]) / len(x)
    tails = ((1 - confidence) / 2, (1 + confidence) / 2)
    if kind == "bca":
        tails = _bca_tails(centred, shifts, tails)
        if not all(map(math.isfinite, tails)):
            return no_interval(kind, "BCa is not defined on these scores")
    low, high = quantiles(shifts, *tails)
    return scale.interval(kind, mean + low, mean + high)


def _sums(x: Floats, rng: np.random.Generator, resamples: int) -> Iterator[tuple[Floats, Floats]]:
    """(Σx*, Σx*²) of the resamples, chunk by chunk."""
    values, counts = np.unique(x, return_counts=True)
    n, drawn_by_count = len(x), len(values) * REPEATED <= len(x)
    chunk = max(1, CHUNK // (len(values) if drawn_by_count else n))
    for start in range(0, resamples, chunk):
        size = min(chunk, resamples - start)
        if drawn_by_count:  # the same distribution, in far fewer draws
            drawn = rng.multinomial(n, counts / n, size=size)
            yield drawn @ values, drawn @ values**2
        else:
            sample = x[rng.integers(0, n, size=(size, n))]
            yield sample.sum(axis=1), np.einsum("ij,ij->i", sample, sample)


def _studentised(total: Floats, squares: Floats, n: int) -> Floats:
    """t* of resamples of centred values; ±inf where a resample has no spread."""
    mean = total / n
    error = np.sqrt(np.maximum(squares - n * mean**2, 0) / (n - 1) / n)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(mean == 0, 0.0, mean / error)


def _bca_tails(centred: Floats, shifts: Floats, tails: tuple[float, float]) -> tuple[float, float]:
    """Bias-corrected and accelerated tail probabilities (Efron 1987); for a mean the jackknife has a closed form."""
    bias = float(ndtri((np.mean(shifts < 0) + np.mean(shifts <= 0)) / 2))
    acceleration = float(np.sum(centred**3) / (6 * np.sum(centred**2) ** 1.5))
    z = bias + ndtri(np.asarray(tails))
    low, high = ndtr(bias + z / (1 - acceleration * z))
    return float(low), float(high)


def quantiles(values: Floats, low: float, high: float) -> tuple[float, float]:
    """The order statistics number (B + 1)·p: no interpolation, so that an infinity stays one."""
    last = len(values) - 1
    first, second = (min(max(round((last + 2) * p) - 1, 0), last) for p in (low, high))
    ordered = np.partition(values, (first, second))
    return float(ordered[first]), float(ordered[second])
