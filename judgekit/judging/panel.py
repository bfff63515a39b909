"""A panel of judges: each response is put to every member, and one verdict comes out.

Members are not repeats: their verdicts are combined inside the item, before anything is averaged over items
(statistics.md, section 3). How far the members agree is printed on the panel's card.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import tee
from statistics import multimode
from typing import Literal

from judgekit.judging.judge import LLMJudge
from judgekit.records import Conversation, Row, Sample, Scale, Verdict
from judgekit.results import Check, Interval, JudgeCard

Combine = Literal["mean", "vote"]
CONFIDENCE = 0.95
ALPHA = "alpha"


class Panel:
    """A judge of the contract that asks others. It has a verdict where every member has one."""

    backend = "panel"

    def __init__(self, name: str, members: Mapping[str, LLMJudge], combine: Combine = "mean") -> None:
        self.name = name
        self.members = dict(members)
        self.combine: Combine = combine

    @property
    def order_free(self) -> bool:
        return all(member.order_free for member in self.members.values())

    def score(self, items: Iterable[tuple[Sample, str | Conversation, int]]) -> Iterator[Verdict]:
        """Verdicts on (sample, response text, judge repeat), on the members' scale."""
        copies = tee(items, len(self.members))
        each = [member.score(copy) for member, copy in zip(self.members.values(), copies, strict=True)]
        return (self._combined(verdicts, preference=False) for verdicts in zip(*each, strict=True))

    def compare(
        self, items: Iterable[tuple[Sample, str | Conversation, str | Conversation, int]]
    ) -> Iterator[tuple[Verdict, Verdict]]:
        """Verdicts on (sample, response a, response b, judge repeat), asked in both orders."""
        copies = tee(items, len(self.members))
        each = [member.compare(copy) for member, copy in zip(self.members.values(), copies, strict=True)]
        for pairs in zip(*each, strict=True):
            first, second = (self._combined(verdicts, preference=True) for verdicts in zip(*pairs, strict=True))
            yield first, second

    def _combined(self, verdicts: Sequence[Verdict], preference: bool) -> Verdict:
        return combined(dict(zip(self.members, verdicts, strict=True)), self.combine, preference)


def combined(verdicts: Mapping[str, Verdict], combine: Combine, preference: bool = False) -> Verdict:
    """One verdict of the members'. `series` has the value of each that was scored.

    mean: the mean of their values. vote: the value that most of them gave; the mean of those values that share the
    lead, so that two judges of opposite minds make a tie. A preference is counted in votes by its side. Without a
    value of every member there is none: a mean over those that answered would depend on which of them failed.
    """
    values = {name: verdict.value for name, verdict in verdicts.items() if verdict.value is not None}
    said = {
        name: verdict.status if verdict.value is None else f"{verdict.value:g}" for name, verdict in verdicts.items()
    }
    raw = "\n\n".join(f"[{name}: {said[name]}]\n{verdict.raw}".rstrip() for name, verdict in verdicts.items())
    reasons = "\n".join(f"{name}: {verdict.rationale}" for name, verdict in verdicts.items() if verdict.rationale)
    missing = {name: verdict for name, verdict in verdicts.items() if verdict.value is None}
    if missing:
        status = next(iter(missing.values())).status
        detail = "; ".join(f"{name}: {verdict.detail or verdict.status}" for name, verdict in missing.items())
        return Verdict(status=status, raw=raw, rationale=reasons, detail=detail, series=values)
    voted = list(values.values())
    if combine == "vote":
        voted = multimode(map(side, voted) if preference else voted)
    details = "; ".join(f"{name}: {verdict.detail}" for name, verdict in verdicts.items() if verdict.detail)
    return Verdict(status="scored", value=_mean(voted), raw=raw, rationale=reasons, detail=details, series=values)


def panel_series(members: Iterable[str], value: Scale) -> dict[str, Scale]:
    """What a panel's value means, and the value of each of its members."""
    return {"value": value, **{name: value.model_copy(update={"label": f"by {name}"}) for name in members}}


def panel_card(panel: Panel, rows: Iterable[Row]) -> JudgeCard:
    """How far the members agree over the rows of the panel's metrics: Krippendorff's alpha, interval level."""
    rows = list(rows)
    ratings, samples = [_ratings(row, panel.members) for row in rows], [row.sample_id for row in rows]
    value, interval = _alpha(ratings, samples)
    check = Check(
        name=ALPHA,
        label="agreement of the members (Krippendorff's alpha, interval level)",
        value=value,
        low=interval.low,
        high=interval.high,
        note=_note(value, len(ratings), interval),
        n_items=len(set(samples)),
        counts={"scored": rated} if (rated := sum(None not in rating for rating in ratings)) else {},
    )
    names, how = ", ".join(panel.members), panel.combine
    return JudgeCard(judge=panel.name, backend=panel.backend, prompt=names, reading=how, checks=(check,), passed=None)


def _alpha(ratings: Sequence[Sequence[float | None]], samples: Sequence[str]) -> tuple[float | None, Interval]:
    """Alpha over all rows, and its percentile interval from resampled samples (all rows of a sample together)."""
    import numpy as np

    from judgekit.statistics.agreement import Units, krippendorff_alpha
    from judgekit.statistics.agreement_measures import RESAMPLES, percentile
    from judgekit.statistics.bootstrap import generator
    from judgekit.statistics.intervals import no_interval
    from judgekit.statistics.refit import weights

    matrix = np.array(ratings, dtype=np.float64).reshape(len(ratings), -1).T
    value = krippendorff_alpha(matrix, "interval") if len(ratings) else None
    rater, row = np.nonzero(~np.isnan(matrix))
    units = None if value is None else Units.of(matrix[rater, row], row, "interval")
    if value is None or units is None:
        return None, no_interval("percentile", "")
    item = np.unique(np.array(samples)[units.source], return_inverse=True)[1]
    rng = generator(0, "panel", ALPHA)
    width = max(1, len(matrix) * units.n_units // len(item))
    drawn = weights(int(item.max()) + 1, rng, RESAMPLES, width=width)
    return value, percentile(np.concatenate([units.alpha(some[:, item]) for some in drawn]), CONFIDENCE)


def _note(alpha: float | None, rows: int, interval: Interval) -> str:
    if not rows:
        return "no response was put to the panel"
    if alpha is None:
        return "not defined: the members' values do not vary, or hardly any response has two of them"
    meaning = "1 is full agreement, 0 is chance; Krippendorff calls .8 reliable, and .667 the least to conclude from"
    if interval.low is None or interval.high is None:
        return f"{meaning}; no interval: {interval.note}"
    return f"{CONFIDENCE:.0%} interval [{interval.low:.2f}, {interval.high:.2f}]; {meaning}"


def _ratings(row: Row, members: Iterable[str]) -> list[float | None]:
    """Each member's value of a row, over both orders where there are two; None where it has none."""
    said = [verdict.series for verdict in row.verdicts]
    values = {name: [one[name] for one in said if name in one] for name in members}
    return [_mean(each) if said and len(each) == len(said) else None for each in values.values()]


def side(value: float) -> float:
    """1 for a win, ½ for a tie, 0 for a loss."""
    return 0.5 + 0.5 * ((value > 0.5) - (value < 0.5))


def _mean(values: Sequence[float]) -> float:
    """Kept between the least and the greatest against float noise."""
    return min(max(sum(values) / len(values), min(values)), max(values))
