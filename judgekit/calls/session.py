"""A session: the ledger, the paces, the budget, the policy and the executor that all calls of a run share."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from pydantic import JsonValue

from judgekit.calls import Closing
from judgekit.calls.budget import Budget
from judgekit.calls.caller import Caller
from judgekit.calls.ledger import Ledger
from judgekit.calls.pacing import Paces
from judgekit.calls.policies import Live, Policy
from judgekit.calls.work import Report, name_of, named
from judgekit.config.blocks import Price, SampledPart
from judgekit.contracts import Backend, Executor
from judgekit.thoughts import Thoughts


def quiet(stage: str, done: int, total: int, note: str) -> None:
    """Progress that nobody follows."""


@dataclass
class Session(Closing):
    """What the callers of a run, of a dry run, or of a plugin's command have in common; it makes them and closes them.

    `jobs`: the most calls of one part under way at once. `namespace`: the part of every key that tells a fresh run's
    calls from all others. `retry_failed` asks again what the ledger holds as refused or truncated. Once `stop` is set
    nothing more is sent. `progress` (stage, done, total, note) is told of work that takes long.

    The ledger stays open: close it after the session.
    """

    ledger: Ledger
    executor: Executor
    policy: Policy = field(default_factory=Live)
    budget: Budget | None = None
    paces: Paces = field(default_factory=Paces)
    jobs: int = 8
    namespace: str = ""
    retry_failed: bool = False
    stop: threading.Event = field(default_factory=threading.Event)
    progress: Report = quiet
    callers: list[Caller] = field(default_factory=list, init=False)

    def caller(
        self,
        label: str,
        backend: Backend,
        config: SampledPart | None = None,
        *,
        identity: JsonValue = None,
        price: Price | None = None,
        budgeted: bool = True,
    ) -> Caller:
        """What carries the requests of one part of the config to its backend, within the part's `limits`.

        `identity`: None, and the policy is asked for it. `price`: None is the part's own. `budgeted`: whether the
        budget is for this part.
        """
        if identity is None:
            names = {label: config.identity if config is not None else None}
            identity = self.policy.identities({label: backend}, self.ledger, names)[label]
        limits, own = (config.limits, config.price) if config is not None else (None, None)
        budget = self.budget if budgeted else None
        caller = Caller(self, label, backend, identity=identity, limits=limits, price=price or own, budget=budget)
        caller.thoughts = Thoughts.of(config.thoughts if config is not None else None)
        self.callers.append(caller)
        return caller

    def close(self) -> None:
        """End the callers; calls under way get a grace period to be committed."""
        try:
            for caller in self.callers:
                caller.close()
        finally:
            with named(f"the executor {name_of(self.executor)}"):
                self.executor.close()
