"""The nouns: frozen values that flow from the config to the report. No I/O, no wall clock.

Sample → Request → Reply → Response → Verdict → Row → Estimate → RunRecord
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Any, Literal, NamedTuple, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

Role = Literal["system", "user", "assistant"]
ReplyStatus = Literal["complete", "truncated", "refused", "error"]
VerdictStatus = Literal["scored", "unparsed", "refused", "truncated", "error", "skipped", "unsigned"]
VERDICT_STATUSES: tuple[VerdictStatus, ...] = get_args(VerdictStatus)
NOT_JUDGED = "not judged: the gate had decided"  # how the detail of a row that a sequential gate spared begins
ASKED_AGAIN = "\n\n[asked again]\n\n"  # between the two replies of a verdict that took a second asking
NO_RESPONSE = "no complete response"  # how the detail of a verdict on a missing response begins
LimitKind = Literal["margin", "min", "max", "catastrophe", "missing"]  # of a gate's rule
Finite = Annotated[float, Field(allow_inf_nan=False)]


class Noun(BaseModel):
    """A frozen value: unknown fields are refused, and so are NaN and infinities."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Message(Noun):
    """`cuts`: characters of the content where, for a backend that reads it as one text, tokens end: the edges of the
    answers in the history of a conversation. They are no part of what a server is sent."""

    role: Role
    content: str
    cuts: tuple[int, ...] = Field((), exclude=True)


_GIVEN: dict[frozenset[str], set[str]] = {}


class Sample(Noun):
    """One item of a data set. `id` is unique in its file; `answer` is an index into `choices`.

    Of a conversation, `instruction` and `reference` are its first turn, and `turns` are the user's further ones with
    `turn_references` (as many, or none at all). `system` is what the system is told before the first.
    """

    id: str
    instruction: str
    input: str = ""
    reference: str | None = None
    turns: tuple[str, ...] = ()
    turn_references: tuple[str | None, ...] = ()
    system: str = ""
    choices: tuple[str, ...] = ()
    answer: int | None = None
    category: str | None = None
    metadata: dict[str, JsonValue] = {}

    @model_validator(mode="after")
    def _one_reference_a_turn(self) -> Sample:
        if self.turn_references and len(self.turn_references) != len(self.turns):
            raise ValueError(f"{len(self.turns)} further turns and {len(self.turn_references)} references to them")
        # Samples of one file are given the same fields: one set for all of them is 70 MB less for 100,000.
        given = frozenset(self.__pydantic_fields_set__)
        object.__setattr__(self, "__pydantic_fields_set__", _GIVEN.setdefault(given, set(given)))
        return self

    @property
    def references(self) -> tuple[str | None, ...]:
        """The reference of every turn of the user."""
        return (self.reference, *(self.turn_references or (None,) * len(self.turns)))


class Sampling(Noun):
    """How tokens are drawn. None means: not sent, the backend's own default."""

    max_new_tokens: int | None = Field(None, ge=1)
    temperature: float | None = Field(None, ge=0)
    top_p: float | None = Field(None, gt=0, le=1)
    top_k: int | None = Field(None, ge=1)
    seed: int | None = Field(None, ge=0, le=2**63 - 1)
    stop: tuple[str, ...] = ()


class Request(Noun):
    """One question to a backend: a generation, or (with `continuations`) log-likelihoods of given texts.

    `sample_id` is set only for a backend with the capability `stored`, which looks answers up instead of making them.
    `top_logprobs` asks a backend with the capability `logprobs` for that many alternatives at each generated token.
    """

    messages: tuple[Message, ...]
    sampling: Sampling = Sampling()
    json_schema: dict[str, JsonValue] | None = None
    continuations: tuple[str, ...] = ()
    sample_id: str = ""
    top_logprobs: int = Field(0, ge=0, le=20)

    @property
    def prompt(self) -> str:
        """The messages as plain text: their contents, joined by a blank line."""
        return "\n\n".join(message.content for message in self.messages)

    @property
    def parts(self) -> tuple[str, ...]:
        """The prompt in the parts that are to be encoded apart."""
        cuts = self.messages[0].cuts if len(self.messages) == 1 else ()
        edges = (0, *cuts, len(self.prompt))
        return tuple(self.prompt[start:end] for start, end in pairwise(edges))


class Call(NamedTuple):
    """A request on its way: which repeat of it, and which attempt to be understood. All three are in its ledger key."""

    request: Request
    repeat: int = 0
    attempt: int = 0


class Continuation(Noun):
    """Log-likelihood of one given continuation: the natural log-probability of each of its tokens."""

    token_logprobs: tuple[float, ...]

    @property
    def loglikelihood(self) -> float:
        """Sum of the token log-probabilities, in nats."""
        return math.fsum(self.token_logprobs)

    @property
    def tokens(self) -> int:
        return len(self.token_logprobs)


class Usage(Noun):
    prompt_tokens: int = 0
    completion_tokens: int = 0


class Token(Noun):
    """A generated token: its text and natural log-probability, and the likeliest tokens at its place with theirs."""

    text: str
    logprob: Finite
    top: tuple[tuple[str, Finite], ...] = ()


class Reply(Noun):
    """What a backend said. Status `error` means that no reply came: it is never stored as an answer.

    `tokens` are the generated ones, in order, where the request asked for `top_logprobs`; none where the prompt did not
    reach the model whole. `raw` is the text as it came, where thoughts were cut from it (thoughts.py): what is stored
    has its thoughts in `text` still.
    """

    text: str = ""
    status: ReplyStatus = "complete"
    detail: str = ""
    reasoning: str = ""
    continuations: tuple[Continuation, ...] = ()
    tokens: tuple[Token, ...] = ()
    usage: Usage | None = None
    notes: tuple[str, ...] = ()
    raw: str = Field("", exclude=True)

    @property
    def whole(self) -> str:
        """The text with the thoughts that were cut from it."""
        return self.raw or self.text


class Response(Noun):
    """A system's answer to one sample in one generation repeat.

    Of a conversation, `text` is the answer to the user's first turn and `turns` are those to the further ones, as far
    as they came: an answer that is not complete ends the conversation, with its status. `raw`: the answer to every turn
    as it came, where thoughts were cut from one of them.
    """

    system: str
    sample_id: str
    repeat: int = 0
    text: str = ""
    turns: tuple[str, ...] = ()
    status: ReplyStatus = "complete"
    detail: str = ""
    raw: tuple[str, ...] = ()

    @model_serializer(mode="wrap")
    def _lean(self, inner: SerializerFunctionWrapHandler) -> dict[str, Any]:
        tree: dict[str, Any] = inner(self)
        if not self.raw:
            del tree["raw"]
        return tree

    @property
    def answers(self) -> tuple[str, ...]:
        """The answer to every turn."""
        return (self.text, *self.turns)


class Empty(Noun):
    """How many of a system's answers hold no text, `of` all that it gave, and why, by cause."""

    system: str
    count: int
    of: int
    causes: dict[str, int] = {}

    @property
    def share(self) -> float:
        return self.count / self.of if self.of else 0.0


@dataclass(frozen=True)
class Conversation:
    """A system's answers to the first turns of a sample, in order: what a judge is given in place of one response.

    It judges the last of them in the light of the earlier ones, or (`whole`) all of them together.
    """

    answers: tuple[str, ...]
    whole: bool = False


class Verdict(Noun):
    """A judge's reading of one response. `value` is there exactly when the status is `scored`.

    `series` holds further values by name: of each criterion, of each member of a panel, the captured probability.
    """

    status: VerdictStatus
    value: Finite | None = None
    raw: str = ""
    rationale: str = ""
    detail: str = ""
    series: dict[str, Finite] = {}

    @model_validator(mode="after")
    def _value_iff_scored(self) -> Verdict:
        if (self.value is not None) != (self.status == "scored"):
            raise ValueError(f"a verdict has a value exactly when it is scored, not {self.value!r} and {self.status!r}")
        return self


class ScoreKey(NamedTuple):
    """What an item's score is of. `opponent` is empty where a metric looks at one system at a time."""

    metric: str
    system: str
    opponent: str


class Row(Noun):
    """One measured value: a metric on one sample, in one generation repeat and one judge repeat.

    `opponent` is the other system, where a metric compares two. `series` holds further named values of the same row
    (for example `consistent`: 0 or 1), and `missing` says why some have none (the verdict on one turn of several).
    A row that is not scored has no series, unless it says so of those that are missing.
    """

    metric: str
    system: str
    sample_id: str
    repeat: int = 0
    judge_repeat: int = 0
    opponent: str = ""
    status: VerdictStatus
    value: Finite | None = None
    series: dict[str, Finite] = {}
    missing: dict[str, VerdictStatus] = {}
    verdicts: tuple[Verdict, ...] = ()

    @model_validator(mode="after")
    def _value_iff_scored(self) -> Row:
        if (self.value is not None) != (self.status == "scored"):
            raise ValueError(f"a row has a value exactly when it is scored, not {self.value!r} and {self.status!r}")
        return self

    @property
    def place(self) -> ScoreKey:
        return ScoreKey(self.metric, self.system, self.opponent)


class Scale(Noun):
    """What a named series of values means: its scale, its label, and whether more is better."""

    label: str
    low: float
    high: float
    higher_is_better: bool = True
    unit: str = ""


def to_json(value: Noun | Mapping[str, Any]) -> str:
    """The one codec to every store: one line, ASCII-escaped (lone surrogates survive), keys in their own order."""
    plain = value.model_dump(mode="python") if isinstance(value, Noun) else value
    return json.dumps(plain, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
