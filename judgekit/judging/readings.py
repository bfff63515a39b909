"""Readings: what is asked of a judge's backend for one question, and how its replies become a Verdict.

A prompt names its reading in the comment on top. There are three kinds:

* written (`integer`, `reason_json`, `criteria`; `letter`, `pairwise_json`): the judge writes its verdict;
* by probabilities (`expected_score`, `yes_no`; `preference`): the judge is asked for one of a few short answers, and
  read by how likely each was (logprobs.py);
* by likelihood (`likelihood_ratio`; `pairwise_likelihood`): nothing is asked; what is read is how likely the reference
  is after several answers.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from judgekit.errors import PromptError
from judgekit.judging.logprobs import (
    CONTRAST_FLOOR,
    SCORE_FLOOR,
    TOP_LOGPROBS,
    answer_begins,
    expected,
    prefix_of_another,
    spread_of_continuations,
    spread_of_tokens,
)
from judgekit.judging.parsing import (
    SCORE_SCHEMA,
    WINNER_SCHEMA,
    Asked,
    Unreadable,
    criteria_schema,
    likelihood_ratio,
    pairwise_likelihood,
    passed_on,
    read,
)
from judgekit.judging.questions import (
    CONVERSATION,
    VARIABLES,
    Grading,
    Question,
    Setting,
    Task,
    context,
    grading_context,
    harmless,
    mark,
)
from judgekit.prompting.templates import Template
from judgekit.records import Continuation, Reply, Request, Scale, Verdict
from judgekit.text import did_you_mean

Kind = Literal["generate", "loglikelihood"]

MOST_LEVELS = 101
MASS = Scale(label="captured probability", low=0, high=1, unit="%")
_REASK_SEED = 1_000_003  # far from seed + repeat, so that a re-ask is no other repeat's first question


class Reading(ABC):
    """Requests out, a verdict in.

    `anchored`: the reference and an empty answer get the ends of the scale by construction. `order_free`: two
    responses are read apart, so that their order cannot matter. `measured`: no verdict is drawn, so that judge repeats
    cannot differ. `continuous`: two readings are hardly ever equal.
    """

    anchored: ClassVar[bool] = False
    order_free: ClassVar[bool] = False
    measured: ClassVar[bool] = True
    continuous: ClassVar[bool] = True
    setting: Setting

    @property
    def kind(self) -> Kind:
        """What is asked of the backend."""
        return "loglikelihood"

    @property
    def asks_again(self) -> bool:
        """Whether the judge is asked once more, in other words, where it was not understood."""
        return self.kind == "generate"

    @property
    def needs(self) -> str:
        """The backend's capabilities of which one must be there, in words."""
        return self.kind

    @property
    def series(self) -> Mapping[str, Scale]:
        """What its verdicts' value means, and their further series."""
        low, high = self.setting.scale
        return {"value": Scale(label="judge score", low=low, high=high)}

    @property
    def planned(self) -> tuple[int, str]:
        """The most requests that a question takes, without a re-ask; and what to know about them."""
        return 1, "and one re-ask each at most" if self.asks_again else "read by log-likelihoods"

    def check(self) -> None:
        """Raises PromptError where the config does not give what the prompt asks for."""
        return

    @abstractmethod
    def requests(self, question: Question, attempt: int = 0) -> tuple[Request, ...]:
        """What to send; nothing, where the question cannot be asked."""

    @abstractmethod
    def verdict(self, question: Question, replies: Sequence[Reply]) -> Verdict:
        """What the replies say. Without a reply the verdict is `skipped`, and says why."""


@dataclass(frozen=True)
class Written(Reading):
    """The judge writes its verdict, in one of the FORMS of parsing.py."""

    measured: ClassVar[bool] = False
    continuous: ClassVar[bool] = False
    setting: Setting
    form: str

    @property
    def kind(self) -> Kind:
        return "generate"

    @property
    def series(self) -> Mapping[str, Scale]:
        low, high = self.setting.scale
        return {**super().series, **{name: Scale(label=name, low=low, high=high) for name in self.setting.weights}}

    def check(self) -> None:
        if self.form == "criteria" and not self.setting.weights:
            raise PromptError("needs criteria: {name: what is judged, …}")

    def requests(self, question: Question, attempt: int = 0) -> tuple[Request, ...]:
        schemas = {
            "reason_json": SCORE_SCHEMA,
            "pairwise_json": WINNER_SCHEMA,
            "criteria": criteria_schema(self.setting.weights),
        }
        schema = schemas.get(self.form) if self.setting.schema else None
        return tuple(
            request.model_copy(update={"json_schema": schema}) for request in _asked(self.setting, question, attempt)
        )

    def verdict(self, question: Question, replies: Sequence[Reply]) -> Verdict:
        if not replies:
            return _NO_REFERENCE
        setting = self.setting
        nonce = mark("nonce", setting, question)
        asked = Asked(nonce, setting.scale, question.quotable, setting.weights, question.task)
        return _turned(read(self.form, replies[0], asked), question)


@dataclass(frozen=True)
class Probed(Reading):
    """The judge is asked for one of a few short answers, and read by how likely each is.

    The probabilities come with the generated tokens where the backend gives them, else as log-likelihoods of the
    answers, each with and without a space before it. `answers`: what each is worth. `fold` makes spellings equal.
    """

    setting: Setting
    answers: Mapping[str, float]
    least: float
    fold: Callable[[str], str] = str

    @property
    def kind(self) -> Kind:
        return "generate" if self.setting.logprobs else "loglikelihood"

    @property
    def needs(self) -> str:
        return "logprobs or loglikelihood"

    @property
    def series(self) -> Mapping[str, Scale]:
        chance = {"value": Scale(label="probability of Yes", low=0, high=1, unit="%")}
        named = chance if "Yes" in self.answers and self.setting.scale == (0.0, 1.0) else super().series
        return {**named, "mass": MASS}

    def check(self) -> None:
        low, high = self.setting.scale
        if not self.answers:
            said = f"{low:g}..{high:g}: an expected score takes whole levels, at most {MOST_LEVELS} of them"
            raise PromptError(f"cannot be read on the scale {said}")
        if self.kind == "loglikelihood" and (pair := prefix_of_another(self.answers)):
            said = f"{pair[0]!r} is also the beginning of {pair[1]!r}; set scale: [1, 5], or any of one digit"
            raise PromptError(f"cannot be read by log-likelihoods on the scale {low:g}..{high:g}: {said}")

    def requests(self, question: Question, attempt: int = 0) -> tuple[Request, ...]:
        found = _asked(self.setting, question, attempt)
        if self.kind == "generate":
            return tuple(request.model_copy(update={"top_logprobs": TOP_LOGPROBS}) for request in found)
        answers = (*self.answers, *(f" {answer}" for answer in self.answers))
        return tuple(Request(messages=request.messages, continuations=answers) for request in found)

    def verdict(self, question: Question, replies: Sequence[Reply]) -> Verdict:
        if not replies:
            return _NO_REFERENCE
        (reply,) = replies
        # A reply that went on until its limit of tokens has said its answer first: that is all that is read.
        if not (reply.status == "truncated" and reply.tokens) and (failed := passed_on(reply)):
            return failed
        likely = self.kind == "loglikelihood"
        if len(reply.continuations) != 2 * len(self.answers) if likely else reply.text and not reply.tokens:
            what = "log-likelihoods of the answers" if likely else "probabilities of its tokens"
            return Verdict(status="error", raw=reply.text, detail=f"the backend gave no {what}")
        try:
            if likely:
                spread = spread_of_continuations(reply.continuations, tuple(self.answers))
            else:
                spread = spread_of_tokens(reply.tokens, self.answers, self.fold, self._begin(question, reply))
        except Unreadable as reason:
            return Verdict(status="unparsed", raw=reply.text, detail=str(reason))
        floor = self.setting.grading.floor or self.least
        return _turned(expected(spread, self.answers, floor, reply.text), question)

    def _begin(self, question: Question, reply: Reply) -> int:
        text = "".join(token.text for token in reply.tokens)
        nonce = mark("nonce", self.setting, question)
        return answer_begins(text, nonce, question.quotable, reply.status == "truncated")


def _expected_score(setting: Setting) -> Reading:
    """Every level of the scale, worth itself (G-Eval)."""
    low, high = setting.scale
    whole = low.is_integer() and high.is_integer() and high - low < MOST_LEVELS
    levels = range(int(low), int(high) + 1) if whole else ()
    return Probed(setting, {str(level): float(level) for level in levels}, SCORE_FLOOR)


def _yes_no(setting: Setting) -> Reading:
    """P(Yes) / (P(Yes) + P(No)), laid on the scale."""
    low, high = setting.scale
    return Probed(setting, {"Yes": high, "No": low}, CONTRAST_FLOOR, str.casefold)


def _preference(setting: Setting) -> Reading:
    """P(A) / (P(A) + P(B))."""
    return Probed(setting, {"A": 1.0, "B": 0.0}, CONTRAST_FLOOR)


@dataclass(frozen=True)
class LikelihoodRatio(Reading):
    """The reference's log-likelihood after the answer, after the reference itself, and after an empty answer.

    The two anchors are the same for every answer to a sample, so the ledger pays for them once.
    """

    anchored: ClassVar[bool] = True
    order_free: ClassVar[bool] = True
    setting: Setting

    @property
    def planned(self) -> tuple[int, str]:
        return 3, "at most; anchors and equal responses are asked once"

    def requests(self, question: Question, attempt: int = 0) -> tuple[Request, ...]:
        return _likelihoods(self.setting, question)

    def verdict(self, question: Question, replies: Sequence[Reply]) -> Verdict:
        return _failure(replies) or self._compared(question, [reply.continuations[0] for reply in replies])

    def _compared(self, question: Question, likelihoods: Sequence[Continuation]) -> Verdict:
        answer, gold, empty = likelihoods
        return likelihood_ratio(answer, gold, empty, self.setting.scale)


@dataclass(frozen=True)
class PairwiseLikelihood(LikelihoodRatio):
    """As LikelihoodRatio, for two answers. Each is read on its own: the order cannot matter."""

    continuous: ClassVar[bool] = False

    @property
    def planned(self) -> tuple[int, str]:
        return 4, "at most; anchors and equal responses are asked once"

    def _compared(self, question: Question, likelihoods: Sequence[Continuation]) -> Verdict:
        first, second, gold, empty = likelihoods
        a, b = (second, first) if question.swapped else (first, second)
        return pairwise_likelihood(a, b, gold, empty)


def _written(form: str) -> Callable[[Setting], Reading]:
    return lambda setting: Written(setting, form)


_READINGS: Mapping[Task, Mapping[str, Callable[[Setting], Reading]]] = {
    "score": {
        "integer": _written("integer"),
        "reason_json": _written("reason_json"),
        "criteria": _written("criteria"),
        "expected_score": _expected_score,
        "yes_no": _yes_no,
        "likelihood_ratio": LikelihoodRatio,
    },
    "pairwise": {
        "letter": _written("letter"),
        "pairwise_json": _written("pairwise_json"),
        "preference": _preference,
        "pairwise_likelihood": PairwiseLikelihood,
    },
}


def task_of(template: Template) -> Task:
    """The task that a prompt's reading belongs to; scoring, if it names none that is known."""
    return "pairwise" if template.front.reading in _READINGS["pairwise"] else "score"


def reading_for(task: Task, setting: Setting) -> Reading:
    """The reading that the setting's prompt names. Raises PromptError with the file: no reading, an unknown one, one of
    another task, an unknown variable; without it: what the config does not give, or gives wrongly."""
    template, known = setting.template, _READINGS[task]
    name = template.front.reading
    if name not in known:
        said = f"unknown reading {name!r}{did_you_mean(name, known)}" if name else "no 'reading:' in the comment on top"
        raise PromptError(f"{said}; to {_VERB[task]}, it is one of {', '.join(known)}", path=template.place)
    reading = known[name](setting)
    # An anchored reading shows answers one by one, and has no conversation to show.
    template.expect(VARIABLES["score"] - {CONVERSATION["score"], "whole"} if reading.anchored else VARIABLES[task])
    reading.check()
    return reading


_VERB: Mapping[Task, str] = {"score": "score", "pairwise": "compare"}
_NO_REFERENCE = Verdict(status="skipped", detail="the sample has no reference, which the judge's prompt needs")


def steps_request(setting: Setting, attempt: int = 0) -> Request:
    """What asks the judge for its evaluation steps: once, for all questions (G-Eval's automatic chain of thought)."""
    assert setting.writing is not None
    drawn = _drawn(setting, setting.writing, 0, attempt)
    # The config's limit is for verdicts, which take a few tokens: steps may take as many as their prompt says.
    limits = [limit for limit in (setting.writing.front.tokens, setting.sampling.max_new_tokens) if limit]
    sampling = drawn.sampling.model_copy(update={"max_new_tokens": max(limits, default=None)})
    messages = setting.writing.messages(**grading_context(setting), attempt=attempt)
    return drawn.model_copy(update={"sampling": sampling, "messages": messages})


def _asked(setting: Setting, question: Question, attempt: int) -> tuple[Request, ...]:
    """The prompt for the question; nothing, where it needs a reference that the sample has not."""
    if _lacks_reference(setting.template, question):
        return ()
    messages = setting.template.messages(**context(setting, question), attempt=attempt)
    return (_drawn(setting, setting.template, question.repeat, attempt).model_copy(update={"messages": messages}),)


def _drawn(setting: Setting, template: Template, repeat: int, attempt: int) -> Request:
    """A request without messages: how its reply is drawn. Repeat r draws with seed + r."""
    sampling = setting.sampling
    changes: dict[str, int | None] = {"max_new_tokens": sampling.max_new_tokens or template.front.tokens}
    if sampling.seed is not None:
        changes["seed"] = sampling.seed + repeat + _REASK_SEED * attempt
    return Request(messages=(), sampling=sampling.model_copy(update=changes))


def _turned(verdict: Verdict, question: Question) -> Verdict:
    """The preference for system a, also where the second of the two shown was a's."""
    if question.swapped and verdict.value is not None:
        return verdict.model_copy(update={"value": 1.0 - verdict.value})
    return verdict


def _likelihoods(setting: Setting, question: Question) -> tuple[Request, ...]:
    """The reference as a continuation of the prompt with each of the shown responses, the reference, and nothing."""
    reference = (question.sample.reference or "").strip()
    if not reference:
        return ()
    answers = [*(shown.strip() for shown in question.shown), reference, ""]
    alone = [Question(question.sample, (answer,), question.repeat) for answer in answers]
    return tuple(
        Request(messages=setting.template.messages(**context(setting, one), attempt=0), continuations=(reference,))
        for one in alone
    )


def _failure(replies: Sequence[Reply]) -> Verdict | None:
    if not replies:
        return _NO_REFERENCE
    for reply in replies:
        if failed := passed_on(reply):
            return failed
        if len(reply.continuations) != 1:
            return Verdict(status="error", raw=reply.text, detail="the backend gave no log-likelihood")
    return None


def _lacks_reference(template: Template, question: Question) -> bool:
    return template.front.needs == "reference" and not (question.reference or "").strip()


__all__ = [
    "Grading", "Kind", "Question", "Reading", "Setting", "Task", "harmless", "reading_for", "steps_request", "task_of",
]  # fmt: skip
