"""`type: pairwise`: the judge prefers one of two systems' responses to the same sample, asked in both orders.

A sample's value is the mean preference of the two orders, so that an inconsistent swap is a half
(statistics.md, section 2). Ties are never dropped.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import tee
from typing import ClassVar

import judgekit
from judgekit_metrics.score import unanswered


class PairwiseOptions(judgekit.Options):
    """`against`: the system that every other one is compared with."""

    against: str


class Pairwise(judgekit.Metric):
    """The judge prefers one of two systems' responses, asked in both orders."""

    Options: ClassVar[type[judgekit.Options]] = PairwiseOptions
    options: PairwiseOptions
    needs = frozenset({"responses", "pairwise"})
    series: ClassVar[dict[str, judgekit.Series]] = {
        "value": judgekit.Series(label="win rate", low=0, high=1, unit="%"),
        "consistent": judgekit.Series(label="same verdict in both orders", low=0, high=1, unit="%"),
        "first": judgekit.Series(label="preference for the first position", low=0, high=1, unit="%"),
    }

    def check(self, systems: Sequence[str]) -> list[str]:
        if self.options.against not in systems:
            return [f"against: no model is named {self.options.against!r} (there are: {', '.join(systems)})"]
        return [] if len(systems) > 1 else ["there is no second model to compare"]

    def rows(self, study: judgekit.Study) -> Iterator[judgekit.Row]:
        """One row a (system, sample, generation repeat, judge repeat).

        Repeat r meets the opponent's repeat r modulo the opponent's number of repeats. The series about the order
        are left out where the judge reads each response on its own: they would be 1 and a half by construction.
        """
        for system in study.systems:
            if system != self.options.against:
                yield from self._against(study, system)

    def _against(self, study: judgekit.Study, system: str) -> Iterator[judgekit.Row]:
        assert study.judge is not None
        asked, kept = tee(
            (sample, response, opponent, judge_repeat)
            for sample, response, opponent in _pairs(study, system, self.options.against)
            for judge_repeat in range(study.judge_repeats)
        )
        verdicts = study.judge.compare(
            (sample, response.text, opponent.text, judge_repeat)
            for sample, response, opponent, judge_repeat in asked
            if response.status == opponent.status == "complete"
        )
        for sample, response, opponent, judge_repeat in kept:
            if response.status == opponent.status == "complete":
                both = next(verdicts)
            else:
                both = (unanswered(response if response.status != "complete" else opponent),) * 2
            yield _row(system, sample, response, judge_repeat, both, study.judge.order_free)


def _pairs(
    study: judgekit.Study, system: str, against: str
) -> Iterator[tuple[judgekit.Sample, judgekit.Response, judgekit.Response]]:
    """Each of the system's responses with the opponent's to the same sample, matched by sample id."""
    opponents = _by_sample(study.responses(against))
    for sample, responses in _by_sample(study.responses(system)):
        other, others = next(opponents)
        if other.id != sample.id:
            raise ValueError(f"the systems answered other samples: {sample.id!r} and {other.id!r}")
        for response in responses:
            yield sample, response, others[response.repeat % len(others)]


def _by_sample(
    responses: Iterator[tuple[judgekit.Sample, judgekit.Response]],
) -> Iterator[tuple[judgekit.Sample, list[judgekit.Response]]]:
    current: judgekit.Sample | None = None
    group: list[judgekit.Response] = []
    for sample, response in responses:
        if current is not None and sample.id != current.id:
            yield current, group
            group = []
        current = sample
        group.append(response)
    if current is not None:
        yield current, group


def _row(
    system: str,
    sample: judgekit.Sample,
    response: judgekit.Response,
    judge_repeat: int,
    both: tuple[judgekit.Verdict, ...],
    order_free: bool,
) -> judgekit.Row:
    first, second = both
    value = None
    series = {}
    if first.value is not None and second.value is not None:
        value = (first.value + second.value) / 2
    if first.value is not None and second.value is not None and not order_free:
        series = {
            "consistent": float(_side(first.value) == _side(second.value)),
            # The system stood first in the first order and second in the other.
            "first": (first.value + 1 - second.value) / 2,
        }
    status = next((verdict.status for verdict in both if verdict.status != "scored"), "scored")
    return judgekit.Row(
        metric="",
        system=system,
        sample_id=sample.id,
        repeat=response.repeat,
        judge_repeat=judge_repeat,
        status=status,
        value=value,
        series=series,
        verdicts=both,
    )


def _side(value: float) -> int:
    """1 for a win, 0 for a tie, −1 for a loss."""
    return (value > 0.5) - (value < 0.5)
