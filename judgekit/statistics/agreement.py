"""Agreement of two ratings of the same things: coefficients, and Krippendorff's alpha for any number of raters.

Every coefficient is a function of weights: a weight of 1 for each pair gives the plain figure, the counts of a
resample give the bootstrap's, and 1 but for one item the jackknife's. Where a coefficient is not defined (a constant
rater, one item) it is NaN inside this file and None outside of it, never a number.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import permutations
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from judgekit.statistics.items import Floats, Indices

Level = Literal["nominal", "ordinal", "interval", "ratio"]
LEVELS: tuple[Level, ...] = ("nominal", "ordinal", "interval", "ratio")
NOTHING = 1e-12  # a variance below this part of the squared range is float noise
BLOCK = 512  # rows at a time of the matrix of sign products


def krippendorff_alpha(ratings: ArrayLike, level: Level = "interval") -> float | None:
    """Krippendorff's alpha, 1 − observed / expected disagreement (Krippendorff 2011, "Computing Krippendorff's
    alpha-reliability").

    `ratings` has the shape (raters, items), NaN where a rater did not rate the item; items with fewer than two
    ratings count for nothing. None where it is not defined: fewer than two items with two ratings, or all ratings
    equal. ValueError for another shape, an infinity, an unknown level, and negative values at level "ratio".
    """
    matrix = np.asarray(ratings, dtype=np.float64)
    if matrix.ndim != 2:
        raise ValueError(f"ratings are a matrix of raters by items, not of {matrix.ndim} dimensions")
    rater, item = np.nonzero(~np.isnan(matrix))
    units = Units.of(matrix[rater, item], item, level)
    return None if units is None else _known(units.alpha(np.ones((1, units.n_units))))


@dataclass(frozen=True)
class Units:
    """Ratings by unit, for alpha: `value` (sorted by unit), its `unit` 0 … n_units − 1, where each unit starts, and
    how many ratings it has (two at least). `source` is the label that each unit came with."""

    coded: Coded
    unit: Indices
    starts: Indices
    size: Floats
    source: Indices
    level: Level

    @classmethod
    def of(cls, value: Floats, label: Indices, level: Level) -> Units | None:
        """The units with two ratings or more; None where there are not two of them. ValueError: see above."""
        if level not in LEVELS:
            raise ValueError(f"unknown level {level!r}: one of {', '.join(LEVELS)}")
        if not np.all(np.isfinite(value)):
            raise ValueError("infinities are not ratings")
        if level == "ratio" and np.any(value < 0):
            raise ValueError("the level ratio is for values from 0 upwards")
        order = np.argsort(label, kind="stable")
        value, label = value[order], label[order]
        _, inverse, size = np.unique(label, return_inverse=True, return_counts=True)
        kept = size[inverse] >= 2
        if len(np.unique(label[kept])) < 2:
            return None
        source, starts, unit, size = np.unique(label[kept], return_index=True, return_inverse=True, return_counts=True)
        return cls(Coded.of(value[kept]), unit, starts, size.astype(np.float64), source, level)

    @property
    def n_units(self) -> int:
        return len(self.starts)

    def alpha(self, weights: Floats) -> Floats:
        """Alpha for each row of `weights` (resamples, units); NaN where it is not defined."""
        counts = self.coded.totals(weights[:, self.unit])
        n = counts.sum(axis=1)
        if self.level == "ratio":
            observed, expected = self._ratio(weights, counts)
        elif self.level == "nominal":
            observed, expected = self._nominal(weights, counts)
        else:
            # The ordinal distance of two values is that of their mid-ranks, so that one rule serves both.
            place = midranks(counts) if self.level == "ordinal" else self.coded.unit_values[np.newaxis, :]
            observed, expected = self._squared(weights, counts, place)
        with np.errstate(divide="ignore", invalid="ignore"):
            alpha = 1 - (n - 1) * observed / expected
        spread = np.count_nonzero(counts > 0, axis=1) > 1
        return np.where(spread & (expected > 0), alpha, np.nan)

    def _per_unit(self, values: Floats) -> Floats:
        """Sums over each unit's ratings, of (resamples or 1, ratings)."""
        sums: Floats = np.add.reduceat(values, self.starts, axis=1)
        return sums

    def _squared(self, weights: Floats, counts: Floats, place: Floats) -> tuple[Floats, Floats]:
        """Σ (x − y)² over the pairs within units and over all pairs; x, y at `place` (resamples or 1, values)."""
        each = place[:, self.coded.code]
        within = 2 * (self.size * self._per_unit(each**2) - self._per_unit(each) ** 2) / (self.size - 1)
        n = counts.sum(axis=1)
        overall = 2 * (n * (counts * place**2).sum(axis=1) - (counts * place).sum(axis=1) ** 2)
        return (weights * within).sum(axis=1), overall

    def _nominal(self, weights: Floats, counts: Floats) -> tuple[Floats, Floats]:
        cell = self.unit * len(self.coded.values) + self.coded.code
        _, first, same = np.unique(cell, return_index=True, return_counts=True)
        squares = np.bincount(self.unit[first], weights=same.astype(np.float64) ** 2, minlength=self.n_units)
        within = (self.size**2 - squares) / (self.size - 1)
        return weights @ within, counts.sum(axis=1) ** 2 - (counts**2).sum(axis=1)

    def _ratio(self, weights: Floats, counts: Floats) -> tuple[Floats, Floats]:
        x = self.coded.values
        total = np.add.outer(x, x)
        distance = (np.subtract.outer(x, x) / np.where(total > 0, total, 1.0)) ** 2
        ends = [*self.starts[1:], len(self.unit)]
        codes = [self.coded.code[start:end] for start, end in zip(self.starts, ends, strict=True)]
        within = np.asarray([distance[np.ix_(code, code)].sum() for code in codes]) / (self.size - 1)
        return weights @ within, np.einsum("bi,ij,bj->b", counts, distance, counts, optimize=True)


@dataclass(frozen=True)
class Coded:
    """Values as codes 0 … into the sorted distinct `values`."""

    values: Floats
    code: Indices

    @classmethod
    def of(cls, x: Floats) -> Coded:
        values, code = np.unique(x, return_inverse=True)
        return cls(values, code.astype(np.intp))

    @cached_property
    def unit_values(self) -> Floats:
        """The distinct values on [−½, ½]: coefficients that do not depend on the scale lose no digits on it."""
        low, high = self.values[0], self.values[-1]
        moved: Floats = (self.values - (low + high) / 2) / ((high - low) or 1.0)
        return moved

    @cached_property
    def _groups(self) -> tuple[Indices, Indices]:
        order = np.argsort(self.code, kind="stable")
        return order, np.searchsorted(self.code[order], np.arange(len(self.values)))

    def totals(self, weights: Floats) -> Floats:
        """The weight of each distinct value: (resamples, pairs) → (resamples, values)."""
        order, starts = self._groups
        sums: Floats = np.add.reduceat(weights[:, order], starts, axis=1)
        return sums


def midranks(counts: Floats) -> Floats:
    """The mid-rank of each value, given how often it occurs: (resamples, values)."""
    return np.cumsum(counts, axis=1) - counts / 2


@dataclass(frozen=True)
class Ratings:
    """Two ratings `a` and `b` of the same things, pair by pair; `item` is the number of each pair's item.

    An item counts once: its pairs share its weight, and are resampled together.
    """

    a: Floats
    b: Floats
    item: Indices

    def __post_init__(self) -> None:
        if not len(self.a) == len(self.b) == len(self.item):
            raise ValueError("both ratings and the items have one entry a pair")
        if not (np.all(np.isfinite(self.a)) and np.all(np.isfinite(self.b))):
            raise ValueError("NaN and infinities are not ratings")

    @classmethod
    def of(cls, a: ArrayLike, b: ArrayLike, item: ArrayLike | None = None) -> Ratings:
        first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
        number = np.arange(len(first)) if item is None else np.unique(np.asarray(item), return_inverse=True)[1]
        return cls(first, second, np.asarray(number, dtype=np.intp))

    @cached_property
    def size(self) -> Floats:
        """Pairs by item."""
        return np.bincount(self.item).astype(np.float64)

    @property
    def n_items(self) -> int:
        return len(self.size)

    def spread(self, items: Floats) -> Floats:
        """Weights of items (resamples, items) as weights of pairs."""
        return items[:, self.item] / self.size[self.item]

    def item_means(self, values: Floats) -> Floats:
        """One mean an item of a value a pair."""
        return np.bincount(self.item, weights=values) / self.size

    def where(self, mask: NDArrayBool) -> Ratings:
        """The pairs that the mask keeps."""
        return Ratings.of(self.a[mask], self.b[mask], self.item[mask])

    @cached_property
    def coded_a(self) -> Coded:
        return Coded.of(self.a)

    @cached_property
    def coded_b(self) -> Coded:
        return Coded.of(self.b)

    @cached_property
    def unit(self) -> tuple[Floats, Floats]:
        """a and b moved and scaled alike, onto [−½, ½]."""
        both = Coded.of(np.concatenate((self.a, self.b)))
        x = both.unit_values[both.code]
        return x[: len(self.a)], x[len(self.a) :]

    def mapped(self, change: Callable[[Floats], Floats]) -> Ratings:
        """The same pairs with other values."""
        return Ratings(change(self.a), change(self.b), self.item)

    @cached_property
    def _units(self) -> dict[Level, Units | None]:
        number = np.tile(np.arange(len(self.a)), 2)
        return {level: Units.of(np.concatenate((self.a, self.b)), number, level) for level in self._levels()}

    def _levels(self) -> tuple[Level, ...]:
        negative = min(self.a.min(initial=0), self.b.min(initial=0)) < 0
        return LEVELS[:3] if negative else LEVELS

    def alpha(self, level: Level, items: Floats) -> Floats:
        """Krippendorff's alpha of the two ratings, for each row of item weights."""
        units = self._units[level]
        return np.full(len(items), np.nan) if units is None else units.alpha(self.spread(items))


@dataclass(frozen=True)
class Labelled(Ratings):
    """Every label against every other of the same response, both ways round; alpha is that of all labellers at once.

    `labels` are all labels, `response` the number of each one's response, `response_item` each response's item.
    """

    labels: Floats
    response: Indices
    response_item: Indices

    @classmethod
    def pairs(cls, labels: Floats, response: Indices, response_item: Indices) -> Labelled:
        """ValueError where no response has two labels."""
        _, inverse, size = np.unique(response, return_inverse=True, return_counts=True)
        several = size[inverse] >= 2
        if not np.any(several):
            raise ValueError("no response has two labels")
        labels = labels[several]
        numbers, response = np.unique(response[several], return_inverse=True)
        items = np.unique(response_item[numbers], return_inverse=True)[1].astype(np.intp)
        order = np.argsort(response, kind="stable")
        groups = np.split(labels[order], np.flatnonzero(np.diff(response[order])) + 1)
        pairs = [(items[number], a, b) for number, group in enumerate(groups) for a, b in permutations(group, 2)]
        item, first, second = (np.asarray(column) for column in zip(*pairs, strict=True))
        return cls(first, second, item, labels, response.astype(np.intp), items)

    def mapped(self, change: Callable[[Floats], Floats]) -> Labelled:
        return Labelled(
            change(self.a), change(self.b), self.item, change(self.labels), self.response, self.response_item
        )

    def alpha(self, level: Level, items: Floats) -> Floats:
        units = Units.of(self.labels, self.response, level)
        if units is None:
            return np.full(len(items), np.nan)
        return units.alpha(items[:, self.response_item] / np.bincount(self.response_item)[self.response_item])


NDArrayBool = np.ndarray[tuple[int, ...], np.dtype[np.bool_]]
Coefficient = Callable[[Ratings, Floats], Floats]  # (ratings, item weights) → one value a row of weights


def cohen_kappa(ratings: Ratings, items: Floats) -> Floats:
    """Cohen's (1960) kappa: agreement beyond that of two raters with the same habits and no idea."""
    weights = ratings.spread(items)
    n = weights.sum(axis=1)
    common, ia, ib = np.intersect1d(ratings.coded_a.values, ratings.coded_b.values, return_indices=True)
    same = weights @ (ratings.a == ratings.b).astype(np.float64) / n
    chance = np.zeros_like(n)
    if len(common):
        chance = (ratings.coded_a.totals(weights)[:, ia] * ratings.coded_b.totals(weights)[:, ib]).sum(axis=1) / n**2
    return _ratio(same - chance, 1 - chance)


def quadratic_kappa(ratings: Ratings, items: Floats) -> Floats:
    """Cohen's (1968) weighted kappa, disagreement weighted by the squared difference of the values."""
    a, b = ratings.unit
    weights = ratings.spread(items)
    n = weights.sum(axis=1)
    chance = (weights @ (a**2 + b**2)) / n - 2 * (weights @ a) * (weights @ b) / n**2
    return _ratio(chance - (weights @ (a - b) ** 2) / n, chance)


def pearson(ratings: Ratings, items: Floats) -> Floats:
    """Pearson's correlation of the values."""
    coded_a, coded_b = ratings.coded_a, ratings.coded_b
    a, b = coded_a.unit_values[coded_a.code], coded_b.unit_values[coded_b.code]
    return _correlation(ratings.spread(items), a[np.newaxis, :], b[np.newaxis, :])


def spearman(ratings: Ratings, items: Floats) -> Floats:
    """Spearman's correlation: Pearson's of the ranks, equal values sharing their mean rank."""
    weights = ratings.spread(items)
    n = weights.sum(axis=1, keepdims=True)
    ranks = [(midranks(coded.totals(weights)) / n)[:, coded.code] - 0.5 for coded in (ratings.coded_a, ratings.coded_b)]
    return _correlation(weights, *ranks)


def kendall(ratings: Ratings, items: Floats) -> Floats:
    """Kendall's (1945) tau-b: pairs of items in the same order, less those in the other order; ties paid for."""
    weights = ratings.spread(items)
    cell = ratings.coded_a.code * len(ratings.coded_b.values) + ratings.coded_b.code
    cells = Coded.of(cell.astype(np.float64))
    by_cell = cells.totals(weights)
    a, b = np.divmod(cells.values, len(ratings.coded_b.values))
    order = np.zeros(len(weights))
    for start in range(0, len(a), BLOCK):
        rows = slice(start, start + BLOCK)
        signs = np.sign(np.subtract.outer(a[rows], a)) * np.sign(np.subtract.outer(b[rows], b))
        order += ((by_cell @ signs.T) * by_cell[:, rows]).sum(axis=1)
    total = weights.sum(axis=1) ** 2
    untied = [total - (coded.totals(weights) ** 2).sum(axis=1) for coded in (ratings.coded_a, ratings.coded_b)]
    known = (untied[0] > NOTHING * total) & (untied[1] > NOTHING * total)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(known, order / np.sqrt(untied[0] * untied[1]), np.nan)


def kendall_work(ratings: Ratings) -> int:
    """Products of signs that one resample of `kendall` costs."""
    return len(np.unique(np.stack((ratings.coded_a.code, ratings.coded_b.code)), axis=1)[0]) ** 2


def alpha(level: Level) -> Coefficient:
    """Krippendorff's alpha at a level of measurement."""
    return lambda ratings, items: ratings.alpha(level, items)


COEFFICIENTS: Mapping[str, Coefficient] = {
    "kappa": cohen_kappa,
    "kappa_quadratic": quadratic_kappa,
    **{f"alpha_{level}": alpha(level) for level in LEVELS},
    "pearson": pearson,
    "spearman": spearman,
    "kendall": kendall,
}


def coefficient(name: str, ratings: Ratings) -> float | None:
    """One coefficient of COEFFICIENTS; None where it is not defined: fewer than two items, or a constant rater."""
    if ratings.n_items < 2:
        return None
    return _known(COEFFICIENTS[name](ratings, np.ones((1, ratings.n_items))))


def majority_rate(b: Floats) -> float | None:
    """The share of the most frequent value: how often one who always said it would agree with b."""
    return float(np.max(np.unique(b, return_counts=True)[1])) / len(b) if len(b) else None


def _correlation(weights: Floats, a: Floats, b: Floats) -> Floats:
    """The weighted correlation of a and b, each (resamples or 1, pairs)."""
    n = weights.sum(axis=1)
    mean_a, mean_b = (weights * a).sum(axis=1) / n, (weights * b).sum(axis=1) / n
    a, b = a - mean_a[:, np.newaxis], b - mean_b[:, np.newaxis]
    together = (weights * a * b).sum(axis=1) / n
    alone_a, alone_b = (weights * a * a).sum(axis=1) / n, (weights * b * b).sum(axis=1) / n
    known = (alone_a > NOTHING) & (alone_b > NOTHING)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(known, np.clip(together / np.sqrt(alone_a * alone_b), -1, 1), np.nan)


def _ratio(part: Floats, whole: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(whole > NOTHING, part / whole, np.nan)


def _known(value: Floats) -> float | None:
    return float(value[0]) if np.isfinite(value[0]) else None
