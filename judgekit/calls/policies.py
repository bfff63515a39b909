"""Policies of a session: whether a call that the ledger cannot answer is sent, and what becomes of it if not."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from pydantic import JsonValue

from judgekit.calls.budget import Cost, cost_of, most_tokens
from judgekit.calls.ledger import Kind, Ledger, canonical
from judgekit.calls.work import name_of, named
from judgekit.contracts import Backend
from judgekit.errors import BackendError, ConfigError, Interrupted, JudgekitError, NotInLedger
from judgekit.hookspecs import hookimpl
from judgekit.records import Call, Continuation, Reply, Request, Token
from judgekit.secrets import one_line

if TYPE_CHECKING:
    from judgekit.calls.caller import Caller

_ADVICE = "ask for what is missing once, online and with the same ledger"
_CHARACTERS = 4  # of a token that has not been written yet
_LETTERS = str.maketrans("0123456789abcdef", "ghijklmnopqrstuv")


SERVER, NAMED = "server", "named"  # keys of an identity: the address, and the name that the config gives instead
Names = Mapping[str, str | None]
"""The config's `identity` of each part, by its place; None where it has none."""
NAMELESS: Names = MappingProxyType({})


def identity_of(backend: Backend, name: str | None = None) -> JsonValue:
    """The backend's identity, with the config's `name` in place of its server's address. Raises what `identity` raises
    on purpose; PluginError where it is broken or no JSON."""
    with named(f"the backend {name_of(backend)}"):
        identity = backend.identity()
        canonical(identity)
    return identity if name is None else renamed(identity, name)


def renamed(identity: JsonValue, name: str) -> JsonValue:
    """Raises ConfigError where nothing is served from an address."""
    if not isinstance(identity, dict):
        raise ConfigError(f"identity: {name}: this backend has no server's address that a name could stand for")
    return {key: value for key, value in identity.items() if key != SERVER} | {NAMED: name}


class Policy:
    """What a session does with its calls besides looking them up in the ledger."""

    def identities(
        self, backends: Mapping[str, Backend], ledger: Ledger, names: Names = NAMELESS
    ) -> dict[str, JsonValue]:
        """The identity of each backend, by the place of its part in the config."""
        return {label: identity_of(backend, names.get(label)) for label, backend in backends.items()}

    def sends(self, backend: Backend) -> bool:
        """Whether the backend is asked what the ledger cannot answer."""
        return False

    def answer(self, caller: Caller, kind: Kind, call: Call, key: str, stored: Reply | None) -> Reply:
        """The reply to a call of a backend that is not asked; `stored` is what the ledger holds of it."""
        raise NotImplementedError


class Live(Policy):
    """Backends are asked what the ledger cannot answer."""

    def sends(self, backend: Backend) -> bool:
        return True


class Offline(Policy):
    """Nobody is asked: the first call that the ledger cannot answer ends the session. What only a server can tell of a
    backend's identity is taken from its latest reply.

    Stored responses are looked up in their files as ever: to look an answer up is no call.
    """

    def identities(
        self, backends: Mapping[str, Backend], ledger: Ledger, names: Names = NAMELESS
    ) -> dict[str, JsonValue]:
        """Raises NotInLedger where the ledger has no reply of a backend that would have to be asked who it is."""
        known = ledger.identities()
        identities: dict[str, JsonValue] = {}
        for label, backend in backends.items():
            named = [one for one in known if isinstance(one, dict) and one.get(NAMED) == names.get(label)]
            recalled = next((one for one in named if backend.is_identity(one)), None)
            try:
                identities[label] = recalled or identity_of(backend, names.get(label))
            except BackendError as error:
                raise NotInLedger(f"offline: no reply of {label}: {_ADVICE} ({error})", path=ledger.path) from error
        return identities

    def sends(self, backend: Backend) -> bool:
        return _looks_up(backend)

    def answer(self, caller: Caller, kind: Kind, call: Call, key: str, stored: Reply | None) -> Reply:
        """Raises NotInLedger where there is no stored reply."""
        if stored is not None:
            return stored
        asked = one_line("".join(message.content for message in call.request.messages[-1:]), 80)
        said = f"offline: no reply to {asked!r} ({caller.name}): {_ADVICE}"
        raise NotInLedger(said, path=caller.session.ledger.path)


@dataclass
class Asked:
    """What a stage asks at most. `calls` are first questions, `again` re-asks; `in_ledger` of both are in the ledger
    or asked before. Tokens and cost are of what is left. `unbounded`: nothing bounds some of its replies."""

    calls: int = 0
    again: int = 0
    in_ledger: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    pico: int = 0
    unbounded: bool = False
    unpriced: set[str] = field(default_factory=set)

    @property
    def left(self) -> int:
        return self.calls + self.again - self.in_ledger

    @property
    def cost(self) -> Cost:
        return Cost(self.left, self.prompt_tokens + self.completion_tokens, self.pico)

    def __add__(self, other: Asked) -> Asked:
        return Asked(
            self.calls + other.calls,
            self.again + other.again,
            self.in_ledger + other.in_ledger,
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.pico + other.pico,
            self.unbounded or other.unbounded,
            self.unpriced | other.unpriced,
        )


class Tally:
    """What every stage asked. A watcher of the rehearsed run: its progress names the stage."""

    def __init__(self) -> None:
        self.stage = ""
        self.stages: dict[str, Asked] = {}
        self.budgeted = Cost()  # what counts for the budget
        self.failed: dict[str, str] = {}  # stages that could not be rehearsed, and why

    @hookimpl
    def judgekit_progress(self, stage: str, done: int, total: int, note: str) -> None:
        self.stage = stage
        self.stages.setdefault(stage, Asked())

    @contextmanager
    def rehearsing(self, stage: str) -> Iterator[None]:
        """A plugin that is thrown by what stands in for replies is no reason to stop: its calls are not known then."""
        self.stage = stage
        try:
            yield
        except Interrupted:
            raise
        except Exception as error:
            self.failed[stage] = one_line(f"{type(error).__name__}: {error}")
            self.stages.pop(stage, None)

    def count(self, asked: Asked, *, budgeted: bool) -> None:
        self.stages[self.stage] = self.stages.get(self.stage, Asked()) + asked
        if budgeted:
            self.budgeted += asked.cost


class DryRun(Policy):
    """No call is made: what a run would ask is counted, what the ledger has of that, and the most that it can take.

    The steps are the run's own, so whatever asks is counted: metrics, panels, control arms, re-asks. A reply that is in
    the ledger is the reply; another is stood in for by a text that nothing can be read from, so that every re-ask is
    counted. A system's response that does not exist yet is taken to have four characters a token: as a judge's prompt
    is bounded by its bytes, that is four tokens of the judge for each that the system may write.

    `untrained`: the parts on checkpoints that are still to be trained, which have no identity yet.
    """

    def __init__(self, tally: Tally, untrained: Collection[str] = ()) -> None:
        self.tally = tally
        self._untrained = untrained
        self._met: set[tuple[str, str]] = set()  # labels and keys of the calls so far

    def identities(
        self, backends: Mapping[str, Backend], ledger: Ledger, names: Names = NAMELESS
    ) -> dict[str, JsonValue]:
        trained = {label: backend for label, backend in backends.items() if label not in self._untrained}
        known = super().identities(trained, ledger, names)
        return {label: known.get(label, label) for label in backends}

    def answer(self, caller: Caller, kind: Kind, call: Call, key: str, stored: Reply | None) -> Reply:
        known = stored is not None or (caller.label, key) in self._met
        self._met.add((caller.label, key))
        self.tally.count(_asked(caller, call, known), budgeted=not caller.backend.free)
        return stored or _stand_in(caller.backend, kind, call.request, key)


def _asked(caller: Caller, call: Call, known: bool) -> Asked:
    asked = Asked(calls=int(not call.attempt), again=int(call.attempt > 0), in_ledger=int(known))
    if known or _looks_up(caller.backend):
        return asked
    if caller.price is None and not caller.backend.free:
        asked.unpriced.add(caller.label)
    usage = most_tokens(call.request)
    if usage is None:
        return replace(asked, unbounded=True)
    pico = cost_of(usage, caller.price).pico
    return replace(asked, prompt_tokens=usage.prompt_tokens, completion_tokens=usage.completion_tokens, pico=pico)


def _looks_up(backend: Backend) -> bool:
    return "stored" in backend.capabilities


def _stand_in(backend: Backend, kind: Kind, request: Request, key: str) -> Reply:
    if kind == "loglikelihood":
        return Reply(continuations=tuple(Continuation(token_logprobs=(-1.0,)) for _ in request.continuations))
    if _looks_up(backend):  # to look an answer up is no call
        try:
            return backend.generate([request])[0]
        except JudgekitError as error:
            return Reply(status="error", detail=str(error))
    # Two lines of letters: no verdict, but steps, where a judge is to write its own; no two texts are the same.
    length = _CHARACTERS * (request.sampling.max_new_tokens or 256)
    text = f"- {key.translate(_LETTERS)}\n- {'w' * max(1, length - 70)}"
    return Reply(text=text, tokens=(Token(text=text, logprob=0.0),) if request.top_logprobs else ())
