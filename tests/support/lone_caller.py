"""A caller with a session of its own, for tests of what one caller does."""

from __future__ import annotations

from typing import Any

import judgekit
from judgekit.calls.caller import Caller
from judgekit.calls.ledger import Ledger
from judgekit.calls.policies import identity_of
from judgekit.calls.session import Session
from judgekit_threads.executor import Threads

_SESSION = ("executor", "namespace", "paces", "policy", "progress", "retry_failed", "stop")


class LoneCaller(Caller):
    """The only caller of a session, which it closes."""

    def __init__(self, backend: judgekit.Backend, ledger: Ledger, *, concurrency: int, **settings: Any) -> None:
        shared = {name: settings.pop(name) for name in _SESSION if name in settings}
        shared.setdefault("executor", Threads(concurrency))
        session = Session(ledger, jobs=concurrency, **shared)
        settings.setdefault("identity", identity_of(backend))
        super().__init__(session, "models.lone", backend, **settings)
