"""The blocks of a config file, checked, as frozen values: `RunConfig` is the whole."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from judgekit.records import LimitKind, Sampling
from judgekit.statistics.methods import Method
from judgekit.text import did_you_mean
from judgekit.thoughts import ThoughtsOption

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][\w.-]{0,99}$")]
THREADS = "threads"  # the executor by default
FieldName = Annotated[str, Field(min_length=1)]  # of a sample: category, metadata.difficulty, …


def _several(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


# Names of which one may stand alone: several, or at least one.
Several = Annotated[tuple[str, ...], BeforeValidator(_several)]
OneOrMore = Annotated[tuple[str, ...], Field(min_length=1), BeforeValidator(_several)]


def _as_share(value: Any) -> Any:
    """ "3 %" as 0.03."""
    if isinstance(value, str) and value.rstrip().endswith("%"):
        return float(value.rstrip()[:-1]) / 100
    return value


def _check_scale(scale: tuple[float, float] | None) -> None:
    if scale is not None and not scale[0] < scale[1]:
        raise ValueError(f"a scale goes from its low end to its high end, not [{scale[0]:g}, {scale[1]:g}]")


class Block(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Part(Block):
    """A piece that a plugin builds: the plugin's name under its own key, and the plugin's options."""

    options: dict[str, JsonValue] = {}

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, value: Any) -> Any:
        """Sort the keys: ours, the common keys of sampling, and the plugin's, which go to `options`."""
        if not isinstance(value, dict):
            return value
        own = set(cls.model_fields) - {"options", "sampling"}
        if value.get("mode") in ("batch", "live"):
            own -= {"mode"}  # how a backend's calls are sent; a judge's own `mode` is short for a prompt's name
        drawn = set(Sampling.model_fields) if "sampling" in cls.model_fields else set()
        sorted_keys: dict[str, Any] = {key: item for key, item in value.items() if key in own}
        if drawn:
            sorted_keys["sampling"] = {"temperature": 0.0} | {key: value[key] for key in value if key in drawn}
        sorted_keys["options"] = {key: item for key, item in value.items() if key not in own | drawn}
        return sorted_keys

    @model_serializer(mode="wrap")
    def _flatten(self, inner: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Back to the shape of the YAML file, so that the config in a record can be run again."""
        tree: dict[str, Any] = inner(self)
        options, sampling = tree.pop("options"), tree.pop("sampling", {})
        drawn = {key: item for key, item in sampling.items() if item not in (None, [], ())}
        return {**{key: item for key, item in tree.items() if item is not None}, **drawn, **options}


class DataConfig(Part):
    loader: str = "instructions"


class TrainConfig(Part):
    trainer: str


class Limits(Block):
    """The limits on calls to a server. Parts that ask one server with one key share the strictest of theirs."""

    requests_per_minute: int | None = Field(None, ge=1)
    tokens_per_minute: int | None = Field(None, ge=1)
    concurrency: int | None = Field(None, ge=1)


class Price(Block):
    """USD a million tokens, of prompts and of replies; 0 and 0 for a free model."""

    input: float = Field(ge=0)
    output: float = Field(ge=0)


class BudgetConfig(Block):
    """The most that one start of the run may spend. A call is sent only if the most that it can cost is left."""

    calls: int | None = Field(None, ge=0)
    tokens: int | None = Field(None, ge=0)
    usd: float | None = Field(None, ge=0)


class SampledPart(Part):
    """A part served by a backend, with the common keys for sampling, limits and price; these two change no result.
    `identity` is a name in place of its server's address: two addresses of one name are one (replicas, a tunnel).
    `thoughts`: what is no part of its answers (thoughts.py)."""

    backend: str
    identity: Annotated[str, Field(pattern=r"^[A-Za-z0-9][\w.-]{0,99}$")] | None = None
    sampling: Sampling = Sampling(temperature=0.0)
    limits: Limits | None = None
    price: Price | None = None
    thoughts: ThoughtsOption = None


class ModelConfig(SampledPart):
    """A system under test. `style` names the prompt under prompts/instruct/; None: the backend's own. `max_empty`: the
    share of its answers that may be empty, above which the run ends with 3 (regression/unscored.py)."""

    style: str | None = None
    max_empty: Annotated[float, BeforeValidator(_as_share), Field(ge=0, le=1)] | None = None
    repeats: int | None = Field(None, ge=1)


def _controls(value: Any) -> int | float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        if value >= 0 and float(value).is_integer():
            return int(value)
        if 0 < value < 1:
            return value
    raise ValueError(f"is a number of samples, or a share of them below 1, not {value!r}")


class JudgeConfig(SampledPart):
    """A judge. `prompt` names a template for its task, or templates by task; None: the backend's own. `mode` names a
    shipped prompt by its last part: `geval` is score/geval. What the prompt shows of how to grade: `scale`, `rubric` (a
    description for levels of it), `criterion` (what alone is judged), `steps` (how; G-Eval), `criteria` (several, each
    by name) with `weights`. `floor`: the least captured mass of a reading by probabilities. `control_items`: how many
    samples each arm of the judge card reads, or (below 1) which share of them; `card`: `full` has further arms.

    `panel` makes it a panel of other judges, which `combine` by their mean or by vote.
    """

    backend: str = ""
    prompt: str | dict[str, str] | None = None
    mode: str | dict[Literal["score", "pairwise"], str] | None = None
    scale: tuple[float, float] | None = None
    rubric: dict[int, str] | None = None
    criterion: str | None = Field(None, min_length=1)
    steps: tuple[str, ...] | None = Field(None, min_length=1)
    criteria: dict[str, str] | None = Field(None, min_length=1)
    weights: dict[str, Annotated[float, Field(gt=0)]] | None = None
    floor: float | None = Field(None, gt=0, le=1)
    panel: tuple[Name, ...] | None = None
    combine: Literal["mean", "vote"] | None = None
    control_items: Annotated[int | float, Field(ge=0), BeforeValidator(_controls)] = 20
    card: Literal["full"] | None = None

    def controls(self, samples: int) -> int:
        """The number of samples that each control arm reads, out of so many."""
        asked = self.control_items
        return min(samples, asked if isinstance(asked, int) else math.ceil(asked * samples))

    @model_validator(mode="before")
    @classmethod
    def _expand_preset(cls, value: Any) -> Any:
        if not isinstance(value, dict) or "preset" not in value:
            return value
        preset = value["preset"]
        if preset not in PRESETS:
            raise ValueError(f"no judge preset is named {preset!r}{did_you_mean(str(preset), PRESETS)}")
        own = {key: item for key, item in value.items() if key != "preset"}
        prompt = {"prompt"} if "mode" in own else set()  # a mode takes the place of the preset's prompt
        return {**{key: item for key, item in PRESETS[preset].items() if key not in prompt}, **own}

    @model_validator(mode="after")
    def _one_kind(self) -> JudgeConfig:
        if self.panel is None and self.combine is not None:
            raise ValueError("combine is for a panel: [judge, judge, …]")
        if self.panel is None and not self.backend:
            raise ValueError("needs a backend (or panel: [judge, judge, …])")
        if self.panel is not None:
            own = {"panel", "combine", "sampling"}
            given = {key for key in self.model_fields_set if key not in own and getattr(self, key)}
            other = sorted((given - {"control_items", "card", "options"}) | set(self.options))
            other += [key for key, item in self.sampling if item != getattr(Sampling(temperature=0.0), key)]
            if other:
                raise ValueError(f"a panel asks other judges; {other[0]!r} belongs to one of them")
        return self

    @model_validator(mode="after")
    def _gradable(self) -> JudgeConfig:
        if self.mode is not None and self.prompt is not None:
            raise ValueError("mode and prompt both name the prompt; give one of them")
        _check_scale(self.scale)
        if self.rubric is not None and len(self.rubric) < 2:
            raise ValueError("a rubric has two levels at least: their descriptions, by number")
        if self.rubric is not None and not all(text.strip() for text in self.rubric.values()):
            raise ValueError("a level of the rubric has no description")
        ends = (min(self.rubric), max(self.rubric)) if self.rubric else None
        if ends and self.scale not in (None, ends):
            low, high = self.scale or ends
            raise ValueError(f"the rubric has levels {ends[0]} to {ends[1]}, and the scale is [{low:g}, {high:g}]")
        if self.steps is not None and not all(step.strip() for step in self.steps):
            raise ValueError("a step without words")
        known = self.criteria or {}
        for name, text in known.items():
            if not (name.isascii() and name.isidentifier()) or name in RESERVED:
                reserved = f"; {', '.join(sorted(RESERVED))} are taken" if name in RESERVED else ""
                raise ValueError(f"a criterion is named by letters, digits and _, not {name!r}{reserved}")
            if not text.strip():
                raise ValueError(f"the criterion {name!r} has no description")
        for name in self.weights or {}:
            if name not in known:
                raise ValueError(f"weights: no criterion is named {name!r}{did_you_mean(name, known)}")
        return self


# The keys on how to grade: a judge's prompt or its reading makes use of them, or they are refused.
GRADING = ("scale", "rubric", "criterion", "steps", "criteria", "weights", "floor")

# Names that a criterion cannot have: keys of the reply beside it, and the headline of a metric.
RESERVED = frozenset({"rationale", "nonce", "value"})

# The judge of the book's chapter 7: llama3 by Ollama, asked for the integer only.
PRESETS: dict[str, dict[str, JsonValue]] = {
    "book": {
        "backend": "ollama",
        "model": "llama3",
        "seed": 123,
        "temperature": 0.0,
        "num_ctx": 2048,
        "prompt": {"score": "score/book.j2"},
    }
}


class MetricConfig(Part):
    """A metric. `data` replaces the run's samples for it alone; `models`: None means all. `judge` names one of the
    run's judges; `judge: {name: …}`, who gave stored verdicts, is the option `judged_by`."""

    type: str
    judge: str | None = None
    data: DataConfig | None = None
    models: tuple[str, ...] | None = None

    @model_validator(mode="before")
    @classmethod
    def _named_judge(cls, value: Any) -> Any:
        if isinstance(value, dict) and isinstance(value.get("judge"), dict):
            return {("judged_by" if key == "judge" else key): one for key, one in value.items()}
        return value


class Repeats(Block):
    generation: int = Field(1, ge=1)
    judge: int = Field(1, ge=1)


class StatisticsConfig(Block):
    """`cluster` and `by` name fields of the samples (data/groups.py): equal values of the first make a cluster, and
    every result is broken down by the second."""

    confidence: float = Field(0.95, gt=0.5, lt=1)
    interval: Method = "auto"
    cluster: FieldName | None = None
    by: Annotated[tuple[FieldName, ...], BeforeValidator(_several)] = ()
    resamples: int = Field(9999, ge=99)

    @field_validator("by")
    @classmethod
    def _are_different(cls, by: tuple[str, ...]) -> tuple[str, ...]:
        if twice := next((field for field in by if by.count(field) > 1), None):
            raise ValueError(f"{twice!r} is named twice")
        return by


class LabelsConfig(Block):
    """People's labels of this run's responses (agreement/labels.py): their agreement with the judge stands in the
    report.

    `metric`: the metric that they are for; None: the only one that asks a judge. `threshold`: for yes/no labels, the
    score from which the judge says yes. `scale`: the one that they were given on, if not the metric's.
    """

    path: str
    metric: str | None = None
    threshold: float | None = None
    scale: tuple[float, float] | None = None

    @model_validator(mode="before")
    @classmethod
    def _path_alone(cls, value: Any) -> Any:
        return {"path": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _upright(self) -> LabelsConfig:
        _check_scale(self.scale)
        return self


Share = Annotated[float, BeforeValidator(_as_share), Field(ge=0, lt=1)]  # 0.03, or "3 %"


class CatastropheRule(Block):
    """At most this `share` of all items may have lost `fall` points or more since the baseline."""

    fall: float = Field(gt=0)
    share: Annotated[Share, Field(gt=0)]


class GateRule(Block):
    """The rule that a metric has to hold. A number alone is a margin.

    `margin`: how far the mean may lie under the baseline's (over it, where less is better). `min` and `max`: limits
    of the mean itself, for its interval. `catastrophe`: how many items may have lost how much since the baseline.
    `missing`: the share of verdicts that may lack a score. `system`: the gated ones; None: all but the run's
    `against`. `sequential`: judging stops as soon as the margin's rule is decided.
    """

    margin: float | None = Field(None, gt=0)
    min: float | None = None
    max: float | None = None
    catastrophe: CatastropheRule | None = None
    missing: Share | None = None
    system: OneOrMore | None = None
    sequential: bool | None = None

    @model_validator(mode="before")
    @classmethod
    def _margin_alone(cls, value: Any) -> Any:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return {"margin": value}
        if not isinstance(value, dict | GateRule):
            raise ValueError(
                "a rule is {margin: …}, {min: …}, {max: …}, {catastrophe: …} or {missing: …}; the gate's own keys are "
                f"{', '.join(GateConfig.model_fields)}"
            )
        return value

    @model_validator(mode="after")
    def _says_something(self) -> GateRule:
        if not self.limits:
            raise ValueError("a rule needs a margin, a min, a max, a catastrophe or a missing share")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"no value is at least {self.min:g} and at most {self.max:g}")
        if self.sequential and not self.margin_alone:
            raise ValueError("sequential is for a margin alone: other limits are about all samples")
        return self

    @property
    def limits(self) -> dict[LimitKind, float]:
        """The limits that are given, by kind."""
        share = None if self.catastrophe is None else self.catastrophe.share
        given: dict[LimitKind, float | None]
        given = {"margin": self.margin, "min": self.min, "max": self.max, "catastrophe": share, "missing": self.missing}
        return {kind: limit for kind, limit in given.items() if limit is not None}

    @property
    def margin_alone(self) -> bool:
        return set(self.limits) == {"margin"}


class GateConfig(Block):
    """The rules that a run has to hold: `baseline`, a file of `judgekit baseline set`, and a rule by metric.

    `waive` names judges (or checks of a judge's card) whose failed card is accepted; `system` and `sequential` are
    for every rule that does not say otherwise.
    """

    model_config = ConfigDict(frozen=True, extra="allow", allow_inf_nan=False)
    __pydantic_extra__: dict[str, GateRule]

    baseline: str | None = None
    waive: Several = ()
    system: OneOrMore | None = None
    sequential: bool = False

    @property
    def rules(self) -> dict[str, GateRule]:
        """The rules by metric."""
        return self.__pydantic_extra__

    @model_validator(mode="after")
    def _sequential_margins(self) -> GateConfig:
        for metric, rule in self.rules.items() if self.sequential else ():
            if rule.sequential is None and not rule.margin_alone:
                said = "sequential is for a margin alone; give the rule sequential: false to have all samples judged"
                raise ValueError(f"{metric}: {said}")
        return self

    def is_sequential(self, rule: GateRule) -> bool:
        return rule.margin_alone and (self.sequential if rule.sequential is None else rule.sequential)


class PluginsConfig(Block):
    block: tuple[str, ...] = ()
    only: tuple[str, ...] | None = None


class RunConfig(Block):
    """The whole run, resolved. Relative paths start from the config's folder."""

    name: Name
    data: DataConfig
    train: dict[Name, TrainConfig] = {}
    models: dict[Name, ModelConfig] = Field(min_length=1)
    judges: dict[Name, JudgeConfig] = {}
    metrics: dict[Name, MetricConfig] = Field(min_length=1)
    against: str | None = None
    repeats: Repeats = Repeats()
    statistics: StatisticsConfig = StatisticsConfig()
    reports: tuple[str, ...] = ("html", "json")
    seed: int = Field(0, ge=0, le=2**63 - 1)
    limit: int | None = Field(None, ge=1)
    plugins: PluginsConfig = PluginsConfig()
    executor: str = THREADS
    accept: frozenset[Literal["refused", "truncated", "unparsed", "unsigned", "error"]] = frozenset()  # may stay so
    budget: BudgetConfig | None = None
    labels: LabelsConfig | None = None
    gate: GateConfig | None = None

    def anchor(self, systems: Sequence[str]) -> str:
        """The system that others of these are compared with: `against`, or the first."""
        return self.against if self.against is not None and self.against in systems else systems[0]

    def work(self) -> dict[str, JsonValue]:
        """The part of the config that decides the results: all but `budget`, `executor` and each `limits`, `price`."""
        tree: dict[str, Any] = self.model_dump(mode="json", exclude={"budget", "executor", "accept"})
        for part in (*tree["models"].values(), *tree["judges"].values()):
            part.pop("limits", None)
            part.pop("price", None)
        return tree | ({"accept": sorted(self.accept)} if self.accept else {})
