"""What a run took, by the parts of its config that were asked, and what is left of its budget."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import JsonValue

from judgekit.calls.budget import Budget, cost_of
from judgekit.calls.caller import Caller
from judgekit.config.blocks import RunConfig
from judgekit.records import Usage


@dataclass(frozen=True)
class PartUse:
    """One model or judge in this start of the run. Tokens are those that the replies tell; `untold` tell none.
    `usd` is None where the price is not known. `unsent` calls were planned, and held back by the budget."""

    part: str
    backend: str
    model: str
    calls: int
    from_ledger: int
    unsent: int
    prompt_tokens: int
    completion_tokens: int
    untold: int
    usd: float | None


@dataclass(frozen=True)
class RunUse:
    """All parts, and what the budget says of them: `stopped` is why it ended the run, "" where it did not."""

    parts: tuple[PartUse, ...] = ()
    stopped: str = ""
    spent: dict[str, JsonValue] = field(default_factory=dict)
    said: tuple[str, ...] = ()  # spent of each cap, in words

    @property
    def unsent(self) -> int:
        return sum(part.unsent for part in self.parts)

    def as_json(self) -> dict[str, JsonValue]:
        """For timing.json."""
        tree: dict[str, JsonValue] = {"usage": {part.part: _plain(part) for part in self.parts}}
        return tree | ({"budget": {**self.spent, "stopped": self.stopped or None}} if self.spent else {})


def _plain(part: PartUse) -> dict[str, JsonValue]:
    return {
        "backend": part.backend,
        "model": part.model,
        "calls": part.calls,
        "from_ledger": part.from_ledger,
        "not_sent": part.unsent,
        "prompt_tokens": part.prompt_tokens,
        "completion_tokens": part.completion_tokens,
        "replies_without_usage": part.untold,
        "usd": part.usd,
    }


def run_use(config: RunConfig, callers: Mapping[str, Caller], budget: Budget | None) -> RunUse:
    """What the callers (by the place of their part in the config) have taken so far."""
    parts = tuple(_part_use(config, label, caller) for label, caller in callers.items())
    if budget is None:
        return RunUse(parts)
    spent, caps = budget.spent, budget.config
    money = {"usd": round(spent.usd, 12)} if caps.usd is not None else {}
    tree: dict[str, JsonValue] = {
        "caps": caps.model_dump(exclude_none=True),
        "spent": {"calls": spent.calls, "tokens": spent.tokens, **money},
    }
    return RunUse(parts, budget.stopped, tree, tuple(budget.described()))


def _part_use(config: RunConfig, label: str, caller: Caller) -> PartUse:
    kind, _, name = label.partition(".")
    part = config.models[name] if kind == "models" else config.judges[name]
    used, counts = caller.used, caller.counts
    taken = Usage(prompt_tokens=used.prompt_tokens, completion_tokens=used.completion_tokens)
    return PartUse(
        part=label,
        backend=part.backend,
        model=str(part.options.get("model") or part.backend),
        calls=counts.asked,
        from_ledger=counts.from_ledger,
        unsent=counts.unsent,
        prompt_tokens=used.prompt_tokens,
        completion_tokens=used.completion_tokens,
        untold=used.untold,
        usd=cost_of(taken, caller.price).usd if caller.price is not None else None,
    )
