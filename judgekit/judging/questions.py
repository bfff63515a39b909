"""What a judge is shown for one question: the context of its prompt, with fences that no response can close."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from judgekit.contracts import Options
from judgekit.judging.parsing import ScaleEnds
from judgekit.prompting.templates import Plain, Template
from judgekit.records import Conversation, Sample, Sampling, Verdict
from judgekit.thoughts import NAMES

Task = Literal["score", "pairwise"]

GRADING_VARIABLES = frozenset({"low", "high", "rubric", "criterion", "steps", "criteria"})
_ALWAYS = frozenset({"instruction", "input", "reference", "category", "metadata", "fence", "nonce", "attempt"})
_SHOWN = _ALWAYS | GRADING_VARIABLES | {"system", "whole"}
_PAIR = frozenset({"response_a", "response_b", "verbatim_response_a", "verbatim_response_b"})
VARIABLES: Mapping[Task, frozenset[str]] = {
    "score": _SHOWN | {"response", "verbatim_response", "conversation"},
    "pairwise": _SHOWN | _PAIR | {"conversation_a", "conversation_b"},
}
# What shows the turns of a conversation: a prompt without it is for single responses.
CONVERSATION: Mapping[Task, str] = {"score": "conversation", "pairwise": "conversation_a"}


@dataclass(frozen=True)
class Question:
    """One question to a judge. `shown` holds one response to score, or two to compare in the order shown; `swapped`
    says that the second of them is system a's.

    In a conversation `earlier` holds, for each of those shown, the answers to the turns before it; with `whole` they
    are judged together.
    """

    sample: Sample
    shown: tuple[str, ...]
    repeat: int = 0
    swapped: bool = False
    earlier: tuple[tuple[str, ...], ...] = ()
    whole: bool = False

    @classmethod
    def of(
        cls, sample: Sample, judged: Sequence[str | Conversation], repeat: int = 0, swapped: bool = False
    ) -> Question:
        """The question about one or two responses, or conversations. ValueError for two of different length."""
        talks = [one if isinstance(one, Conversation) else Conversation((one,)) for one in judged]
        if len({len(talk.answers) for talk in talks}) > 1:
            raise ValueError(f"sample {sample.id!r}: two conversations of different length cannot be compared")
        earlier = tuple(talk.answers[:-1] for talk in talks) if len(talks[0].answers) > 1 else ()
        shown = tuple(talk.answers[-1] for talk in talks)
        return cls(sample, shown, repeat, swapped, earlier, bool(earlier) and all(talk.whole for talk in talks))

    @property
    def turns(self) -> int:
        """How many turns the conversation has come to."""
        return 1 + (len(self.earlier[0]) if self.earlier else 0)

    @property
    def reference(self) -> str | None:
        """That of the turn that the last answer is to."""
        return self.sample.references[self.turns - 1]

    @property
    def quotable(self) -> tuple[str, ...]:
        """What a judge may quote and is no verdict of its own: the texts under judgement, as they are and as shown."""
        texts = list(self.shown)
        if self.earlier or self.sample.system:
            sample, answers = self.sample, [answer for earlier in self.earlier for answer in earlier]
            said = [sample.system, *self.task, *sample.turns[: self.turns - 1], *answers]
            texts += [text for text in said if text.strip()]
        return tuple(dict.fromkeys([*texts, *map(harmless, texts)]))

    @property
    def task(self) -> tuple[str, str]:
        """What was asked: a claim in it is no verdict either, though a word of it may well be one."""
        return self.sample.instruction, self.sample.input

    def turned(self, verdict: Verdict) -> Verdict:
        """The verdict as the preference for system a, also where the second of the two shown was a's."""
        if self.swapped and verdict.value is not None:
            return verdict.model_copy(update={"value": 1.0 - verdict.value})
        return verdict


@dataclass(frozen=True)
class Grading:
    """What the config says of how to grade. Where it says nothing, the prompt's own scale and rubric hold.

    `criterion` is what alone is judged, `steps` how; `criteria` are judged side by side, each with its weight (1 where
    there is none). `floor` is the least captured mass of a reading by probabilities.
    """

    scale: ScaleEnds | None = None
    rubric: Mapping[int, str] = field(default_factory=dict)
    criterion: str = ""
    steps: tuple[str, ...] = ()
    criteria: Mapping[str, str] = field(default_factory=dict)
    weights: Mapping[str, float] = field(default_factory=dict)
    floor: float | None = None


@dataclass(frozen=True)
class Setting:
    """What all questions to a judge have in common. `schema`: the backend can be held to a JSON schema; `logprobs`: it
    gives the probabilities of the tokens that it generates. `writing` is the prompt by which the judge writes the
    evaluation steps, where they are not given. `options` are the reading's own keys."""

    judge: str
    template: Template
    sampling: Sampling = field(default_factory=Sampling)
    schema: bool = False
    logprobs: bool = False
    grading: Grading = field(default_factory=Grading)
    writing: Template | None = None
    options: Options = field(default_factory=Options)

    @property
    def scale(self) -> ScaleEnds:
        if self.grading.scale or not self.grading.rubric:
            return self.grading.scale or self.template.front.scale or (0.0, 100.0)
        return float(min(self.grading.rubric)), float(max(self.grading.rubric))

    @property
    def rubric(self) -> Mapping[int, str]:
        return self.grading.rubric or self.template.front.rubric

    @property
    def weights(self) -> dict[str, float]:
        """The weight of each criterion, in the order of the config."""
        return {name: self.grading.weights.get(name, 1.0) for name in self.grading.criteria}


def context(setting: Setting, question: Question) -> dict[str, Plain]:
    """The variables of the prompt, but for `attempt`."""
    sample = question.sample
    values: dict[str, Plain] = {
        "instruction": sample.instruction,
        "input": sample.input,
        "reference": question.reference or "",
        "system": harmless(sample.system),
        "whole": question.whole,
        "category": sample.category or "",
        "metadata": sample.metadata,
        "fence": mark("fence", setting, question),
        "nonce": mark("nonce", setting, question),
        **grading_context(setting),
    }
    sides = ("",) if len(question.shown) == 1 else ("_a", "_b")
    for place, (side, shown) in enumerate(zip(sides, question.shown, strict=True)):
        values |= {f"response{side}": harmless(shown), f"verbatim_response{side}": shown}
        values[f"conversation{side}"] = _turns(question, place)
    return values


def _turns(question: Question, place: int) -> Plain:
    """The turns up to the response at this place: what the user said, what the system answered, and the reference."""
    sample = question.sample
    said = ["\n\n".join(filter(None, (sample.instruction, sample.input))), *sample.turns][: question.turns]
    answers = (*(question.earlier[place] if question.earlier else ()), question.shown[place])
    turns = zip(said, answers, sample.references[: question.turns], strict=True)
    return [
        {"number": number, "user": harmless(user), "assistant": harmless(answer), "reference": harmless(known or "")}
        for number, (user, answer, known) in enumerate(turns, start=1)
    ]


def grading_context(setting: Setting) -> dict[str, Plain]:
    """The variables that say how to grade: the same for every question."""
    grading = setting.grading
    low, high = (int(end) if end.is_integer() else end for end in setting.scale)
    return {
        "low": low,
        "high": high,
        "rubric": [{"level": level, "text": text} for level, text in sorted(setting.rubric.items())],
        "criterion": grading.criterion,
        "steps": list(grading.steps),
        "criteria": [{"name": name, "text": text} for name, text in grading.criteria.items()],
        **setting.options.model_dump(mode="json"),
    }


def mark(purpose: Literal["fence", "nonce"], setting: Setting, question: Question) -> str:
    """A mark that no text of the question contains: it is a hash of them all, made anew as long as one of them holds
    it, so that searching for a text that holds its own is in vain. The same question gives the same mark, so that the
    ledger finds its reply again."""
    sample = question.sample
    parts = [purpose, setting.judge, setting.template.sha256, question.repeat, question.swapped, list(question.shown)]
    if setting.grading != Grading() or setting.options.model_fields_set:
        parts.append(grading_context(setting))
    if question.earlier or sample.system:
        turns = [list(sample.turns), list(sample.turn_references), sample.system]
        parts += [[list(answers) for answers in question.earlier], question.whole, turns]
    content = json.dumps([*parts, sample.id, sample.instruction, sample.input, sample.reference])
    while (drawn := _hash(content)[: 16 if purpose == "fence" else 8]) in content:
        content += drawn
    return drawn


def _hash(content: str) -> str:
    return hashlib.sha256(content.encode("ascii")).hexdigest()


_CONTROL = re.compile(
    rf"<(?=[|｜])|<(?=/?(?:{'|'.join(NAMES)}|s|bos|eos|pad|unk|sop|start_of_turn|end_of_turn)>)|<(?=/?seed:)|<(?=<SYS>>)"
    r"|\[(?=\||gMASK\]|/?(?:INST|THINK|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_RESULTS|TOOL_CALLS)\])"
)


def harmless(text: str) -> str:
    """The text with the control marks of chat formats (`<|im_end|>`, `[INST]`, `<think>`, …) broken by a space.

    Servers turn such marks into control tokens wherever they stand, so that a response could open a turn of its own.
    """
    return _CONTROL.sub(lambda sign: f"{sign[0]} ", text)
