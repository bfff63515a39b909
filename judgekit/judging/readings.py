"""Readings: what is asked of a judge's backend for one question, and how its replies become a Verdict.

A prompt names its reading in the comment on top. Readings come from plugins, by the hook `judgekit_readings`; the
built-in ones are the plugin `readings`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any, ClassVar, Literal, NamedTuple, get_args

from pydantic import JsonValue

from judgekit.config.blocks import GRADING, JudgeConfig
from judgekit.contracts import Options, code_of
from judgekit.errors import ConfigError, JudgekitError, PromptError
from judgekit.judging.controls import ARMS, CHECKS, ControlArm
from judgekit.judging.questions import VARIABLES, Question, Setting, Task, context, grading_context, mark
from judgekit.plugins import Catalogue, broken
from judgekit.prompting.templates import Template
from judgekit.records import Message, Reply, Request, Sampling, Scale, Verdict
from judgekit.text import did_you_mean, one_of

Kind = Literal["generate", "loglikelihood"]

_REASK_SEED = 1_000_003  # far from seed + repeat, so that a re-ask is no other repeat's first question


class Planned(NamedTuple):
    """The most requests that a question takes, without a re-ask; and what to know about them."""

    requests: int
    note: str


class Reading(ABC):
    """Requests out, a verdict in: a judge's way to be asked and read.

    A reading says its `task`, and how replies become a `verdict`; the prompt that names it is what is asked. All else
    has a default:

    `Options`: the reading's own keys in a judge's config; a prompt can show them. `keys`: the keys on grading (GRADING)
    that it reads itself, whether the prompt shows them or not. `default_prompt`: the prompt of `mode: NAME`, and
    `conversation_prompt` the one for conversations. `is_default`: it is how a judge is asked that names no prompt.

    `measured`: no verdict is drawn, so that judge repeats cannot differ. `continuous`: two verdicts are hardly ever
    equal. `anchored`: the reference and an empty answer get the ends of the scale by construction. `order_free`: two
    responses are read apart, so that their order cannot matter.

    `arms`: control arms that its card has besides; `without_arms`: those of the card that it does without.
    """

    Options: ClassVar[type[Options]] = Options
    task: ClassVar[Task]
    keys: ClassVar[frozenset[str]] = frozenset()
    default_prompt: ClassVar[str] = ""
    conversation_prompt: ClassVar[str] = ""
    is_default: ClassVar[bool] = False
    measured: ClassVar[bool] = False
    continuous: ClassVar[bool] = False
    anchored: ClassVar[bool] = False
    order_free: ClassVar[bool] = False
    arms: ClassVar[Mapping[str, ControlArm]] = {}
    without_arms: ClassVar[frozenset[str]] = frozenset()

    name: str = ""  # by which it is offered, and by whom
    plugin: str = ""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.options: Any = setting.options

    def on(self, setting: Setting) -> Reading:
        """The same reading in another setting."""
        reading = type(self)(setting)
        reading.name, reading.plugin = self.name, self.plugin
        return reading

    # --- must -------------------------------------------------------------------------------------------------------

    @abstractmethod
    def verdict(self, question: Question, replies: Sequence[Reply]) -> Verdict:
        """What the replies say: one reply a request, and one at least."""

    # --- may --------------------------------------------------------------------------------------------------------

    def requests(self, question: Question, attempt: int = 0) -> tuple[Request, ...]:
        """What to send; nothing, where the question cannot be asked."""
        return self.prompts(question, attempt)

    def identity(self) -> dict[str, JsonValue]:
        """All that can change what it makes of the same reply: its own options, and by default its code."""
        own: dict[str, JsonValue] = self.options.model_dump(mode="json")
        return code_of(type(self)) | own

    def check(self) -> Iterable[str]:
        """What is wrong with the setting, in words: said before any call."""
        return ()

    def warnings(self) -> Iterable[str]:
        """What is doubtful in the setting, in words."""
        return ()

    @property
    def kind(self) -> Kind:
        """What is asked of the backend."""
        return "generate"

    @property
    def asks_again(self) -> bool:
        """Whether the judge is asked once more, in other words, where it was not understood."""
        return self.kind == "generate"

    # --- rare -------------------------------------------------------------------------------------------------------

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
    def planned(self) -> Planned:
        return Planned(1, "and one re-ask each at most" if self.asks_again else "read by log-likelihoods")

    @property
    def variables(self) -> frozenset[str]:
        """What its prompt may show."""
        return VARIABLES[self.task]

    def unasked(self, question: Question) -> Verdict:
        """The verdict on a question that has no request."""
        return Verdict(status="skipped", detail="the sample has no reference, which the judge's prompt needs")

    # --- helpers ----------------------------------------------------------------------------------------------------

    def prompts(self, question: Question, attempt: int = 0) -> tuple[Request, ...]:
        """The prompt for the question; nothing, where it needs a reference that the sample has not."""
        front, sampling = self.setting.template.front, self.setting.sampling
        if front.needs == "reference" and not (question.reference or "").strip():
            return ()
        drawn = _drawn(sampling, sampling.max_new_tokens or front.tokens, question.repeat, attempt)
        return (Request(messages=self.messages(question, attempt), sampling=drawn),)

    def messages(self, question: Question, attempt: int = 0) -> tuple[Message, ...]:
        """The prompt, filled in."""
        return self.setting.template.messages(**context(self.setting, question), attempt=attempt)

    def nonce(self, question: Question) -> str:
        """The call's nonce: a mark that no text of the question contains."""
        return mark("nonce", self.setting, question)

    @classmethod
    def check_offer(cls, name: str) -> None:
        """Raises ValueError for a declaration that cannot be meant."""
        for problem in _misdeclared(cls):
            raise ValueError(f"reading {name!r}: {problem}")


def _misdeclared(reading: type[Reading]) -> Iterator[str]:
    task, known = getattr(reading, "task", None), get_args(Task)
    if task not in known:
        yield f"its task is one of {', '.join(known)}, not {task!r}{did_you_mean(str(task), known)}"
        return
    for key in sorted(reading.keys.difference(GRADING)):
        yield f"no key on grading is named {key!r}{one_of(key, GRADING)}; keys of its own belong into its Options"
    taken = {*JudgeConfig.model_fields, *Sampling.model_fields, "preset", *VARIABLES["score"], *VARIABLES["pairwise"]}
    for key in reading.Options.model_fields:
        if key in taken:
            yield f"its key {key!r} has another meaning already, in a judge's config or in a prompt"
    for arm in sorted(reading.without_arms.difference(ARMS[reading.task])):
        yield f"its card has no arm {arm!r} to leave out{one_of(arm, ARMS[reading.task])}"
    for arm in reading.arms:
        if arm in ARMS[reading.task] or arm in CHECKS[reading.task]:
            yield f"its card has {arm!r} already"


class Readings:
    """The readings that plugins offer, by name. Raises PluginError for what is no reading, or a second default."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._offers = catalogue.offers("readings")
        defaults: dict[Task, str] = {}
        for name, offer in self._offers.items():
            if not (isinstance(offer.value, type) and issubclass(offer.value, Reading)):
                raise broken(offer.owner, "judgekit_readings", TypeError(f"{name!r} is no class of Reading"))
            if offer.value.is_default and (other := defaults.setdefault(offer.value.task, name)) != name:
                error = ValueError(f"{name!r} is a default beside {other!r} of plugin {self._offers[other].owner!r}")
                raise broken(offer.owner, "judgekit_readings", error)
        self.classes: dict[str, type[Reading]] = {name: offer.value for name, offer in self._offers.items()}

    def names(self, task: Task) -> list[str]:
        return [name for name, reading in self.classes.items() if reading.task == task]

    @cached_property
    def own_keys(self) -> dict[str, str]:
        """The keys that readings have of their own, each with a reading that has it."""
        return {key: name for name, reading in self.classes.items() for key in reading.Options.model_fields}

    def backend_options(self, config: JudgeConfig) -> dict[str, JsonValue]:
        """The options of a judge's part that are its backend's; the others are keys of a reading.

        Raises ConfigError for a key that neither has and that is nearly one of a reading's.
        """
        offer = self._catalogue.offers("backends").get(config.backend)
        theirs = offer.value.Options.model_fields if offer else config.options
        for key in config.options:
            hint = did_you_mean(key, self.own_keys)
            if hint and key not in theirs and key not in self.own_keys and not did_you_mean(key, theirs):
                raise ConfigError(f"unknown key {key!r}{hint}")
        return {key: value for key, value in config.options.items() if key in theirs or key not in self.own_keys}

    def default(self, task: Task) -> type[Reading]:
        """How a judge is asked that names no prompt. Raises ConfigError where there is no such reading."""
        for reading in self.classes.values():
            if reading.is_default and reading.task == task:
                return reading
        raise ConfigError(f"no plugin offers a default reading for the task {task}: name a prompt")

    def of(self, template: Template) -> type[Reading]:
        """The reading that a prompt names; the bare class where it names none that is known, as `on` will say."""
        return self.classes.get(template.front.reading) or Reading

    def owner(self, template: Template) -> str:
        """The plugin of the reading that a prompt names."""
        return self._offers[template.front.reading].owner

    def task_of(self, template: Template) -> Task:
        """The task that a prompt's reading belongs to; scoring, if it names none that is known."""
        return getattr(self.of(template), "task", "score")

    def on(self, task: Task, setting: Setting) -> Reading:
        """The reading that the setting's prompt names. Raises PromptError with the file: no reading, an unknown one,
        one of another task, an unknown variable; without it: what the config does not give, or gives wrongly."""
        template, known = setting.template, self.names(task)
        name = template.front.reading
        if name not in known:
            unknown = f"unknown reading {name!r}{did_you_mean(name, known)}"
            said = unknown if name else "no 'reading:' in the comment on top"
            options = f"it is one of {', '.join(known)}" if known else "and no plugin offers any"
            raise PromptError(f"{said}; to {DOES[task]}, {options}", path=template.place)
        owner = self._offers[name].owner
        with blamed(owner, name):
            reading: Reading = self.classes[name](setting)
            reading.name, reading.plugin = name, owner
            template.expect(reading.variables | reading.Options.model_fields.keys())
            if problems := list(reading.check()):
                raise PromptError("; ".join(problems))
            if "value" not in reading.series:
                raise ValueError("its series have no 'value'")
            Planned(*reading.planned)
        return reading


DOES: Mapping[Task, str] = {"score": "score", "pairwise": "compare"}


@contextmanager
def blamed(plugin: str, reading: str) -> Iterator[None]:
    """Whatever a reading raises but our own errors, as a PluginError that names its plugin."""
    try:
        yield
    except JudgekitError:
        raise
    except Exception as error:
        raise broken(plugin, f"its reading {reading!r}", error) from error


def requests_of(reading: Reading, question: Question, attempt: int = 0) -> tuple[Request, ...]:
    """What the reading sends. Raises PluginError where it fails."""
    with blamed(reading.plugin, reading.name):
        return tuple(reading.requests(question, attempt))


def verdict_of(reading: Reading, scales: Mapping[str, Scale], question: Question, replies: Sequence[Reply]) -> Verdict:
    """What the reading makes of the replies. Raises PluginError where it fails, and for a value that is off its scale:
    that is no grade, and what it should have been nobody knows."""
    with blamed(reading.plugin, reading.name):
        verdict: Any = reading.verdict(question, replies) if replies else reading.unasked(question)
        if not isinstance(verdict, Verdict):
            raise TypeError(f"it returned {type(verdict).__name__}, where a Verdict was due")
        values = {**verdict.series, **({"value": verdict.value} if verdict.value is not None else {})}
        for name, value in values.items():
            if (scale := scales.get(name)) is None:
                raise ValueError(f"it returned a value for {name!r}, a series that it does not declare")
            if not scale.low - _ROUNDING <= value <= scale.high + _ROUNDING:
                ends = f"{scale.low:g}..{scale.high:g}"
                raise ValueError(f"it returned {value:g} for {name!r}, which is off its scale {ends}")
        return verdict


_ROUNDING = 1e-6


def scales_of(reading: Reading) -> dict[str, Scale]:
    """Where the values of its verdicts must lie: a preference between 0 and 1, all else as the series say."""
    with blamed(reading.plugin, reading.name):
        scales = dict(reading.series)
    if reading.task == "pairwise":
        scales["value"] = Scale(label="preference", low=0, high=1)
    return scales


def steps_request(setting: Setting, attempt: int = 0) -> Request:
    """What asks the judge for its evaluation steps: once, for all questions (G-Eval's automatic chain of thought)."""
    assert setting.writing is not None
    # The config's limit is for verdicts, which take a few tokens: steps may take as many as their prompt says.
    limits = [limit for limit in (setting.writing.front.tokens, setting.sampling.max_new_tokens) if limit]
    messages = setting.writing.messages(**grading_context(setting), attempt=attempt)
    return Request(messages=messages, sampling=_drawn(setting.sampling, max(limits, default=None), 0, attempt))


def _drawn(sampling: Sampling, tokens: int | None, repeat: int, attempt: int) -> Sampling:
    """How a reply of at most so many tokens is drawn. Repeat r draws with seed + r."""
    seed = None if sampling.seed is None else sampling.seed + repeat + _REASK_SEED * attempt
    return sampling.model_copy(update={"max_new_tokens": tokens, "seed": seed})
