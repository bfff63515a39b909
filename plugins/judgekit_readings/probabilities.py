"""Readings by probabilities: the judge is asked for one of a few short answers, and read by how likely each was.

A captured mass under the floor is no verdict: what is left of it says little of the judge (statistics.md, section 3).
"""

from __future__ import annotations

import json
import re
from abc import abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import ClassVar

from judgekit import Reply, Request, Scale, Verdict
from judgekit.judging import (
    FRAME,
    Kind,
    Question,
    Spread,
    Task,
    Unreadable,
    is_echo,
    passed_on,
    spread_of_continuations,
    spread_of_tokens,
    why_unread,
)
from judgekit_readings.parsing import BuiltIn, weighted_mean

SCORE_FLOOR = 0.8  # of an expected score
CONTRAST_FLOOR = 0.5  # of a contrast of two answers: the judge is likelier to give one of them than anything else
TOP_LOGPROBS = 20  # the most that servers give
MOST_LEVELS = 101
MASS = Scale(label="captured probability", low=0, high=1, unit="%")
_AROUND = FRAME + "\r\n"


class Probed(BuiltIn):
    """One of a few short answers, read by how likely each of them is.

    The probabilities come with the generated tokens where the backend gives them, else as log-likelihoods of the
    answers, each with and without a space before it. `least`: the captured mass without which there is no verdict.
    """

    measured: ClassVar[bool] = True
    continuous: ClassVar[bool] = True
    least: ClassVar[float]

    @property
    @abstractmethod
    def answers(self) -> Mapping[str, float]:
        """What the judge may answer, and what each answer is worth."""

    def fold(self, text: str) -> str:
        """The text with its spelling made equal."""
        return text

    @property
    def kind(self) -> Kind:
        return "generate" if self.setting.logprobs else "loglikelihood"

    @property
    def needs(self) -> str:
        return "logprobs or loglikelihood"

    @property
    def series(self) -> Mapping[str, Scale]:
        return {**super().series, "mass": MASS}

    def check(self) -> Iterator[str]:
        low, high = self.setting.scale
        if self.kind == "loglikelihood" and (pair := prefix_of_another(self.answers)):
            said = f"{pair[0]!r} is also the beginning of {pair[1]!r}; set scale: [1, 5], or any of one digit"
            yield f"cannot be read by log-likelihoods on the scale {low:g}..{high:g}: {said}"

    def requests(self, question: Question, attempt: int = 0) -> tuple[Request, ...]:
        asked = self.prompts(question, attempt)
        if self.kind == "generate":
            return tuple(request.model_copy(update={"top_logprobs": TOP_LOGPROBS}) for request in asked)
        answers = (*self.answers, *(f" {answer}" for answer in self.answers))
        return tuple(Request(messages=request.messages, continuations=answers) for request in asked)

    def verdict(self, question: Question, replies: Sequence[Reply]) -> Verdict:
        (reply,) = replies
        # A reply that went on until its limit of tokens has said its answer first: that is all that is read.
        if not (reply.status == "truncated" and reply.tokens) and (failed := passed_on(reply)):
            return failed
        likely = self.kind == "loglikelihood"
        if len(reply.continuations) != 2 * len(self.answers) if likely else reply.text and not reply.tokens:
            what = "log-likelihoods of the answers" if likely else "probabilities of its tokens"
            return Verdict(status="error", raw=reply.whole, detail=f"the backend gave no {what}")
        try:
            spread = self._spread(question, reply)
        except Unreadable as reason:
            return Verdict(status="unparsed", raw=reply.whole, detail=why_unread(reply, reason))
        floor = self.setting.grading.floor or self.least
        return question.turned(expected(spread, self.answers, floor, reply.whole))

    def _spread(self, question: Question, reply: Reply) -> Spread:
        if self.kind == "loglikelihood":
            return spread_of_continuations(reply.continuations, tuple(self.answers))
        text = "".join(token.text for token in reply.tokens)
        begin = answer_begins(text, self.nonce(question), question.quotable, reply.status == "truncated")
        return spread_of_tokens(reply.tokens, self.answers, self.fold, begin)


class ExpectedScore(Probed):
    """Every level of the scale, worth itself (G-Eval)."""

    task: ClassVar[Task] = "score"
    keys: ClassVar[frozenset[str]] = frozenset({"floor"})
    default_prompt: ClassVar[str] = "score/geval"
    least: ClassVar[float] = SCORE_FLOOR

    @property
    def answers(self) -> Mapping[str, float]:
        low, high = self.setting.scale
        whole = low.is_integer() and high.is_integer() and high - low < MOST_LEVELS
        levels = range(int(low), int(high) + 1) if whole else ()
        return {str(level): float(level) for level in levels}

    def check(self) -> Iterator[str]:
        low, high = self.setting.scale
        if not self.answers:
            said = f"an expected score takes whole levels, at most {MOST_LEVELS} of them"
            yield f"cannot be read on the scale {low:g}..{high:g}: {said}"
        yield from super().check()

    def warnings(self) -> Iterator[str]:
        low, high = self.setting.scale
        if high - low > 9:
            yield (
                "an expected score over numbers of several digits: a model that writes them digit by digit captures "
                "little of its probability; scale: [1, 5] or [0, 9] is safer"
            )


class YesNo(Probed):
    """P(Yes) / (P(Yes) + P(No)), laid on the scale."""

    task: ClassVar[Task] = "score"
    keys: ClassVar[frozenset[str]] = frozenset({"scale", "floor"})
    default_prompt: ClassVar[str] = "score/yes_no"
    least: ClassVar[float] = CONTRAST_FLOOR

    @property
    def answers(self) -> Mapping[str, float]:
        low, high = self.setting.scale
        return {"Yes": high, "No": low}

    def fold(self, text: str) -> str:
        return text.casefold()

    @property
    def series(self) -> Mapping[str, Scale]:
        chance = {"value": Scale(label="probability of Yes", low=0, high=1, unit="%")}
        return {**super().series, **chance} if self.setting.scale == (0.0, 1.0) else super().series


class Preference(Probed):
    """P(A) / (P(A) + P(B))."""

    task: ClassVar[Task] = "pairwise"
    keys: ClassVar[frozenset[str]] = frozenset({"floor"})
    default_prompt: ClassVar[str] = "pairwise/preference"
    least: ClassVar[float] = CONTRAST_FLOOR

    @property
    def answers(self) -> Mapping[str, float]:
        return {"A": 1.0, "B": 0.0}


def answer_begins(text: str, nonce: str, responses: Sequence[str], cut: bool) -> int:
    """The number of characters before the answer: all until the call's nonce and a colon after it, or none.

    Raises Unreadable where the answer bears no nonce and also stands in the response under judgement: it may be its
    echo. `cut`: the text has no end, so that a line of it may be the beginning of one of the response's.
    """
    signed = list(re.finditer(re.escape(nonce) + r"[ \t*_`]*[:=]", text))
    if signed:
        return signed[-1].end()
    lines = [line for line in text.splitlines() if line.strip(_AROUND)]
    if lines and is_echo(lines[0], responses, cut and len(lines) == 1):
        raise Unreadable("the answer is also a line of the response under judgement, and may be its echo")
    return 0


def expected(spread: Spread, values: Mapping[str, float], floor: float, said: str = "") -> Verdict:
    """Σ value · P(answer) / Σ P(answer) over the answers: G-Eval's expected score; for values 1 and 0, a preference.

    A captured mass under the floor is `unparsed`, with the mass. `said`: what the judge wrote. (Liu et al., 2023)
    """
    probabilities = {answer: round(share, 6) for answer, share in spread.shares.items()}
    raw = json.dumps({"said": said, "mass": round(spread.mass, 6), "probabilities": probabilities})
    series = {"mass": spread.mass}
    if not spread.mass >= floor:
        detail = f"the answers asked for hold {spread.mass:.3g} of the probability, under the floor of {floor:g}"
        return Verdict(status="unparsed", raw=raw, detail=detail, series=series)
    value = weighted_mean(values, {answer: spread.shares.get(answer, 0.0) for answer in values})
    return Verdict(status="scored", value=value, raw=raw, series=series)


def prefix_of_another(answers: Collection[str]) -> tuple[str, str] | None:
    """Two answers of which the first is the beginning of the second, if there are such."""
    return next(((a, b) for a in answers for b in answers if a != b and b.startswith(a)), None)
