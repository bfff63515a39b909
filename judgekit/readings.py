"""Readings: what is asked of a judge's backend for one question, and how its replies become a Verdict.

A prompt names its reading in the comment on top. Those that make the judge write (`integer`, `reason_json`,
`letter`, `pairwise_json`) send one prompt; those that measure (`likelihood_ratio`, `pairwise_likelihood`) ask for the
log-likelihood of the reference after several answers, and need a backend that offers it.
"""

from __future__ import annotations

import hashlib
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from judgekit.errors import PromptError
from judgekit.plugins import did_you_mean
from judgekit.records import Continuation, Reply, Request, Sample, Sampling, Verdict
from judgekit.templates import Plain, Template
from judgekit.verdicts import (
    SCORE_SCHEMA,
    WINNER_SCHEMA,
    Asked,
    Scale,
    likelihood_ratio,
    pairwise_likelihood,
    passed_on,
    read,
)

Kind = Literal["generate", "loglikelihood"]
Task = Literal["score", "pairwise"]

_COMMON = frozenset({"instruction", "input", "reference", "category", "metadata", "fence", "nonce", "attempt"})
_VARIABLES: Mapping[Task, frozenset[str]] = {
    "score": _COMMON | {"response", "verbatim_response"},
    "pairwise": _COMMON | {"response_a", "response_b", "verbatim_response_a", "verbatim_response_b"},
}
_REASK_SEED = 1_000_003  # far from seed + repeat, so that a re-ask is no other repeat's first question


@dataclass(frozen=True)
class Question:
    """One question to a judge. `shown` holds one response to score, or two to compare in the order shown; `swapped`
    says that the second of them is system a's."""

    sample: Sample
    shown: tuple[str, ...]
    repeat: int = 0
    swapped: bool = False


@dataclass(frozen=True)
class Setting:
    """What all questions to a judge have in common. `schema`: the backend can be held to a JSON schema."""

    judge: str
    template: Template
    sampling: Sampling = field(default_factory=Sampling)
    schema: bool = False

    @property
    def scale(self) -> Scale:
        return self.template.front.scale or (0.0, 100.0)


class Reading(ABC):
    """Requests out, a verdict in. `anchored`: the reference and an empty answer get the ends of the scale by
    construction."""

    kind: ClassVar[Kind]
    anchored: ClassVar[bool] = False
    setting: Setting

    @abstractmethod
    def requests(self, question: Question, attempt: int = 0) -> tuple[Request, ...]:
        """What to send; nothing, where the question cannot be asked."""

    @abstractmethod
    def verdict(self, question: Question, replies: Sequence[Reply]) -> Verdict:
        """What the replies say. Without a reply the verdict is `skipped`, and says why."""


@dataclass(frozen=True)
class Written(Reading):
    """The judge writes its verdict, in one of the FORMS of verdicts.py."""

    kind: ClassVar[Kind] = "generate"
    setting: Setting
    form: str

    def requests(self, question: Question, attempt: int = 0) -> tuple[Request, ...]:
        if _lacks_reference(self.setting.template, question.sample):
            return ()
        template, sampling = self.setting.template, self.setting.sampling
        changes: dict[str, int | None] = {"max_new_tokens": sampling.max_new_tokens or template.front.tokens}
        if sampling.seed is not None:
            changes["seed"] = sampling.seed + question.repeat + _REASK_SEED * attempt
        schema = _SCHEMAS.get(self.form) if self.setting.schema else None
        return (
            Request(
                messages=template.messages(**_context(self.setting, question), attempt=attempt),
                sampling=sampling.model_copy(update=changes),
                json_schema=schema,
            ),
        )

    def verdict(self, question: Question, replies: Sequence[Reply]) -> Verdict:
        if not replies:
            return _NO_REFERENCE
        shown = (*question.shown, *map(harmless, question.shown))
        asked = Asked(_mark("nonce", self.setting, question), self.setting.scale, shown)
        verdict = read(self.form, replies[0], asked)
        if question.swapped and verdict.value is not None:
            return verdict.model_copy(update={"value": 1.0 - verdict.value})
        return verdict


_SCHEMAS = {"reason_json": SCORE_SCHEMA, "pairwise_json": WINNER_SCHEMA}


@dataclass(frozen=True)
class LikelihoodRatio(Reading):
    """The reference's log-likelihood after the answer, after the reference itself, and after an empty answer.

    The two anchors are the same for every answer to a sample, so the ledger pays for them once.
    """

    kind: ClassVar[Kind] = "loglikelihood"
    anchored: ClassVar[bool] = True
    setting: Setting

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

    def _compared(self, question: Question, likelihoods: Sequence[Continuation]) -> Verdict:
        first, second, gold, empty = likelihoods
        a, b = (second, first) if question.swapped else (first, second)
        return pairwise_likelihood(a, b, gold, empty)


_READINGS: Mapping[Task, Mapping[str, Callable[[Setting], Reading]]] = {
    "score": {
        "integer": lambda setting: Written(setting, "integer"),
        "reason_json": lambda setting: Written(setting, "reason_json"),
        "likelihood_ratio": LikelihoodRatio,
    },
    "pairwise": {
        "letter": lambda setting: Written(setting, "letter"),
        "pairwise_json": lambda setting: Written(setting, "pairwise_json"),
        "pairwise_likelihood": PairwiseLikelihood,
    },
}


def task_of(template: Template) -> Task:
    """The task that a prompt's reading belongs to; scoring, if it names none that is known."""
    return "pairwise" if template.front.reading in _READINGS["pairwise"] else "score"


def reading_for(task: Task, setting: Setting) -> Reading:
    """The reading that the setting's prompt names. Raises PromptError: none, unknown, of another task, or a prompt
    with an unknown variable."""
    template, known = setting.template, _READINGS[task]
    name = template.front.reading
    if name not in known:
        said = f"unknown reading {name!r}{did_you_mean(name, known)}" if name else "no 'reading:' in the comment on top"
        raise PromptError(f"{said}; to {_VERB[task]}, it is one of {', '.join(known)}", path=template.place)
    reading = known[name](setting)
    template.expect(_VARIABLES["score" if reading.kind == "loglikelihood" else task])  # those show answers one by one
    return reading


_VERB: Mapping[Task, str] = {"score": "score", "pairwise": "compare"}
_NO_REFERENCE = Verdict(status="skipped", detail="the sample has no reference, which the judge's prompt needs")
_CONTROL = re.compile(r"<(?=\|)|<(?=/?(?:think|s|bos|eos|start_of_turn|end_of_turn)>)|<(?=<SYS>>)|\[(?=/?INST\])")


def harmless(text: str) -> str:
    """The text with the control marks of chat formats (`<|im_end|>`, `[INST]`, `<think>`, …) broken by a space.

    Servers turn such marks into control tokens wherever they stand, so that a response could open a turn of its own.
    """
    return _CONTROL.sub(lambda mark: f"{mark[0]} ", text)


def _context(setting: Setting, question: Question) -> dict[str, Plain]:
    sample = question.sample
    context: dict[str, Plain] = {
        "instruction": sample.instruction,
        "input": sample.input,
        "reference": sample.reference or "",
        "category": sample.category or "",
        "metadata": sample.metadata,
        "fence": _mark("fence", setting, question),
        "nonce": _mark("nonce", setting, question),
    }
    names = ("response",) if len(question.shown) == 1 else ("response_a", "response_b")
    for name, shown in zip(names, question.shown, strict=True):
        context |= {name: harmless(shown), f"verbatim_{name}": shown}
    return context


def _mark(purpose: Literal["fence", "nonce"], setting: Setting, question: Question) -> str:
    """A mark that no response can contain: it is a hash of the response itself. The same question gives the same
    mark, so that the ledger finds its reply again."""
    sample = question.sample
    parts = [purpose, setting.judge, setting.template.sha256, question.repeat, question.swapped, list(question.shown)]
    content = json.dumps([*parts, sample.id, sample.instruction, sample.input, sample.reference])
    return hashlib.sha256(content.encode("ascii")).hexdigest()[: 16 if purpose == "fence" else 8]


def _likelihoods(setting: Setting, question: Question) -> tuple[Request, ...]:
    """The reference as a continuation of the prompt with each of the shown responses, the reference, and nothing."""
    reference = (question.sample.reference or "").strip()
    if not reference:
        return ()
    answers = [*(shown.strip() for shown in question.shown), reference, ""]
    alone = [Question(question.sample, (answer,), question.repeat) for answer in answers]
    return tuple(
        Request(messages=setting.template.messages(**_context(setting, one), attempt=0), continuations=(reference,))
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


def _lacks_reference(template: Template, sample: Sample) -> bool:
    return template.front.needs == "reference" and not (sample.reference or "").strip()
