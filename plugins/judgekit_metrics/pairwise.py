"""`type: pairwise`: the judge prefers one of two systems' responses to the same sample, asked in both orders.

What becomes of the two verdicts is in preferences.py; with `against` one system is compared with every other, without
it (or with `against: all`) every two are, and three or more get Bradley–Terry strengths.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby, tee
from pathlib import Path
from typing import ClassVar

import judgekit
import judgekit.statistics
from judgekit_metrics.preferences import SERIES, SHARES, UNSCALED, Battle, Rule, all_pairs, looks_of
from judgekit_metrics.score import unanswered
from judgekit_metrics.stored_files import LabelOptions, read_labels, strangers

ALL = "all"


class PairwiseOptions(judgekit.Options):
    """`against`: the system that every other one is compared with; `all`, or none: every two systems are compared.

    `rule`: how an item's two orders make its value. `labels`: which response people prefer, to see how often the
    judge agrees. `style_control`: the win rate of answers that are as long and as formatted as the opponent's.
    """

    against: str | None = None
    rule: Rule = "mean"
    labels: LabelOptions | None = None
    style_control: bool = False


class Pairwise(judgekit.Metric):
    """The judge prefers one of two systems' responses, asked in both orders."""

    Options: ClassVar[type[judgekit.Options]] = PairwiseOptions
    options: PairwiseOptions
    needs = frozenset({"responses", "pairwise"})
    series = SERIES
    shares = SHARES
    unscaled = UNSCALED
    conversations = True

    def check(self, systems: Mapping[str, frozenset[str]]) -> list[str]:
        return check_opponent(self.options.against, list(systems))

    def check_samples(self, samples: Sequence[judgekit.Sample], systems: Sequence[str], whole: bool) -> list[str]:
        labels = list(self._labels(systems))
        return strangers(labels, samples, "labels") if whole else []

    def inputs(self) -> list[Path]:
        return [] if self.options.labels is None else [self.path(self.options.labels.path)]

    def pairs(self, systems: Sequence[str], anchor: str) -> Sequence[tuple[str, str]]:
        against = self.options.against
        if against is None or against == ALL:
            return all_pairs(systems, anchor)
        return [(system, against) for system in systems if system != against]

    def aggregate(self, tables: judgekit.statistics.Tables, terms: judgekit.AggregateTerms) -> judgekit.Aggregate:
        from judgekit_metrics.pairwise_aggregate import pairwise_aggregate

        return pairwise_aggregate(tables, terms)

    def rows(self, study: judgekit.Study) -> Iterator[judgekit.Row]:
        """One row a (system, opponent, sample, generation repeat, judge repeat).

        Repeat r meets the opponent's repeat r modulo the opponent's number of repeats.
        """
        labels = self._labels(study.systems)
        for system, opponent in self.pairs(study.systems, study.anchor):
            yield from self._against(study, system, opponent, labels)

    def _labels(self, systems: Sequence[str]) -> dict[str, str]:
        options = self.options.labels
        return {} if options is None else read_labels(options, self.path(options.path), systems)

    def _against(
        self, study: judgekit.Study, system: str, opponent: str, labels: Mapping[str, str]
    ) -> Iterator[judgekit.Row]:
        assert study.judge is not None
        asked, kept = tee(
            (sample, ours, theirs, judge_repeat)
            for sample, ours, theirs in _pairs(study, system, opponent)
            for judge_repeat in range(study.judge_repeats)
        )
        verdicts = study.judge.compare(
            (sample, _judged(sample, ours), _judged(sample, theirs), judge_repeat)
            for sample, ours, theirs, judge_repeat in asked
            if ours.status == theirs.status == "complete"
        )
        for sample, ours, theirs, judge_repeat in kept:
            if ours.status == theirs.status == "complete":
                first, second = next(verdicts)
            else:
                first = second = unanswered(ours if ours.status != "complete" else theirs)
            battle = Battle(
                first,
                second,
                study.judge.order_free,
                label_of(labels.get(sample.id), system, opponent),
                looks_of(ours.answers, theirs.answers, self.options.style_control),
            )
            yield battle.row(system, opponent, sample.id, self.options.rule, ours.repeat, judge_repeat)


def _judged(sample: judgekit.Sample, response: judgekit.Response) -> str | judgekit.Conversation:
    """The response; of a conversation, all of its answers, compared as a whole."""
    return judgekit.Conversation(response.answers, whole=True) if sample.turns else response.text


def check_opponent(against: str | None, systems: Sequence[str]) -> list[str]:
    """What is wrong with `against` for these systems, in words."""
    if against == ALL and ALL in systems:
        return ["against: 'all' means every pair of systems, and a model has that name: leave `against` out"]
    if against not in (None, ALL) and against not in systems:
        return [f"against: no model is named {against!r} (there are: {', '.join(systems)})"]
    return [] if len(systems) > 1 else ["there is no second model to compare"]


def label_of(winner: str | None, system: str, opponent: str) -> float | None:
    """The label as a preference for the system: None without one, or where a third system is the best."""
    return None if winner is None else {system: 1.0, opponent: 0.0, "": 0.5}.get(winner)


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
    for _, group in groupby(responses, key=lambda one: one[0].id):
        (sample, first), *others = group
        yield sample, [first, *(response for _, response in others)]
