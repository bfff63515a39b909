"""The nouns: frozen values that flow from the config to the report. No I/O, no wall clock.

Sample → Request → Reply → Response → Verdict → Row → Estimate → RunRecord
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

Role = Literal["system", "user", "assistant"]
ReplyStatus = Literal["complete", "truncated", "refused", "error"]
VerdictStatus = Literal["scored", "unparsed", "refused", "truncated", "error", "skipped"]
VERDICT_STATUSES: tuple[VerdictStatus, ...] = ("scored", "unparsed", "refused", "truncated", "error", "skipped")

NOT_JUDGED = "not judged: the gate had decided"  # how the detail of a row that a sequential gate spared begins
NO_RESPONSE = "no complete response"  # how the detail of a verdict on a missing response begins

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
    reach the model whole.
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
    """A system's answer to one sample in one generation repeat.

    Of a conversation, `text` is the answer to the user's first turn and `turns` are those to the further ones, as far
    as they came: an answer that is not complete ends the conversation, with its status.
    """

    system: str
    sample_id: str
    repeat: int = 0
    text: str = ""
    turns: tuple[str, ...] = ()
    status: ReplyStatus = "complete"
    detail: str = ""

    @property
    def answers(self) -> tuple[str, ...]:
        """The answer to every turn."""
        return (self.text, *self.turns)


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


class Place(NamedTuple):
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
    def place(self) -> Place:
        return Place(self.metric, self.system, self.opponent)


class Series(Noun):
    """What a named series of values means: its scale, its label, and whether more is better."""

    label: str
    low: float
    high: float
    higher_is_better: bool = True
    unit: str = ""


class Interval(Noun):
    """A two-sided interval. `note` says why there is none, when `low` and `high` are None, or what it leaves out."""

    method: str
    low: Finite | None
    high: Finite | None
    note: str = ""


class Estimate(Noun):
    """One printed number, with all that is needed to read it.

    `estimand`: "new items" (the items are a sample of many) or "rerun on these items".
    `against`: the other system of a paired difference (system − against), else None.
    `opponent`: the other system of a comparison by a judge (a win rate of system against opponent), else None.
    `bounds`: the mean with every missing verdict at the scale's minimum, and at its maximum.
    `bootstrap`: the studentised item bootstrap, printed always, also where `interval` is another method.
    `group`: the samples that it is of, in a Breakdown; None: all.
    """

    metric: str
    system: str
    series: str = "value"
    group: str | None = None
    against: str | None = None
    opponent: str | None = None
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


class Group(Noun):
    """The samples with one value of a field: its name, and how many they are."""

    name: str
    n_samples: int


class Breakdown(Noun):
    """A run's estimates once more for each group of its samples by a field of theirs; `group` of each names it.

    A sample whose field is a list is in several groups.
    """

    field: str
    groups: tuple[Group, ...]
    estimates: tuple[Estimate, ...]
    differences: tuple[Estimate, ...] = ()


class Statistic(Noun):
    """A number of a metric that is no mean over items and needs no interval: a count, or a test's p-value.

    `note` says what it counts, or why it is missing.
    """

    metric: str
    system: str
    opponent: str | None = None
    name: str
    label: str
    value: Finite | None
    note: str = ""


class VarianceBudget(Noun):
    """What the squared standard error of a system's mean is made of: `item` + `generation` + `judge`, for new items.

    Squared units of the scale. A part is None where no repeat can tell: without several judgements of an answer the
    judge's noise is in `generation`, without several generations both are in `item`. `generations` an item and
    `judgements` of each are means. `advice`: what to buy next, in one line.
    """

    metric: str
    system: str
    opponent: str | None = None
    scale: Series
    item: Finite
    generation: Finite | None
    judge: Finite | None
    n_items: int
    n_clusters: int | None = None
    generations: Finite
    judgements: Finite
    advice: str


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
    task: Literal["score", "pairwise"] = "score"
    backend: str
    prompt: str
    reading: str
    checks: tuple[Check, ...]
    passed: bool | None


class Figure(Noun):
    """One measure of agreement. `interval` resamples items; `wilson` is there for shares beside it."""

    name: str
    label: str
    value: Finite | None
    interval: Interval
    wilson: Interval | None = None
    n_items: int
    note: str = ""


class Corrected(Noun):
    """A system's mean label over all items, from a few labels and the judge on all items (PPI++), beside the judge's
    and the labels' own means. `weight` is how much the judge was believed, 0 to 1."""

    system: str
    value: Finite | None
    interval: Interval
    weight: Finite | None = None
    judge_only: Interval
    judge_mean: Finite | None
    labels_only: Interval
    labels_mean: Finite | None
    n_labels: int
    n_unlabelled: int
    note: str = ""


class Calibration(Noun):
    """Responses to which the judge gave `low` to `high`: its own mean there, and the labels' with its interval."""

    low: Finite
    high: Finite
    n_pairs: int
    n_items: int
    judge: Finite
    label: Finite
    interval: Interval


class Agreement(Noun):
    """How far two ratings of the same responses agree: `first` (a judge) and `second` (labels, or another judge).

    `kind` says what is compared: scores, preferences (win, tie, loss), or yes/no. `ceiling`: the same figures between
    the labellers, where there are several. `calibration`: what the labels say where the judge gave about the same.
    """

    metric: str
    first: str
    second: str
    kind: Literal["score", "preference", "binary"]
    scale: Series
    confidence: float
    n_items: int
    n_pairs: int
    labellers: int = 1
    figures: tuple[Figure, ...]
    ceiling: tuple[Figure, ...] = ()
    calibration: tuple[Calibration, ...] = ()
    corrected: tuple[Corrected, ...] = ()
    notes: tuple[str, ...] = ()


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


GateOutcome = Literal["PASS", "FAIL", "INCONCLUSIVE"]


class Stop(Noun):
    """How a sequential rule ended: after `judged` of `planned` items, `decided` by a look or by the test at the end."""

    judged: int
    planned: int
    decided: GateOutcome | None
    note: str


class Moved(Noun):
    """An item and its mean score in the baseline and now."""

    sample_id: str
    baseline: Finite
    candidate: Finite


class GateClaim(Noun):
    """One rule of a gate on one system, and what came of it.

    `margin`: `value` is the mean paired difference to the baseline (candidate − baseline, in the metric's own
    direction) and `interval` its two one-sided bounds. `min` and `max`: `value` and `interval` are the estimate's own.
    `p` is one-sided, of the claim that this rule fails; `p_holm` after Holm's correction over all rules of the gate.
    `detectable`: the least worsening that this rule finds with a power of 80 %.
    """

    metric: str
    system: str
    opponent: str | None = None
    kind: Literal["margin", "min", "max"]
    threshold: Finite
    outcome: GateOutcome
    scale: Series
    value: Finite | None
    interval: Interval
    p: Finite | None = None
    p_holm: Finite | None = None
    detectable: Finite | None = None
    candidate: Finite | None = None
    baseline: Finite | None = None
    n_items: int = 0
    n_clusters: int | None = None
    better: int = 0
    worse: int = 0
    equal: int = 0
    reasons: tuple[str, ...] = ()
    stop: Stop | None = None
    movers: tuple[Moved, ...] = ()  # of a margin: the items that moved furthest, for the worse first


class Gate(Noun):
    """What a gate said of a run: its outcome, that of every rule, and what the judge's card was waived for.

    `baseline` is the id of the run behind the baseline file, `baseline_sha256` that of the file; empty without one.
    """

    outcome: GateOutcome
    baseline: str = ""
    baseline_sha256: str = ""
    claims: tuple[GateClaim, ...]
    waived: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _passes_by_its_rules(self) -> Gate:
        if self.outcome == "PASS" and {claim.outcome for claim in self.claims} != {"PASS"}:
            raise ValueError("a gate passes only if it evaluated a rule and every rule passes")
        return self


class PooledRun(Noun):
    """A run whose rows stand in another record as repeats. `repeats`: the numbers of its generations there."""

    run_id: str
    seed: int
    repeats: tuple[int, ...]


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
    statistics: tuple[Statistic, ...] = ()
    breakdowns: tuple[Breakdown, ...] = ()
    variance_budgets: tuple[VarianceBudget, ...] = ()
    pooled: tuple[PooledRun, ...] = ()  # the runs that this one pools as repeats; none: it is a run of its own
    cards: tuple[JudgeCard, ...] = ()
    agreements: tuple[Agreement, ...] = ()
    gate: Gate | None = None
    gate_trouble: str = ""  # why the config's gate could not be evaluated
    metric_prompts: dict[str, tuple[str, ...]] = {}  # the templates of each metric and of its judge, by metric
    rescored: str | None = None  # the id of the run whose stored responses were judged again
    trainings: tuple[Training, ...] = ()
    steps: dict[str, tuple[str, ...]] = {}  # the evaluation steps that a judge wrote for itself, by judge
    warnings: tuple[str, ...] = ()
    notes: dict[str, int] = {}
    errors: dict[str, int] = {}
    files: dict[str, str] = {}

    def part(self, *keys: str) -> Mapping[str, JsonValue]:
        """What stands in its config under these keys, as in part("metrics", "quality"); empty where nothing does."""
        found: JsonValue | Mapping[str, JsonValue] = self.spec
        for key in keys:
            found = found.get(key) if isinstance(found, Mapping) else None
        return found if isinstance(found, Mapping) else {}


@dataclass(frozen=True)
class RunView:
    """A finished run as reporters see it: the record, and its rows to iterate over (again and again)."""

    record: RunRecord
    samples: Iterable[Sample]
    responses: Iterable[Response]
    rows: Iterable[Row]
    baseline: Mapping[Place, Mapping[str, float]] | None = None  # the baseline's item scores, by sample id
    speeds: Mapping[str, float] | None = None  # tokens a second of each training, as it was timed where it was made
    redacted: bool = False  # texts were left out (redaction.py)
    interactive: bool = False  # the reader wants charts to explore


@dataclass(frozen=True)
class Table:
    columns: Sequence[str]
    rows: Sequence[Sequence[str | float | int | None]]


SectionPlace = Literal[
    "baseline", "differences", "groups", "distributions", "pairwise", "judges", "choices", "training", "more"
]  # fmt: skip


@dataclass(frozen=True)
class Section:
    """A piece of a report: a title, one sentence, and a chart (a Vega-Lite dict) with its data table.

    `place`: which part of the report it belongs to.
    """

    name: str
    title: str
    sentence: str
    chart: Mapping[str, Any] | None = None
    table: Table | None = None
    place: SectionPlace = "more"


def to_json(value: Noun | Mapping[str, Any]) -> str:
    """The one codec to every store: one line, ASCII-escaped (lone surrogates survive), keys in their own order."""
    plain = value.model_dump(mode="python") if isinstance(value, Noun) else value
    return json.dumps(plain, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
