"""Item tables: rows to item means. Twenty-one bytes a row, so that 100,000 items with repeats fit anywhere."""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from judgekit.records import VERDICT_STATUSES, VerdictStatus

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]


@dataclass(frozen=True)
class Groups:
    """Values averaged by group. `mean`, `size` and `squares` (Σ(v − mean)²) have one entry a group."""

    mean: Floats
    size: Indices
    squares: Floats


@dataclass(frozen=True)
class Generations:
    """One entry a generation: its item, and its judge repeats averaged. Sorted by item, then by repeat."""

    item: Indices
    judged: Groups


def group(labels: Indices, values: Floats) -> Groups:
    """Mean, size and sum of squares about the mean of `values` for each label 0 … max; every label must occur."""
    size = np.bincount(labels).astype(np.intp)
    mean = np.bincount(labels, weights=values) / size
    squares = np.bincount(labels, weights=(values - mean[labels]) ** 2)
    return Groups(mean, size, squares.astype(np.float64))


class ItemTable:
    """The rows of one series of one metric for one system, added one by one in any order.

    `clusters` maps sample ids to cluster labels (a subject, a document); None: the items are independent.
    """

    def __init__(self, clusters: Mapping[str, str] | None = None) -> None:
        self.clusters = clusters
        self.counts: Counter[VerdictStatus] = Counter()
        self._index: dict[str, int] = {}
        self._item, self._repeat, self._judge_repeat = array("i"), array("i"), array("i")
        self._value = array("d")  # NaN marks a missing verdict; a scored one is finite
        self._status = array("b")  # its place in VERDICT_STATUSES

    def add(
        self, sample_id: str, repeat: int, judge_repeat: int, value: float | None, status: VerdictStatus = "scored"
    ) -> None:
        """Add one row. ValueError for NaN or an infinity, and for a value without `scored` or the reverse."""
        if (value is not None) != (status == "scored"):
            raise ValueError(f"{sample_id}: a row has a value exactly when it is scored, not {value!r} and {status!r}")
        if value is not None and not math.isfinite(value):
            raise ValueError(f"{sample_id}: {value} is not a finite value")
        self.counts[status] += 1
        self._item.append(self._index.setdefault(sample_id, len(self._index)))
        self._repeat.append(repeat)
        self._judge_repeat.append(judge_repeat)
        self._value.append(math.nan if value is None else value)
        self._status.append(VERDICT_STATUSES.index(status))

    def part(self, ids: Collection[str], clusters: Mapping[str, str] | None = None) -> ItemTable:
        """The rows of these samples alone, as a table of their own."""
        chosen = [sample_id for sample_id in dict.fromkeys(ids) if sample_id in self._index]
        place = np.full(len(self._index), -1, dtype=np.int32)
        place[[self._index[sample_id] for sample_id in chosen]] = np.arange(len(chosen), dtype=np.int32)
        item = place[np.asarray(self._item, dtype=np.intp)]
        rows = np.flatnonzero(item >= 0)
        part = ItemTable(clusters)
        part._index = {sample_id: number for number, sample_id in enumerate(chosen)}
        part._item = array("i", item[rows].tobytes())
        for name in ("_repeat", "_judge_repeat", "_value", "_status"):
            column: array[int] | array[float] = getattr(self, name)
            setattr(part, name, array(column.typecode, np.asarray(column)[rows].tobytes()))
        numbers, counts = np.unique(np.asarray(part._status), return_counts=True)
        part.counts.update({VERDICT_STATUSES[n]: int(count) for n, count in zip(numbers, counts, strict=True)})
        return part

    def __len__(self) -> int:
        """Rows, scored or not."""
        return len(self._value)

    @property
    def ids(self) -> list[str]:
        """All sample ids, sorted: the order of every index this table gives out."""
        return sorted(self._index)

    @property
    def repeats(self) -> int:
        """Generation repeats × judge repeats."""
        return len(set(self._repeat)) * len(set(self._judge_repeat))

    def values(self) -> Floats:
        """The scored values, in no order that means anything."""
        value = np.asarray(self._value, dtype=np.float64)
        return value[~np.isnan(value)]

    def cells(self) -> Iterator[tuple[str, int, int, float]]:
        """(sample id, repeat, judge repeat, value) of every scored row, in the order of their adding."""
        ids = list(self._index)
        for item, repeat, judge_repeat, value in zip(
            self._item, self._repeat, self._judge_repeat, self._value, strict=True
        ):
            if not math.isnan(value):
                yield ids[item], repeat, judge_repeat, value

    def generations(self, fill: float | None = None) -> Generations:
        """The scored rows by generation, or all rows with `fill` in place of the missing values.

        ValueError where the same sample, repeat and judge repeat was added twice.
        """
        rank = np.empty(len(self._index), dtype=np.intp)
        rank[[self._index[sample_id] for sample_id in self.ids]] = np.arange(len(self._index))
        item, value = rank[np.asarray(self._item, dtype=np.intp)], np.asarray(self._value, dtype=np.float64)
        repeat, judge_repeat = np.asarray(self._repeat), np.asarray(self._judge_repeat)
        order = np.lexsort((judge_repeat, repeat, item))
        item, repeat, judge_repeat, value = item[order], repeat[order], judge_repeat[order], value[order]
        new = (np.diff(item, prepend=-1) != 0) | (np.diff(repeat, prepend=-1) != 0)
        if np.any(~new[1:] & (np.diff(judge_repeat) == 0)):
            raise ValueError("a row (sample, repeat, judge repeat) was added twice")
        keep = np.isfinite(value) if fill is None else np.ones(len(value), dtype=bool)
        value = np.where(np.isnan(value), fill if fill is not None else 0.0, value)[keep]
        _, first, labels = np.unique(np.cumsum(new)[keep], return_index=True, return_inverse=True)
        return Generations(item[keep][first], group(labels, value))

    def means(self, fill: float | None = None) -> tuple[Indices, Floats]:
        """(indices into `ids`, item means): judge repeats are averaged first, then generations.

        Items without a scored row are left out, unless `fill` takes the place of what is missing.
        """
        generations = self.generations(fill)
        present, labels = np.unique(generations.item, return_inverse=True)
        return present, group(labels, generations.judged.mean).mean

    def by_id(self, fill: float | None = None) -> dict[str, float]:
        """The item means by sample id."""
        ids, (present, means) = self.ids, self.means(fill)
        return {ids[index]: float(mean) for index, mean in zip(present, means, strict=True)}


def item_matrix(tables: Sequence[ItemTable]) -> tuple[list[str], Floats]:
    """(sample ids, (items × tables) item means), NaN where a table has none."""
    items = sorted({item for table in tables for item in table.ids})
    place = {item: number for number, item in enumerate(items)}
    values = np.full((len(items), len(tables)), np.nan)
    for column, table in enumerate(tables):
        ids, (present, means) = table.ids, table.means()
        values[[place[ids[index]] for index in present], column] = means
    return items, values
