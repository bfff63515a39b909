"""Item scores of two systems paired by item id, and what of their instruments and samples differs, in words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from judgekit.records import Scale
from judgekit.regression.baseline import Scores, Sheet
from judgekit.results import ItemChange
from judgekit.text import counted

if TYPE_CHECKING:
    pass

Vector = np.ndarray[tuple[int, ...], np.dtype[np.float64]]
SERVED = "judge's served"  # in an instrument: what a server says of its model
SAME = 1e-9  # differences under this part of the scale's range are float noise
MOST_NAMED = 3
MOST_MOVED = 5  # items a direction that a claim names


@dataclass(frozen=True)
class Paired:
    """Differences candidate − baseline of the items that both have scored, turned so that more is better.

    `worst` and `best` are those of every item that either has, with missing verdicts at the scale's ends.
    """

    ids: tuple[str, ...]
    difference: Vector
    every: tuple[str, ...]
    worst: Vector
    best: Vector

    @property
    def missing(self) -> int:
        """The number of items with a missing verdict on either side."""
        return int(np.sum(self.best > self.worst))


def paired(candidate: Scores, baseline: Scores, scale: Scale, order: Sequence[str] | None = None) -> Paired:
    """Match two systems' scores by item id; `order`: only these, in this order. Else by id.

    An item that the candidate does not have at all (it was skipped, or not judged any more) is left out, and so is one
    that the baseline's config accepted without a verdict.
    """
    mine = candidate.items.keys() - set(baseline.accepted)
    sign = 1.0 if scale.higher_is_better else -1.0
    every = tuple(sample_id for sample_id in (sorted(candidate.items) if order is None else order) if sample_id in mine)
    ours, theirs = candidate.scored, baseline.scored
    ids = tuple(sample_id for sample_id in every if sample_id in ours and sample_id in theirs)
    ends = [(_ends(candidate, one, scale), _ends(baseline, one, scale)) for one in every]
    extremes = [(mine[0] - other[1], mine[1] - other[0]) for mine, other in ends]
    low, high = (np.asarray([pair[side] for pair in extremes], dtype=np.float64) for side in (0, 1))
    return Paired(
        ids,
        sign * np.asarray([ours[one] - theirs[one] for one in ids], dtype=np.float64),
        every,
        low if sign > 0 else -high,
        high if sign > 0 else -low,
    )


def _ends(scores: Scores, sample_id: str, scale: Scale) -> tuple[float, float]:
    """The item's mean with missing verdicts at the scale's ends."""
    value = scores.items.get(sample_id)
    if sample_id in scores.missing:
        return scores.missing[sample_id]
    return (scale.low, scale.high) if value is None else (value, value)


def unlike(first: Sheet, second: Sheet, names: tuple[str, str]) -> list[str]:
    """The differences between the instruments of two sheets of one metric, in words."""
    differences = []
    if _scale_of(first.scale) != _scale_of(second.scale):
        differences.append(f"scale: {_scale_of(first.scale)} {names[0]}, {_scale_of(second.scale)} {names[1]}")
    for key in sorted({*first.instrument, *second.instrument}):
        if SERVED in key and not (key in first.instrument and key in second.instrument):
            continue  # one of them is older than the question, or its server did not say
        a, b = first.instrument.get(key, "not given"), second.instrument.get(key, "not given")
        if a != b:
            differences.append(f"{key}: {_short(a)} {names[0]}, {_short(b)} {names[1]}")
    return differences


def other_samples(first: Sheet, second: Sheet, names: tuple[str, str]) -> str:
    """The difference between the samples of two sheets, in words; "" where they are the same."""
    if first.dataset == second.dataset:
        return ""
    ours, theirs = (
        {sample_id for scores in sheet.systems.values() for sample_id in scores.items} for sheet in (first, second)
    )
    said = [f"{counted(first.n_samples, 'sample')} {names[0]}, {second.n_samples} {names[1]}"]
    said += [
        f"only {name}: {some_of(ids)}" for name, ids in zip(names, (ours - theirs, theirs - ours), strict=True) if ids
    ]
    if ours == theirs:
        said = ["the same ids, with other contents"]
    return f"dataset: {'; '.join(said)} ({_short(first.dataset)}, {_short(second.dataset)})"


def _scale_of(scale: Scale) -> str:
    direction = "" if scale.higher_is_better else ", less is better"
    return f"{scale.low:g} … {scale.high:g}{direction}"


def _short(text: str) -> str:
    bare = text.removeprefix("sha256:")
    is_hash = len(bare) == 64 and all(character in "0123456789abcdef" for character in bare)
    return f"{bare[:12]}…" if is_hash else text


def some_of(ids: Iterable[str]) -> str:
    named = sorted(ids)
    more = f" and {len(named) - MOST_NAMED} more" if len(named) > MOST_NAMED else ""
    return ", ".join(repr(one) for one in named[:MOST_NAMED]) + more


def moved(changes: Sequence[float] | Vector, scale: Scale) -> tuple[int, int, int]:
    """The numbers of changes for the better, for the worse, and of those that are none but for float noise."""
    noise = SAME * (scale.high - scale.low)
    better, worse = sum(change > noise for change in changes), sum(change < -noise for change in changes)
    return int(better), int(worse), len(changes) - int(better) - int(worse)


def movers(matched: Paired, ours: Scores, theirs: Scores, noise: float) -> tuple[ItemChange, ...]:
    """The items that moved furthest: up to MOST_MOVED for the worse, then as many for the better."""
    by_change = sorted(zip(matched.difference.tolist(), matched.ids, strict=True))
    worse = [one for change, one in by_change if change < -noise][:MOST_MOVED]
    better = [one for change, one in reversed(by_change) if change > noise][:MOST_MOVED]
    return tuple(
        ItemChange(sample_id=one, baseline=theirs.scored[one], candidate=ours.scored[one]) for one in (*worse, *better)
    )


def mean_over(scores: Scores, ids: set[str]) -> float | None:
    values = [value for one, value in scores.scored.items() if one in ids]
    return sum(values) / len(values) if values else None
