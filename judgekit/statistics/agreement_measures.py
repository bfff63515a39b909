"""The figures of agreement between two ratings of the same items, each with an interval from resampled items.

Mean differences of scores take the studentised bootstrap of bootstrap.py, shares Wilson's interval, coefficients the
percentile interval of resampled items. With under fifty items that covers too little on ratings that crowd at the ends
of their scale (of 20 of the book's graded labels: Pearson 81 %, kappa 60): coefficients then take the wider of two
intervals on Fisher's z, which cover 92 to 99 %.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from judgekit.results import AgreementMeasure, Interval
from judgekit.statistics.agreement import (
    COEFFICIENTS,
    Labelled,
    NDArrayBool,
    Ratings,
    coefficient,
    kendall_work,
    majority_rate,
)
from judgekit.statistics.bootstrap import Kind as Resampling
from judgekit.statistics.bootstrap import bootstrap, generator
from judgekit.statistics.intervals import SAME, Range, no_interval, on_grid, plus_two_t, t_quantile, too_few, wilson
from judgekit.statistics.items import Floats

Kind = Literal["score", "preference", "binary"]
FEW = 50  # items, under which a percentile interval covers too little
FEW_RESAMPLES = 499  # each with a jackknife of its own
RESAMPLES = 1_999  # enough for a percentile interval, and quick at thousands of items
UNIT = Range(0.0, 1.0)
NOISE = 9  # decimals; means that differ by less are one value with float noise
CELLS = 1 << 19  # weights at a time: 4 MiB each
WORK = 4e10  # products of signs for one interval of Kendall's tau; beyond, it takes fewer resamples
UNDEFINED = 0.05  # share of resamples without a coefficient from which there is no interval
FEWEST = 99  # resamples that a percentile interval needs

COEFFICIENTS_OF: dict[Kind, tuple[tuple[str, str], ...]] = {
    "score": (
        ("kappa", "Cohen's kappa"),
        ("kappa_quadratic", "Cohen's kappa, quadratic weights"),
        ("alpha_ordinal", "Krippendorff's alpha, ordinal"),
        ("alpha_interval", "Krippendorff's alpha, interval"),
        ("pearson", "Pearson's r"),
        ("spearman", "Spearman's rho"),
        ("kendall", "Kendall's tau-b"),
    ),
    "preference": (
        ("kappa", "Cohen's kappa (win, tie, loss)"),
        ("kappa_quadratic", "Cohen's kappa, quadratic weights"),
        ("alpha_nominal", "Krippendorff's alpha, nominal"),
        ("alpha_ordinal", "Krippendorff's alpha, ordinal"),
        ("pearson", "Pearson's r"),
        ("spearman", "Spearman's rho"),
        ("kendall", "Kendall's tau-b"),
    ),
    "binary": (
        ("kappa", "Cohen's kappa"),
        ("alpha_nominal", "Krippendorff's alpha, nominal"),
        ("pearson", "Pearson's r (phi)"),
        ("spearman", "Spearman's rho"),
        ("kendall", "Kendall's tau-b"),
    ),
}
ON_SIDES = ("kappa", "kappa_quadratic", "alpha_nominal", "alpha_ordinal")  # of preferences: win, tie and loss alone


@dataclass(frozen=True)
class _Maker:
    scale: Range
    confidence: float
    seed: int
    resamples: int

    def share(self, name: str, label: str, ratings: Ratings, hits: NDArrayBool, empty: str = "") -> AgreementMeasure:
        """The share of pairs that hit, each item's pairs averaged."""
        means = ratings.item_means(hits.astype(np.float64))
        measure = self._mean(name, label, means, UNIT, "percentile", empty)
        if len(means) < 2:
            return measure
        labels = 1 if on_grid(means, UNIT, 1) else int(ratings.size.max())
        return measure.model_copy(update={"interval": wilson(means, self.confidence, UNIT, labels)})

    def difference(
        self, name: str, label: str, ratings: Ratings, values: Floats, method: Resampling
    ) -> AgreementMeasure:
        """A mean of differences of the two ratings."""
        whole = Range(-self.scale.range, self.scale.range)
        return self._mean(name, label, ratings.item_means(values), whole, method)

    def _mean(
        self, name: str, label: str, means: Floats, scale: Range, method: Resampling, empty: str = ""
    ) -> AgreementMeasure:
        rng = generator(self.seed, "agreement", name)
        interval = bootstrap(means, self.confidence, scale, rng, method, resamples=self.resamples)
        if not len(means):
            interval = no_interval(method, empty or "no item")
        elif len(means) > 1 and scale.equal(means):
            interval = no_interval(method, "the same on every item")
        elif method == "percentile" and len(means) < FEW:
            interval = plus_two_t(means, self.confidence, scale)
        value = float(np.mean(means)) if len(means) else None
        return AgreementMeasure(name=name, label=label, value=value, interval=interval, n_items=len(means))

    def coefficient(self, name: str, label: str, ratings: Ratings) -> AgreementMeasure:
        value = coefficient(name, ratings) if ratings.n_items > 2 else None  # two points lie on a line
        if value is None:
            interval = no_interval("percentile", _why_not(ratings))
            return AgreementMeasure(name=name, label=label, value=None, interval=interval, n_items=ratings.n_items)
        few = 3 < ratings.n_items < FEW and abs(value) < 1 - SAME
        interval = self._fisher(name, ratings, value) if few else self._percentile(name, ratings)
        return AgreementMeasure(name=name, label=label, value=value, interval=interval, n_items=ratings.n_items)

    def _fisher(self, name: str, ratings: Ratings, value: float) -> Interval:
        """The wider, at each end, of two intervals on z = artanh of the coefficient: ± t(n − 1) times the larger of the
        jackknife's standard error and Fisher's 1/√(n − 3); and ± the quantile of |z* − z| over the resample's own
        jackknife error (a symmetric bootstrap-t)."""
        n, rng, draw = ratings.n_items, generator(self.seed, "agreement", name), COEFFICIENTS[name]
        most = (1 + abs(value)) / 2  # what a coefficient of 1 counts for: its z is infinite

        def fisher(weights: Floats) -> Floats:
            found = draw(ratings, weights)
            return np.arctanh(np.where(np.abs(found) < 1 - SAME, found, np.sign(found) * most))

        z, error = math.atanh(value), float(_jackknife(fisher, np.ones((1, n)))[0])
        drawn = rng.multinomial(n, np.full(n, 1 / n), size=FEW_RESAMPLES).astype(np.float64)
        found = fisher(drawn)
        lost = int(np.sum(~np.isfinite(found)))
        if lost > UNDEFINED * FEW_RESAMPLES:
            return no_interval("fisher_z", f"too little variety: {lost} of {FEW_RESAMPLES} resamples have no value")
        with np.errstate(divide="ignore", invalid="ignore"):
            away = np.abs(found - z) / _jackknife(fisher, drawn)
        away = away[np.isfinite(away)]
        half = t_quantile(self.confidence, n - 1) * max(error, 1 / math.sqrt(n - 3))
        if len(away) >= FEWEST:
            half = max(half, float(np.quantile(away, self.confidence)) * error)
        return Interval(method="fisher_z", low=math.tanh(z - half), high=math.tanh(z + half))

    def _percentile(self, name: str, ratings: Ratings) -> Interval:
        """The percentile interval; resamples in which the coefficient is not defined are left out, if they are few."""
        n, resamples = ratings.n_items, self.resamples
        if name == "kendall":
            resamples = min(resamples, max(FEWEST, int(WORK / max(kendall_work(ratings), 1))))
        rng = generator(self.seed, "agreement", name)
        values = []
        for start in range(0, resamples, chunk := max(1, CELLS // len(ratings.a))):
            weights = rng.multinomial(n, np.full(n, 1 / n), size=min(chunk, resamples - start)).astype(np.float64)
            values.append(COEFFICIENTS[name](ratings, weights))
        return percentile(np.concatenate(values), self.confidence)


def _jackknife(fisher: Callable[[Floats], Floats], weights: Floats) -> Floats:
    """The jackknife's standard error of z for each row of item `weights` (resamples, items)."""
    resamples, n = weights.shape
    z = fisher(np.maximum(weights[:, np.newaxis, :] - np.eye(n), 0).reshape(-1, n)).reshape(resamples, n)
    counted = np.where(np.isfinite(z), weights, 0.0)
    z = np.where(np.isfinite(z), z, 0.0)
    with np.errstate(invalid="ignore"):
        centre = np.sum(counted * z, axis=1, keepdims=True) / counted.sum(axis=1, keepdims=True)
    error: Floats = np.sqrt((n - 1) / n * np.sum(counted * (z - centre) ** 2, axis=1))
    return error


def percentile(values: Floats, confidence: float) -> Interval:
    """The percentile interval of resampled values, NaN where a resample has none."""
    known = np.sort(values[np.isfinite(values)])
    if len(known) < (1 - UNDEFINED) * len(values):
        lost = f"{len(values) - len(known)} of {len(values)} resamples have no value"
        return no_interval("percentile", f"too little variety: {lost}")
    if np.ptp(known) == 0:
        return no_interval("percentile", "the same in every resample")
    low, high = np.quantile(known, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(method="percentile", low=float(low), high=float(high))


def agreement_measures(
    ratings: Ratings,
    kind: Kind,
    scale: Range,
    *,
    confidence: float = 0.95,
    seed: int = 0,
    resamples: int = RESAMPLES,
    names: tuple[str, str] = ("judge", "label"),
) -> tuple[AgreementMeasure, ...]:
    """Every figure of agreement of `ratings`: a against b, where b is the one taken for right (labels).

    Differences are a − b in points of `scale`. ValueError for values off the scale. A figure that the data do not
    define has no value, and its interval's note says why.
    """
    scale.check(ratings.a)
    scale.check(ratings.b)
    ratings = ratings.mapped(lambda x: np.round(x, NOISE))
    make = _Maker(scale, confidence, seed, resamples)
    sides = ratings.mapped(lambda x: _sides(x, scale))
    if kind == "preference":
        decided = sides.where((sides.a != 0.5) & (sides.b != 0.5))
        measures = [
            make.share("agreement", "same winner, or both a tie", sides, sides.a == sides.b),
            make.share(
                "agreement_no_ties",
                "same winner, ties left out",
                decided,
                decided.a == decided.b,
                "no item without a tie",
            ),
        ]
    else:
        words = "same answer" if kind == "binary" else "exactly the same score"
        measures = [make.share("agreement", words, ratings, ratings.a == ratings.b)]
    for name, label in COEFFICIENTS_OF[kind]:
        on = sides if kind == "preference" and name in ON_SIDES else ratings
        measures.append(make.coefficient(name, label, on))
    if len(ratings.a):
        # Of differences with few values, many resamples have no spread to be studentised by.
        method: Resampling = "bootstrap" if kind == "score" else "percentile"
        signed, error = f"mean signed error ({names[0]} − {names[1]})", ratings.a - ratings.b
        measures.append(make.difference("bias", signed, ratings, error, method))
        measures.append(make.difference("mae", "mean absolute error", ratings, np.abs(error), method))
    measures.append(_majority((sides if kind == "preference" else ratings).b, ratings.n_items))
    return tuple(measures)


def ceiling(labels: Labelled, kind: Kind, scale: Range, **settings: Any) -> tuple[AgreementMeasure, ...]:
    """The same figures between labellers, one label against another: what a judge can be expected to reach.

    `settings` as in `figures`. Every pair counts both ways round, so that the signed error is nil by construction and
    left out; the majority class is left out too.
    """
    return tuple(
        figure
        for figure in agreement_measures(labels, kind, scale, **settings)
        if figure.name not in ("bias", "majority")
    )


def _sides(x: Floats, scale: Range) -> Floats:
    """0 for a loss, ½ for a tie, 1 for a win."""
    middle = (scale.low + scale.high) / 2
    sides: Floats = np.where(np.abs(x - middle) <= 1e-9 * scale.range, 0.5, (x > middle).astype(np.float64))
    return sides


def _majority(b: Floats, n_items: int) -> AgreementMeasure:
    label = "majority-class rate (always the commonest label)"
    interval = no_interval("", "a baseline, not a measurement")
    return AgreementMeasure(name="majority", label=label, value=majority_rate(b), interval=interval, n_items=n_items)


def _why_not(ratings: Ratings) -> str:
    few = too_few("percentile", ratings.n_items)
    if few:
        return "no item in common" if not ratings.n_items else "one item says nothing about agreement"
    if ratings.n_items == 2:
        return "two items say nothing about agreement"
    first, second = (len(np.unique(x)) == 1 for x in (ratings.a, ratings.b))
    if first and second:
        return "both give the same to every item" if ratings.a[0] == ratings.b[0] else "both are constant"
    return "the first gives the same to every item" if first else "the second gives the same to every item"
