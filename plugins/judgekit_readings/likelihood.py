"""Readings by likelihood: nothing is asked; what is read is how likely the reference is after several answers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import ClassVar

from judgekit import Continuation, Reply, Request, Verdict
from judgekit.judging import VARIABLES, Kind, Planned, Question, ScaleEnds, Task, passed_on
from judgekit_readings.parsing import BuiltIn

# Answers are shown one by one, and there is no conversation to show.
SHOWN = VARIABLES["score"] - {"conversation", "whole"}


class LikelihoodRatio(BuiltIn):
    """The reference's log-likelihood after the answer, after the reference itself, and after an empty answer.

    The two anchors are the same for every answer to a sample, so the ledger pays for them once.
    """

    task: ClassVar[Task] = "score"
    keys: ClassVar[frozenset[str]] = frozenset({"scale"})
    default_prompt: ClassVar[str] = "score/likelihood_ratio"
    anchored: ClassVar[bool] = True
    order_free: ClassVar[bool] = True
    measured: ClassVar[bool] = True
    continuous: ClassVar[bool] = True

    @property
    def variables(self) -> frozenset[str]:
        return SHOWN

    @property
    def kind(self) -> Kind:
        return "loglikelihood"

    @property
    def planned(self) -> Planned:
        shown = 1 if self.task == "score" else 2
        return Planned(shown + 2, "at most; anchors and equal responses are asked once")

    def requests(self, question: Question, attempt: int = 0) -> tuple[Request, ...]:
        """The reference as a continuation of the prompt with each of the responses, the reference, and nothing."""
        reference = (question.sample.reference or "").strip()
        if not reference:
            return ()
        answers = [*(shown.strip() for shown in question.shown), reference, ""]
        alone = [Question(question.sample, (answer,), question.repeat) for answer in answers]
        return tuple(Request(messages=self.messages(one), continuations=(reference,)) for one in alone)

    def verdict(self, question: Question, replies: Sequence[Reply]) -> Verdict:
        for reply in replies:
            if failed := passed_on(reply):
                return failed
            if len(reply.continuations) != 1:
                return Verdict(status="error", raw=reply.whole, detail="the backend gave no log-likelihood")
        *answers, gold, empty = (reply.continuations[0] for reply in replies)
        if question.swapped:
            answers.reverse()
        return self._compared(*answers, gold, empty)

    def _compared(self, *likelihoods: Continuation) -> Verdict:
        answer, gold, empty = likelihoods
        return likelihood_ratio(answer, gold, empty, self.setting.scale)


class PairwiseLikelihood(LikelihoodRatio):
    """As likelihood_ratio, for two answers. Each is read on its own: the order cannot matter."""

    task: ClassVar[Task] = "pairwise"
    keys: ClassVar[frozenset[str]] = frozenset()
    default_prompt: ClassVar[str] = "pairwise/likelihood_ratio"
    continuous: ClassVar[bool] = False

    def _compared(self, *likelihoods: Continuation) -> Verdict:
        return pairwise_likelihood(*likelihoods)


def likelihood_ratio(
    answer: Continuation, gold: Continuation, empty: Continuation, scale: ScaleEnds = (0.0, 100.0)
) -> Verdict:
    """How much likelier the reference becomes once the answer is known, anchored by what is known of the item.

    The three are the reference's log-likelihood after the question with the answer, with the reference itself, and
    with an empty answer. With L(x) the mean log-probability (nats) of a token of the reference after x, the score is
    clip((L(answer) − L(empty)) / (L(gold) − L(empty)), 0, 1), laid on the scale. The reference's likelihood without
    any answer cancels out of it. Where L(gold) ≤ L(empty) the judge cannot read the item, and there is no score.
    """
    sums = {"answer": answer.loglikelihood, "gold": gold.loglikelihood, "empty": empty.loglikelihood}
    raw = json.dumps({**{name: round(value, 4) for name, value in sums.items()}, "tokens": gold.tokens})
    if not answer.tokens == gold.tokens == empty.tokens > 0:
        return Verdict(status="error", raw=raw, detail="the log-likelihoods are not of one and the same reference")
    span = sums["gold"] - sums["empty"]
    if not span > 0:
        return Verdict(status="unparsed", raw=raw, detail="anchors do not separate: gold is no likelier than empty")
    share = min(max((sums["answer"] - sums["empty"]) / span, 0.0), 1.0)  # means over the same tokens: sums will do
    return Verdict(status="scored", value=scale[0] + share * (scale[1] - scale[0]), raw=raw)


def pairwise_likelihood(a: Continuation, b: Continuation, gold: Continuation, empty: Continuation) -> Verdict:
    """The preference for a: 1, 0, or ½ where the likelihood ratios of both, anchored and clipped, are the same.

    Two answers that help no more than an empty one are a tie: which of them does less is noise.
    """
    first, second = (likelihood_ratio(answer, gold, empty) for answer in (a, b))
    raw = json.dumps({"a": json.loads(first.raw), "b": json.loads(second.raw)})
    if first.value is None or second.value is None:
        return (first if first.value is None else second).model_copy(update={"raw": raw})
    value = 0.5 + 0.5 * ((first.value > second.value) - (first.value < second.value))
    return Verdict(status="scored", value=value, raw=raw)
