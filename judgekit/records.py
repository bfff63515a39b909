"""The nouns: frozen values that flow from the config to the report. No I/O, no wall clock.

Sample → Request → Reply → Response → Verdict → Row → Estimate → RunRecord
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

Role = Literal["system", "user", "assistant"]
ReplyStatus = Literal["complete", "truncated", "refused", "error"]
VerdictStatus = Literal["scored", "unparsed", "refused", "truncated", "error", "skipped"]
VERDICT_STATUSES: tuple[VerdictStatus, ...] = ("scored", "unparsed", "refused", "truncated", "error", "skipped")

NO_RESPONSE = "no complete response"  # how the detail of a verdict on a missing response begins

Finite = Annotated[float, Field(allow_inf_nan=False)]


class Noun(BaseModel):
    """A frozen value: unknown fields are refused, and so are NaN and infinities."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Message(Noun):
    role: Role
    content: str


class Sample(Noun):
    """One item of a data set. `id` is unique in its file; `answer` is an index into `choices`."""

    id: str
    instruction: str
    input: str = ""
    reference: str | None = None
    choices: tuple[str, ...] = ()
    answer: int | None = None
    category: str | None = None
    metadata: dict[str, JsonValue] = {}


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

    `tokens` are the generated ones, in order, where the request asked for `top_logprobs`.
    """

    text: str = ""
    status: ReplyStatus = "complete"
    detail: str = ""
    reasoning: str = ""
    continuations: tuple[Continuation, ...] = ()
    tokens: tuple[Token, ...] = ()
    usage: Usage | None = None
    notes: tuple[str, ...] = ()


class Response(Noun):
    """A system's answer to one sample in one generation repeat."""

    system: str
    sample_id: str
    repeat: int = 0
    text: str = ""
    status: ReplyStatus = "complete"
    detail: str = ""


class Verdict(Noun):
    """A judge's reading of one response. `value` is there exactly when the status is `scored`."""

    status: VerdictStatus
    value: Finite | None = None
    raw: str = ""
    rationale: str = ""
    detail: str = ""

    @model_validator(mode="after")
    def _value_iff_scored(self) -> Verdict:
        if (self.value is not None) != (self.status == "scored"):
            raise ValueError(f"a verdict has a value exactly when it is scored, not {self.value!r} and {self.status!r}")
        return self


class Row(Noun):
    """One measured value: a metric on one sample, in one generation repeat and one judge repeat.

    `series` holds further named values of the same row (for example `consistent`: 0 or 1).
    """

    metric: str
    system: str
    sample_id: str
    repeat: int = 0
    judge_repeat: int = 0
    status: VerdictStatus
    value: Finite | None = None
    series: dict[str, Finite] = {}
    verdicts: tuple[Verdict, ...] = ()

    @model_validator(mode="after")
    def _value_iff_scored(self) -> Row:
        if (self.value is not None) != (self.status == "scored"):
            raise ValueError(f"a row has a value exactly when it is scored, not {self.value!r} and {self.status!r}")
        return self


class Series(Noun):
    """What a named series of values means: its scale, its label, and whether more is better."""

    label: str
    low: float
    high: float
    higher_is_better: bool = True
    unit: str = ""


class Interval(Noun):
    """A two-sided interval. `note` says why there is none, when `low` and `high` are None."""

    method: str
    low: Finite | None
    high: Finite | None
    note: str = ""


class Estimate(Noun):
    """One printed number, with all that is needed to read it.

    `estimand`: "new items" (the items are a sample of many) or "rerun on these items".
    `against`: the other system of a paired difference (system − against), else None.
    `bounds`: the mean with every missing verdict at the scale's minimum, and at its maximum.
    `bootstrap`: the studentised item bootstrap, printed always, also where `interval` is another method.
    """

    metric: str
    system: str
    series: str = "value"
    against: str | None = None
    estimand: Literal["new items", "rerun on these items"] = "new items"
    scale: Series
    value: Finite | None
    se: Finite | None = None
    confidence: float
    interval: Interval
    bootstrap: Interval | None = None
    bounds: tuple[Finite, Finite] | None = None
    n_items: int
    n_clusters: int | None = None
    repeats: int = 1
    counts: dict[VerdictStatus, int] = {}


class Check(Noun):
    """One line of a judge card: what was tried, what came out, and whether that is as it should be."""

    name: str
    label: str
    value: Finite | None
    low: Finite | None = None
    high: Finite | None = None
    expected: str = ""
    passed: bool | None = None
    note: str = ""
    n_items: int = 0
    counts: dict[VerdictStatus, int] = {}


class JudgeCard(Noun):
    """How a judge reads answers whose worth is known. `passed` is None where nothing could be said."""

    judge: str
    backend: str
    prompt: str
    reading: str
    checks: tuple[Check, ...]
    passed: bool | None


class CurvePoint(Noun):
    """A loss in nats after so many steps, and what else was measured there, by name."""

    step: int
    split: str
    loss: Finite
    measures: dict[str, Finite] = {}


class TrainingSample(Noun):
    """What a model in training wrote after so many steps."""

    step: int
    prompt: str
    text: str
    reference: str | None = None


class Training(Noun):
    """One trainer's product: where it stands, what it is, its loss curve (in nats), and what it wrote meanwhile."""

    name: str
    trainer: str
    checkpoint: str
    identity: str
    curve: tuple[CurvePoint, ...] = ()
    samples: tuple[TrainingSample, ...] = ()
    summary: dict[str, JsonValue] = {}


class PluginInfo(Noun):
    name: str
    distribution: str
    version: str
    offers: tuple[str, ...] = ()


class Problem(Noun):
    """Something found before the first call. An `error` stops the run; a `warning` is printed and recorded."""

    severity: Literal["error", "warning"]
    where: str
    message: str
    exit_code: int = 2


class RunRecord(Noun):
    """A run's result: manifest and estimates. Equal work gives equal bytes; reports are made from it alone."""

    schema_version: int = 1
    run_id: str
    name: str
    judgekit_version: str
    status: Literal["complete", "incomplete"]
    spec: dict[str, JsonValue]
    inputs: dict[str, str]
    plugins: tuple[PluginInfo, ...]
    identities: dict[str, JsonValue]
    prompts: dict[str, str] = {}
    n_samples: int
    systems: tuple[str, ...]
    estimates: tuple[Estimate, ...]
    differences: tuple[Estimate, ...] = ()
    cards: tuple[JudgeCard, ...] = ()
    trainings: tuple[Training, ...] = ()
    warnings: tuple[str, ...] = ()
    errors: dict[str, int] = {}
    files: dict[str, str] = {}


@dataclass(frozen=True)
class RunView:
    """A finished run as reporters see it: the record, and its rows to iterate over (again and again)."""

    record: RunRecord
    samples: Iterable[Sample]
    responses: Iterable[Response]
    rows: Iterable[Row]


@dataclass(frozen=True)
class Table:
    columns: Sequence[str]
    rows: Sequence[Sequence[str | float | int | None]]


@dataclass(frozen=True)
class Section:
    """A piece of a report: a title, one sentence, and a chart (a Vega-Lite dict) with its data table."""

    name: str
    title: str
    sentence: str
    chart: Mapping[str, Any] | None = None
    table: Table | None = None


def to_json(value: Noun | Mapping[str, Any]) -> str:
    """The one codec to every store: one line, ASCII-escaped (lone surrogates survive), keys in their own order."""
    plain = value.model_dump(mode="python") if isinstance(value, Noun) else value
    return json.dumps(plain, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
