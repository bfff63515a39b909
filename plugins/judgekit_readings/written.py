"""Readings in writing: the judge writes its verdict, in one of the FORMS of parsing.py."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

from pydantic import Field

from judgekit import Options, Reply, Request, Scale, Verdict
from judgekit.judging import Question, Task
from judgekit_readings.answers import Asked
from judgekit_readings.parsing import BuiltIn, read, schema_of
from judgekit_readings.patterns import problem_of


class PatternOptions(Options):
    """`pattern`: how the verdict is written, as a regular expression with one group; where there is none, the prompt's
    own holds."""

    pattern: str | None = Field(None, min_length=1)


class TieOptions(Options):
    """`tie`: the letter that the prompt gives a tie, such as C."""

    tie: str | None = Field(None, pattern="^[C-Zc-z]$")


class LetterOptions(PatternOptions, TieOptions):
    """Both."""


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
        asked = Asked(
            self.nonce(question),
            setting.scale,
            question.quotable,
            setting.weights,
            question.task,
            self._own("pattern"),
            self._own("tie"),
        )
        return question.turned(read(self.form, replies[0], asked))

    def check(self) -> Iterator[str]:
        fields = self.Options.model_fields
        for key in ("pattern", "tie"):
            if key not in fields and getattr(self.setting.template.front, key):
                yield f"{key}: the reading {self.name or self.form} makes no use of it"
        if (pattern := self._own("pattern")) and (problem := problem_of(pattern)):
            yield problem

    def _own(self, key: str) -> str:
        """The config's, or else the prompt's."""
        return str(getattr(self.options, key, None) or getattr(self.setting.template.front, key))


class Integer(Written):
    """An integer of the scale, alone or in a last line "Score: N"."""

    Options: ClassVar[type[Options]] = PatternOptions
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
        yield from super().check()
        if not self.setting.weights:
            yield "needs criteria: {name: what is judged, …}"


class Letter(Written):
    """A, B or tie, alone or in a last line "Winner: A"."""

    Options: ClassVar[type[Options]] = LetterOptions
    task: ClassVar[Task] = "pairwise"
    form: ClassVar[str] = "letter"
    default_prompt: ClassVar[str] = "pairwise/letter"


class PairwiseJson(Written):
    """A reason and A, B or tie, as JSON."""

    Options: ClassVar[type[Options]] = TieOptions
    task: ClassVar[Task] = "pairwise"
    form: ClassVar[str] = "pairwise_json"
    default_prompt: ClassVar[str] = "pairwise/reason_json"
    conversation_prompt: ClassVar[str] = "pairwise/conversation"
    is_default: ClassVar[bool] = True
