"""Readings in writing: the judge writes its verdict, in one of the FORMS of parsing.py."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

from judgekit import Reply, Request, Scale, Verdict
from judgekit.judging import Question, Task
from judgekit_readings.parsing import Asked, BuiltIn, read, schema_of


class Written(BuiltIn):
    """A verdict in writing. `form` is one of the FORMS."""

    form: ClassVar[str]

    @property
    def series(self) -> Mapping[str, Scale]:
        low, high = self.setting.scale
        return {**super().series, **{name: Scale(label=name, low=low, high=high) for name in self.setting.weights}}

    def requests(self, question: Question, attempt: int = 0) -> tuple[Request, ...]:
        schema = schema_of(self.form, self.setting.weights) if self.setting.schema else None
        asked = self.prompts(question, attempt)
        return tuple(request.model_copy(update={"json_schema": schema}) for request in asked)

    def verdict(self, question: Question, replies: Sequence[Reply]) -> Verdict:
        setting = self.setting
        asked = Asked(self.nonce(question), setting.scale, question.quotable, setting.weights, question.task)
        return question.turned(read(self.form, replies[0], asked))


class Integer(Written):
    """An integer of the scale, alone or in a last line "Score: N"."""

    task: ClassVar[Task] = "score"
    form: ClassVar[str] = "integer"
    default_prompt: ClassVar[str] = "score/integer"


class ReasonJson(Written):
    """A reason and an integer of the scale, as JSON."""

    task: ClassVar[Task] = "score"
    form: ClassVar[str] = "reason_json"
    default_prompt: ClassVar[str] = "score/reason_json"
    conversation_prompt: ClassVar[str] = "score/conversation"
    is_default: ClassVar[bool] = True


class Criteria(Written):
    """A reason and an integer for each criterion, as JSON; the value is their weighted mean."""

    task: ClassVar[Task] = "score"
    form: ClassVar[str] = "criteria"
    keys: ClassVar[frozenset[str]] = frozenset({"criteria", "weights"})
    default_prompt: ClassVar[str] = "score/criteria"

    def check(self) -> Iterator[str]:
        if not self.setting.weights:
            yield "needs criteria: {name: what is judged, …}"


class Letter(Written):
    """A, B or tie, alone or in a last line "Winner: A"."""

    task: ClassVar[Task] = "pairwise"
    form: ClassVar[str] = "letter"
    default_prompt: ClassVar[str] = "pairwise/letter"


class PairwiseJson(Written):
    """A reason and A, B or tie, as JSON."""

    task: ClassVar[Task] = "pairwise"
    form: ClassVar[str] = "pairwise_json"
    default_prompt: ClassVar[str] = "pairwise/reason_json"
    conversation_prompt: ClassVar[str] = "pairwise/conversation"
    is_default: ClassVar[bool] = True
