"""Backends asked by name, through the ledger, outside a run: the door for commands of plugins, and for Python.

    with Client(budget={"calls": 500}) as client:
        writer = client.model({"backend": "ollama", "model": "llama3.2", "temperature": 0.8})
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
from typing import Any

import pluggy
from pydantic import JsonValue

from judgekit.calls import Closing
from judgekit.calls.budget import Budget
from judgekit.calls.caller import Caller
from judgekit.calls.ledger import Ledger
from judgekit.calls.policies import Live, Offline
from judgekit.calls.session import Session, quiet
from judgekit.config.blocks import THREADS, BudgetConfig, JudgeConfig, ModelConfig, Price, SampledPart
from judgekit.config.load import build_options
from judgekit.contracts import Backend
from judgekit.errors import ConfigError
from judgekit.judging.judge import LLMJudge
from judgekit.judging.questions import Task
from judgekit.judging.readings import Readings
from judgekit.pipeline.judges import AskedJudges, Judges, plan_judges
from judgekit.pipeline.prepared import Problems, check_backend
from judgekit.plugins import Catalogue, blocked_by_environment, build_manager
from judgekit.prompting.templates import Prompts, Template
from judgekit.records import Call, Reply, Request, Sampling

HOME = Path(".judgekit")


class Client(Closing):
    """Several backends asked through one session: one ledger, one budget, and one pace for each server.

    From one thread; close it when done. `where`: the folder that relative paths start from. `executor`: where calls are
    carried out, by name. `stop`, once set, ends it soon with Interrupted. `progress` (stage, done, total, note) is told
    of work that takes long.

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
        executor: str = THREADS,
        budget: Mapping[str, JsonValue] | None = None,
        stop: threading.Event | None = None,
        progress: Callable[[str, int, int, str], None] = quiet,
        manager: pluggy.PluginManager | None = None,
    ) -> None:
        self.home, self.where, self.offline = home, where, offline
        self.budget = Budget(build_options(BudgetConfig, budget, "budget")) if budget is not None else None
        self.progress = progress
        self._jobs = jobs
        self._executor = executor
        self._stop = stop or threading.Event()
        self._manager = manager
        self._used: dict[str, str] = {}
        self._parts = ExitStack()  # backends, and the ledger: open for longer than the session
        self._sessions = ExitStack()

    # --- parts --------------------------------------------------------------------------------------------------------

    def model(self, part: Mapping[str, JsonValue], name: str = "model") -> ModelClient:
        """A backend that writes, by its part of a config (`models: {name: part}`); `name` is its place in errors.

        Raises ConfigError and PluginError for a part that is none, PreflightError where it cannot be asked.
        """
        config = build_options(ModelConfig, part, name)
        backend = self.build(config, name)
        self._preflight(name, config, backend)
        return ModelClient(self, config, backend, self.caller(name, backend, config))

    def judge(
        self, part: Mapping[str, JsonValue], task: Task = "score", name: str = "judge", known: Iterable[str] = ()
    ) -> LLMJudge:
        """A judge for one task, by its part of a config (`judges: {name: part}`); it raises what `model` raises.

        `known`: of what a prompt may need (a `reference`), what the samples will have; one that needs more is refused.
        """
        config = build_options(JudgeConfig, part, name)
        if config.panel is not None:
            raise ConfigError(f"{name}: a panel's members are not here; name one judge")
        backend = self.build(config, name, self.readings.backend_options(config))
        problems = Problems()
        judges = plan_judges({name: config}, {name: [task]}, lambda *_: backend, self.prompts, self.readings, problems)
        problems.noted = [problem.model_copy(update={"where": name}) for problem in problems.noted]
        for template in (template for judge in judges.single.values() for template in judge.templates.values()):
            if template.front.needs and template.front.needs not in known:
                problems.add(name, f"the prompt {template.name} needs a {template.front.needs}, and there is none")
        problems.raise_errors()
        self._preflight(name, config, backend)
        return self.ask_through(judges, {name: self.caller(name, backend, config)}).single[name]

    def build(self, config: SampledPart, name: str, options: Mapping[str, JsonValue] | None = None) -> Backend:
        """The backend of a part, with its own options or these; it is closed with the client."""
        factory = self.catalogue.get("backends", config.backend)
        given = config.options if options is None else options
        backend: Backend = factory(build_options(factory.Options, given, name), self.where)
        self._parts.callback(backend.close)
        return backend

    def caller(self, name: str, backend: Backend, config: SampledPart, *, count_free: bool = True) -> Caller:
        """What carries the part's requests through the session. `count_free`: whether the budget is for a free one."""
        price = Price(input=0, output=0) if backend.free else config.price
        return self.session.caller(name, backend, config, price=price, budgeted=count_free or not backend.free)

    def ask_through(self, judges: Judges, callers: Mapping[str, Caller]) -> AskedJudges:
        """The judges, asked through the callers (by the judges' names); their prompts count as used."""
        for judge in judges.single.values():
            self._used |= {template.name: template.sha256 for template in judge.prompts}
        return judges.ask_through(callers)

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
    def session(self) -> Session:
        ledger = self._parts.enter_context(Ledger(self.home / "ledger.sqlite"))
        session = Session(
            ledger,
            self.catalogue.executor(self._executor, self._jobs),
            Offline() if self.offline else Live(),
            self.budget,
            jobs=self._jobs,
            stop=self._stop,
            progress=self.progress,
        )
        return self._sessions.enter_context(session)

    @property
    def prompts_used(self) -> dict[str, str]:
        """The sha256 of every template that was asked by, by name."""
        return dict(sorted(self._used.items()))

    @property
    def asked(self) -> int:
        """Calls made so far; what the ledger answered is none."""
        return sum(caller.counts.asked for caller in self._callers())

    @property
    def from_ledger(self) -> int:
        return sum(caller.counts.from_ledger for caller in self._callers())

    @property
    def tokens(self) -> tuple[int, int]:
        """Tokens of prompts and of replies in the calls made, as far as the replies tell."""
        used = [caller.used for caller in self._callers()]
        return sum(one.prompt_tokens for one in used), sum(one.completion_tokens for one in used)

    @property
    def stopped(self) -> str:
        """Why the budget lets no further call through; "" while it does."""
        return self.budget.stopped if self.budget is not None else ""

    def close(self) -> None:
        self._sessions.close()
        self._parts.close()

    def _callers(self) -> list[Caller]:
        return self.session.callers if "session" in self.__dict__ else []  # asked nobody yet: no ledger is opened


@dataclass(frozen=True)
class ModelClient:
    """A backend of a Client: makes requests from prompt templates, and has them answered."""

    client: Client
    config: ModelConfig
    backend: Backend
    caller: Caller

    @property
    def identity(self) -> JsonValue:
        return self.caller.identity

    def request(self, prompt: str, context: Mapping[str, Any], *, seed: int | None = None, **sampling: Any) -> Request:
        """The template `prompt`, filled in (plain values). Tokens are drawn as the part says, but for what `sampling`
        says; where neither does, the template says how long a reply may get. Raises PromptError."""
        template = self.client.template(prompt)
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
            return self.caller.calls("generate", map(Call, requests))
        return self.caller.calls("generate", (Call(*pair) for pair in zip(requests, repeats, strict=True)))
