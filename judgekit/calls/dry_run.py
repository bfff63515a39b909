"""A run gone through without a call: what it would ask, what the ledger has of that, and the most that it can take.

The steps are the run's own, so whatever asks is counted: metrics, panels, control arms, re-asks. A reply that is in the
ledger is the reply; another is stood in for by a text that nothing can be read from, so that every re-ask is counted.
A system's response that does not exist yet is taken to have four characters a token, and a judge's prompt with it in
is bounded by its bytes like any other: that is four tokens of the judge for each that the system may write.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice

from pydantic import JsonValue

from judgekit.calls.budget import Cost, cost_of, most_tokens
from judgekit.calls.caller import Caller
from judgekit.calls.ledger import Kind, Ledger, call_key
from judgekit.config.blocks import Price
from judgekit.contracts import Backend
from judgekit.errors import JudgekitError
from judgekit.hookspecs import hookimpl
from judgekit.records import Continuation, Reply, Request, Token
from judgekit.secrets import one_line

_BLOCK = 64  # requests looked up in one read of the ledger
_CHARACTERS = 4  # of a token that has not been written yet
_LETTERS = str.maketrans("0123456789abcdef", "ghijklmnopqrstuv")


@dataclass
class Asked:
    """What a stage asks at most. `calls` are first questions, `again` re-asks; `found` of both are in the ledger or
    asked before. Tokens and cost are of what is left. `unbounded`: nothing bounds some of its replies."""

    calls: int = 0
    again: int = 0
    found: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    pico: int = 0
    unbounded: bool = False
    unpriced: set[str] = field(default_factory=set)

    @property
    def left(self) -> int:
        return self.calls + self.again - self.found

    @property
    def cost(self) -> Cost:
        return Cost(self.left, self.prompt_tokens + self.completion_tokens, self.pico)

    def __add__(self, other: Asked) -> Asked:
        return Asked(
            self.calls + other.calls,
            self.again + other.again,
            self.found + other.found,
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
        except Exception as error:
            self.failed[stage] = one_line(f"{type(error).__name__}: {error}")
            self.stages.pop(stage, None)

    def count(self, asked: Asked, *, budgeted: bool) -> None:
        self.stages[self.stage] = self.stages.get(self.stage, Asked()) + asked
        if budgeted:
            self.budgeted += asked.cost


class Rehearsal(Caller):
    """Takes a Caller's place and calls nothing."""

    def __init__(
        self,
        label: str,
        backend: Backend,
        ledger: Ledger,
        tally: Tally,
        *,
        identity: JsonValue,
        price: Price | None,
        retry_failed: bool,
    ) -> None:
        super().__init__(backend, ledger, concurrency=1, identity=identity, price=price, retry_failed=retry_failed)
        self.label = label
        self.tally = tally
        self._stored = "stored" in backend.capabilities
        self._met: set[str] = set()

    def calls(self, kind: Kind, items: Iterable[tuple[Request, int, int]]) -> Iterator[Reply]:
        source = iter(items)
        while block := list(islice(source, _BLOCK)):
            keyed = [call_key(self.identity, kind, *item) for item in block]
            stored = self.ledger.find(dict(keyed))
            for (key, _), (request, _, attempt) in zip(keyed, block, strict=True):
                reply = stored.get(key)
                if reply is not None and self.retry_failed and reply.status != "complete":
                    reply = None
                known = reply is not None or key in self._met
                self._met.add(key)
                self._count(request, attempt, known)
                yield reply or self._stand_in(kind, request, key)

    def _count(self, request: Request, attempt: int, known: bool) -> None:
        asked = Asked(calls=int(not attempt), again=int(attempt > 0), found=int(known))
        if not known and not self._stored:
            usage = most_tokens(request)
            if usage is None:
                asked = replace(asked, unbounded=True)
            else:
                tokens = usage.prompt_tokens, usage.completion_tokens
                asked = Asked(asked.calls, asked.again, 0, *tokens, cost_of(usage, self.price).pico)
            if self.price is None and not self.backend.free:
                asked.unpriced.add(self.label)
        self.tally.count(asked, budgeted=not self.backend.free)

    def _stand_in(self, kind: Kind, request: Request, key: str) -> Reply:
        if kind == "loglikelihood":
            return Reply(continuations=tuple(Continuation(token_logprobs=(-1.0,)) for _ in request.continuations))
        if self._stored:  # to look an answer up is no call
            try:
                return self.backend.generate([request])[0]
            except JudgekitError as error:
                return Reply(status="error", detail=str(error))
        # Two lines of letters: no verdict, but steps, where a judge is to write its own; no two texts are the same.
        length = _CHARACTERS * (request.sampling.max_new_tokens or 256)
        text = f"- {key.translate(_LETTERS)}\n- {'w' * max(1, length - 70)}"
        return Reply(text=text, tokens=(Token(text=text, logprob=0.0),) if request.top_logprobs else ())
