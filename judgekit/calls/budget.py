"""What a run may spend: reserved before a call is sent, settled with what it took.

A call is reserved at the most that it can cost. No tokenizer of the kinds in use makes more tokens of a text than it
has bytes, so the prompt is bounded by its bytes in UTF-8, and by a margin for what a chat template adds to it; the
reply is bounded by `max_new_tokens`. For English prose that is about four times the tokens, which matters for the calls
under way only: each is settled with the usage that its reply tells. What the server may have billed without telling
(a reply without usage, an attempt that was lost on the way back) counts at its most.
"""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from pydantic import JsonValue

from judgekit.calls.rate_limits import POLL
from judgekit.errors import Interrupted, NotSent
from judgekit.records import Reply, Request, Sampling, Usage
from judgekit.text import counted

if TYPE_CHECKING:
    from judgekit.calls.caller import Caller, Used
    from judgekit.config.blocks import BudgetConfig, Price, RunConfig

_PER_PROMPT, _PER_MESSAGE = 128, 16  # tokens: a system prompt of the template's own, the marks around each turn
_PICO = 10**12  # money is counted in whole picodollars, so that sums are exact


@dataclass(frozen=True)
class Cost:
    """Calls, tokens, and money in picodollars."""

    calls: int = 0
    tokens: int = 0
    pico: int = 0

    @property
    def usd(self) -> float:
        return self.pico / _PICO

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.calls + other.calls, self.tokens + other.tokens, self.pico + other.pico)

    def __sub__(self, other: Cost) -> Cost:
        return Cost(self.calls - other.calls, self.tokens - other.tokens, self.pico - other.pico)


def most_tokens(request: Request) -> Usage | None:
    """The most tokens that a request can take; None where nothing bounds the reply."""
    prompt = _PER_PROMPT + sum(_PER_MESSAGE + _bytes(message.content) for message in request.messages)
    if request.continuations:  # each is read after the prompt
        read = sum(prompt + _bytes(text) for text in request.continuations)
        return Usage(prompt_tokens=read, completion_tokens=len(request.continuations))
    if request.json_schema is not None:
        prompt += _bytes(json.dumps(request.json_schema))
    if request.sampling.max_new_tokens is None:
        return None
    return Usage(prompt_tokens=prompt, completion_tokens=request.sampling.max_new_tokens)


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


def cost_of(usage: Usage | Used, price: Price | None) -> Cost:
    """The tokens, and the money if the price is known."""
    pico = 0
    if price is not None:  # USD a million tokens are microdollars a token
        rates = math.ceil(price.input * 10**6), math.ceil(price.output * 10**6)
        pico = usage.prompt_tokens * rates[0] + usage.completion_tokens * rates[1]
    return Cost(0, usage.prompt_tokens + usage.completion_tokens, pico)


class Budget:
    """What one start of a run may spend, shared by all that it asks. `spent` holds what was settled."""

    def __init__(self, config: BudgetConfig) -> None:
        self.config = config
        self.spent = Cost()
        self.stopped = ""  # why nothing more is sent
        self._reserved = Cost()
        self._open = 0  # reservations that are not settled yet
        self._changed = threading.Condition()

    def reserve(self, requests: Sequence[Request], price: Price | None, stopping: Callable[[], bool]) -> Reservation:
        """Set aside the most that the requests can cost, waiting for others to be settled where that may help.

        Raises NotSent where it is more than is left: then nothing is sent any more.
        """
        each = [self._most(request, price) for request in requests]
        whole = sum(each, Cost())
        with self._changed:
            while not self.stopped and self._lacks(whole) and self._open:
                if stopping():
                    raise Interrupted("stopped while waiting for the budget")
                self._changed.wait(POLL)
            if not self.stopped and (lacking := self._lacks(whole)):
                self.stopped = f"the budget of {lacking[0]} does not allow another call{lacking[1]}"
                self._changed.notify_all()
            if self.stopped:
                raise NotSent(f"not sent: {self.stopped}")
            self._open += 1
            self._reserved += whole
        return Reservation(self, price, whole, max(each, key=lambda cost: (cost.pico, cost.tokens)), len(requests))

    def more(self, cost: Cost) -> bool:
        """Add to what is reserved, if there is room at once."""
        with self._changed:
            if self._lacks(cost):
                return False
            self._reserved += cost
            return True

    def settle(self, reserved: Cost, spent: Cost) -> None:
        with self._changed:
            self._open -= 1
            self._reserved -= reserved
            self.spent += spent
            self._changed.notify_all()

    def described(self) -> list[str]:
        """What was spent of each cap, in words."""
        spent, config = self.spent, self.config
        caps = [
            (config.calls, f"{spent.calls:,} of {counted(config.calls or 0, 'call')}"),
            (config.tokens, f"{spent.tokens:,} of {counted(config.tokens or 0, 'token')}"),
            (config.usd, f"{dollars(spent.usd)} of {dollars(config.usd or 0)}"),
        ]
        return [words for cap, words in caps if cap is not None]

    def _most(self, request: Request, price: Price | None) -> Cost:
        if self.config.tokens is None and self.config.usd is None:
            return Cost(calls=1)
        usage = most_tokens(request)
        if usage is None and self.config.tokens is None and price is not None and price.output == 0:
            usage = most_tokens(request.model_copy(update={"sampling": Sampling(max_new_tokens=1)}))
        if usage is None:
            raise NotSent("not sent: with a budget in tokens or money, max_new_tokens must be set")
        if price is None and self.config.usd is not None:
            raise NotSent("not sent: with a budget in money, the price must be known")
        return Cost(calls=1) + cost_of(usage, price)

    def _lacks(self, cost: Cost) -> tuple[str, str] | None:
        """The cap that has no room for it, and how much it would take; None where all have."""
        total, config = self.spent + self._reserved + cost, self.config
        if config.calls is not None and total.calls > config.calls:
            return counted(config.calls, "call"), ""
        if config.tokens is not None and total.tokens > config.tokens:
            return counted(config.tokens, "token"), f" (it can take up to {cost.tokens:,})"
        if config.usd is not None and total.pico > math.floor(config.usd * _PICO):
            return dollars(config.usd), f" (it can cost up to {dollars(cost.usd)})"
        return None


@dataclass
class Reservation:
    """What was set aside for one batch of so many requests, the dearest of which can cost `each`."""

    _budget: Budget
    _price: Price | None
    _reserved: Cost
    _each: Cost
    _requests: int
    _sent: int = 0
    _billed: int = 0

    def send(self) -> None:
        """Called before every attempt. Raises NotSent where an attempt more is not in the budget."""
        if self._sent >= self._requests:
            extra = self._each if self._billed >= self._requests else Cost(calls=1)
            if not self._budget.more(extra):
                raise NotSent("not sent again: the budget has no room for another attempt")
            self._reserved += extra
        self._sent += 1

    def may_be_billed(self) -> None:
        """Called after an attempt that the server may have worked on, whether an answer came or not."""
        self._billed += 1

    def settle(self, replies: Sequence[Reply]) -> None:
        """End with the replies that came, those with status `error` included; with none, where none came."""
        answered = [reply for reply in replies if reply.status != "error"]
        told = [cost_of(reply.usage, self._price) for reply in answered if reply.usage is not None]
        in_vain = 0  # requests that may have been billed without an answer to show for it
        if self._requests == 1 and self._sent:
            in_vain = max(0, self._billed - len(answered))
        elif self._billed or not self._sent:  # without the transport, nobody knows
            in_vain = self._requests - len(answered)
        untold = len(answered) - len(told) + in_vain
        attempts = max(self._sent, self._requests)
        most = Cost(attempts, self._each.tokens * untold, self._each.pico * untold)
        self._budget.settle(self._reserved, sum(told, most))


def dollars(usd: float) -> str:
    """Money as a person reads it: cents from a dollar on, else two significant digits or more."""
    if usd >= 1 or usd == 0:
        return f"${usd:,.2f}"
    return f"${usd:.4f}" if usd >= 0.0001 else f"${usd:.2g}"


@dataclass(frozen=True)
class PartUse:
    """One model or judge in this start of the run; the field names are those of timing.json. Tokens are those that the
    replies tell. `usd` is None where the price is not known. Calls `not_sent` were held back by the budget."""

    backend: str
    model: str
    calls: int
    from_ledger: int
    not_sent: int
    prompt_tokens: int
    completion_tokens: int
    replies_without_usage: int
    usd: float | None


@dataclass(frozen=True)
class RunUse:
    """The parts by their place in the config; and what the budget says of them: `stopped` is why it ended the run, ""
    where it did not; `said` is what was spent of each cap, in words."""

    parts: Mapping[str, PartUse]
    stopped: str = ""
    spent: dict[str, JsonValue] = field(default_factory=dict)
    said: Sequence[str] = ()

    @property
    def unsent(self) -> int:
        return sum(part.not_sent for part in self.parts.values())

    def as_json(self) -> dict[str, JsonValue]:
        """For timing.json."""
        tree: dict[str, JsonValue] = {"usage": {label: asdict(part) for label, part in self.parts.items()}}
        return tree | ({"budget": {**self.spent, "stopped": self.stopped or None}} if self.spent else {})


def run_use(config: RunConfig, callers: Mapping[str, Caller], budget: Budget | None) -> RunUse:
    """What the callers (by the place of their part in the config) have taken so far."""
    parts = {label: _part_use(config, label, caller) for label, caller in callers.items()}
    if budget is None:
        return RunUse(parts)
    spent, caps = budget.spent, budget.config
    money = {"usd": round(spent.usd, 12)} if caps.usd is not None else {}
    tree: dict[str, JsonValue] = {
        "caps": caps.model_dump(exclude_none=True),
        "spent": {"calls": spent.calls, "tokens": spent.tokens, **money},
    }
    return RunUse(parts, budget.stopped, tree, budget.described())


def _part_use(config: RunConfig, label: str, caller: Caller) -> PartUse:
    kind, _, name = label.partition(".")
    part = config.models[name] if kind == "models" else config.judges[name]
    used, counts = caller.used, caller.counts
    return PartUse(
        part.backend,
        str(part.options.get("model") or part.backend),
        counts.asked,
        counts.from_ledger,
        counts.unsent,
        used.prompt_tokens,
        used.completion_tokens,
        used.untold,
        cost_of(used, caller.price).usd if caller.price is not None else None,
    )
