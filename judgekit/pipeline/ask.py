"""Backends asked by name, through the ledger, by what is no run: the door for commands of plugins, and for Python.

    with Asker(budget={"calls": 500}) as asker:
        writer = asker.model({"backend": "ollama", "model": "llama3.2", "temperature": 0.8})
        requests = [writer.request("synthesis/tasks", {"tasks": [...]}, seed=seed) for seed in range(8)]
        for reply in writer.ask(requests):
            ...

A part is said as in a config. What a run promises holds here too: a reply is committed before it is handed out, a
committed call is not made again, nothing is sent that the budget has no room for, and offline nobody is asked.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import pluggy
from pydantic import BaseModel, JsonValue, ValidationError

from judgekit.calls import offline
from judgekit.calls.budget import Budget
from judgekit.calls.caller import Caller
from judgekit.calls.ledger import Ledger
from judgekit.calls.pacing import Paces
from judgekit.config.blocks import BudgetConfig, JudgeConfig, ModelConfig, Price, SampledPart
from judgekit.config.load import build_options, explain_problem
from judgekit.contracts import Backend
from judgekit.errors import ConfigError
from judgekit.judging.judge import LLMJudge
from judgekit.judging.planning import PlannedJudge, plan_judge
from judgekit.judging.questions import Task
from judgekit.judging.readings import Readings
from judgekit.pipeline.prepared import Problems, check_backend
from judgekit.plugins import Catalogue, blocked_by_environment, build_manager
from judgekit.prompting.templates import Prompts, Template
from judgekit.records import Reply, Request, Sampling

HOME = Path(".judgekit")
M = TypeVar("M", bound=BaseModel)


def _quiet(stage: str, done: int, total: int, note: str) -> None:
    pass


class Asker:
    """Several backends with one ledger, one budget, and one pace for each server. From one thread; close it when done.

    `where`: the folder that relative paths start from. `stop`, once set, ends it soon with Interrupted. `progress`
    (stage, done, total, note) is told of work that takes long.

    `budget` is as in a config, and for every backend: unlike in a run, calls of one that computes in this process count
    too, since somebody who says how many calls there may be means all of them. Their price is nothing.
    """

    def __init__(
        self,
        *,
        home: Path = HOME,
        where: Path = Path(),
        jobs: int = 8,
        offline: bool = False,
        budget: Mapping[str, JsonValue] | None = None,
        stop: threading.Event | None = None,
        progress: Callable[[str, int, int, str], None] = _quiet,
        manager: pluggy.PluginManager | None = None,
    ) -> None:
        self.home, self.where, self.jobs, self.offline = home, where, jobs, offline
        self.budget = Budget(_checked(BudgetConfig, budget, "budget")) if budget is not None else None
        self.stop = stop or threading.Event()
        self.progress = progress
        self._manager = manager
        self._paces = Paces()
        self._callers: list[Caller] = []
        self._used: dict[str, str] = {}
        self._open = ExitStack()

    # --- parts --------------------------------------------------------------------------------------------------------

    def model(self, part: Mapping[str, JsonValue], name: str = "model") -> ModelClient:
        """A backend that writes, by its part of a config (`models: {name: part}`); `name` is its place in errors.

        Raises ConfigError and PluginError for a part that is none, PreflightError where it cannot be asked.
        """
        config = _checked(ModelConfig, part, name)
        backend = self.build(config, name)
        self._preflight(name, config, backend)
        return ModelClient(self, config, backend, self.caller(name, backend, config))

    def judge(
        self, part: Mapping[str, JsonValue], task: Task = "score", name: str = "judge", known: Iterable[str] = ()
    ) -> LLMJudge:
        """A judge for one task, by its part of a config (`judges: {name: part}`); it raises what `model` raises.

        `known`: of what a prompt may need (a `reference`), what the samples will have; one that needs more is refused.
        """
        config = _checked(JudgeConfig, part, name)
        if config.panel is not None:
            raise ConfigError(f"{name}: a panel's members are not here; name one judge")
        backend = self.build(config, name, self.readings.backend_options(config))
        problems = Problems()
        planned = plan_judge(name, config, backend, [task], self.prompts, self.readings, problems.found)
        problems.found = [problem.model_copy(update={"where": name}) for problem in problems.found]
        for template in planned.templates.values():
            if template.front.needs and template.front.needs not in known:
                problems.add(name, f"the prompt {template.name} needs a {template.front.needs}, and there is none")
        problems.raise_errors()
        self._preflight(name, config, backend)
        return self.ask_through(planned, self.caller(name, backend, config))

    def build(self, config: SampledPart, name: str, options: Mapping[str, JsonValue] | None = None) -> Backend:
        """The backend of a part, with its own options or these; it is closed with the asker."""
        factory = self.catalogue.get("backends", config.backend)
        given = config.options if options is None else options
        backend: Backend = factory(build_options(factory.Options, given, name), self.where)
        self._open.callback(backend.close)
        return backend

    def caller(self, name: str, backend: Backend, config: SampledPart, *, count_free: bool = True) -> Caller:
        """What carries the part's requests through the ledger. `count_free`: whether the budget is for a free one."""
        identity = offline.identities({name: backend}, self.ledger)[name] if self.offline else backend.identity()
        caller = (offline.OfflineCaller if self.offline else Caller)(
            backend,
            self.ledger,
            concurrency=self.jobs,
            identity=identity,
            stop=self.stop,
            report=lambda what, done, total, note: self.progress(f"{name}, {what}", done, total, note),
            limits=config.limits,
            paces=self._paces,
            price=Price(input=0, output=0) if backend.free else config.price,
            budget=self.budget if count_free or not backend.free else None,
        )
        self._open.callback(caller.close)
        self._callers.append(caller)
        return caller

    def ask_through(self, planned: PlannedJudge, caller: Caller) -> LLMJudge:
        self._used |= {template.name: template.sha256 for template in planned.prompts}
        return planned.ask_through(caller)

    def template(self, name: str) -> Template:
        """A prompt that is about to be asked by. Raises PromptError."""
        template = self.prompts.get(name)
        self._used[template.name] = template.sha256
        return template

    def _preflight(self, name: str, config: SampledPart, backend: Backend) -> None:
        problems = Problems()
        money = self.budget is not None and self.budget.config.usd is not None
        if money and config.price is None and not backend.free:
            known = "price: {input: …, output: …}, in USD a million tokens"
            problems.add(name, f"the budget is in money, and what this costs is not known: add {known}")
        problems.raise_errors()
        if not self.offline:
            check_backend(name, backend, problems)
        problems.raise_errors()

    # --- what they share ----------------------------------------------------------------------------------------------

    @cached_property
    def catalogue(self) -> Catalogue:
        return Catalogue(self._manager or build_manager(block=blocked_by_environment()))

    @cached_property
    def prompts(self) -> Prompts:
        return Prompts(self.catalogue.prompt_folders(), self.where)

    @cached_property
    def readings(self) -> Readings:
        return Readings(self.catalogue)

    @cached_property
    def ledger(self) -> Ledger:
        return self._open.enter_context(Ledger(self.home / "ledger.sqlite"))

    @property
    def prompts_used(self) -> dict[str, str]:
        """The sha256 of every template that was asked by, by name."""
        return dict(sorted(self._used.items()))

    @property
    def asked(self) -> int:
        """Calls made so far; what the ledger answered is none."""
        return sum(caller.counts.asked for caller in self._callers)

    @property
    def from_ledger(self) -> int:
        return sum(caller.counts.from_ledger for caller in self._callers)

    @property
    def tokens(self) -> tuple[int, int]:
        """Tokens of prompts and of replies in the calls made, as far as the replies tell."""
        used = [caller.used for caller in self._callers]
        return sum(one.prompt_tokens for one in used), sum(one.completion_tokens for one in used)

    @property
    def stopped(self) -> str:
        """Why the budget lets no further call through; "" while it does."""
        return self.budget.stopped if self.budget is not None else ""

    def close(self) -> None:
        self._open.close()

    def __enter__(self) -> Asker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@dataclass(frozen=True)
class ModelClient:
    """A backend of an Asker: makes requests from prompt templates, and has them answered."""

    asker: Asker
    config: ModelConfig
    backend: Backend
    caller: Caller

    @property
    def identity(self) -> JsonValue:
        return self.caller.identity

    def request(self, prompt: str, context: Mapping[str, Any], *, seed: int | None = None, **sampling: Any) -> Request:
        """The template `prompt`, filled in (plain values). Tokens are drawn as the part says, but for what `sampling`
        says; where neither does, the template says how long a reply may get. Raises PromptError."""
        template = self.asker.template(prompt)
        template.expect(context.keys())
        drawn = self.config.sampling.model_dump()
        drawn["max_new_tokens"] = drawn["max_new_tokens"] or template.front.tokens
        drawn["seed"] = drawn["seed"] if seed is None else seed
        return Request(messages=template.messages(**context), sampling=Sampling(**{**drawn, **sampling}))

    def ask(self, requests: Iterable[Request], repeats: Sequence[int] | None = None) -> Iterator[Reply]:
        """One reply a request, in order; one with status `error` for a call that failed or was not sent.

        Equal requests get one reply, unless `repeats` numbers them as different drawings. Raises BackendError where no
        call can succeed, NotInLedger offline, Interrupted after a stop.
        """
        if repeats is None:
            return self.caller.calls("generate", ((request, 0, 0) for request in requests))
        return self.caller.calls("generate", ((r, repeat, 0) for r, repeat in zip(requests, repeats, strict=True)))


def _checked(model: type[M], values: Mapping[str, JsonValue] | None, place: str) -> M:
    """The values as this model. Raises ConfigError, each problem under `place`."""
    try:
        return model.model_validate(dict(values or {}))
    except ValidationError as error:
        raise ConfigError("; ".join(explain_problem(problem, model, place) for problem in error.errors())) from None
