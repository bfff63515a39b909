"""Policies of a session: whether a call that the ledger cannot answer is sent, and what becomes of it where it is not.

`Live` sends it. `Offline` asks nobody: the first such call ends the session. `dry_run.DryRun` counts it and stands in
for its reply.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from pydantic import JsonValue

from judgekit.calls.ledger import Kind, Ledger, canonical
from judgekit.calls.work import broken, name_of
from judgekit.contracts import Backend
from judgekit.errors import BackendError, JudgekitError, NotInLedger
from judgekit.records import Call, Reply
from judgekit.secrets import one_line

if TYPE_CHECKING:
    from judgekit.calls.caller import Caller

ADVICE = "ask for what is missing once, online and with the same ledger"


def identity_of(backend: Backend) -> JsonValue:
    """The backend's identity. Raises what `identity` raises on purpose; PluginError where it is broken or no JSON."""
    try:
        identity = backend.identity()
        canonical(identity)
    except JudgekitError:
        raise
    except Exception as error:
        raise broken(f"the backend {name_of(backend)}", error) from error
    return identity


class Policy(Protocol):
    """What a session does with its calls besides looking them up in the ledger."""

    def identities(self, backends: Mapping[str, Backend], ledger: Ledger) -> dict[str, JsonValue]:
        """The identity of each backend, by the place of its part in the config."""

    def sends(self, backend: Backend) -> bool:
        """Whether the backend is asked what the ledger cannot answer."""

    def answer(self, caller: Caller, kind: Kind, call: Call, key: str, stored: Reply | None) -> Reply:
        """The reply to a call of a backend that is not asked; `stored` is what the ledger holds of it."""


class Live:
    """Backends are asked what the ledger cannot answer."""

    def identities(self, backends: Mapping[str, Backend], ledger: Ledger) -> dict[str, JsonValue]:
        return {label: identity_of(backend) for label, backend in backends.items()}

    def sends(self, backend: Backend) -> bool:
        return True

    def answer(self, caller: Caller, kind: Kind, call: Call, key: str, stored: Reply | None) -> Reply:
        raise AssertionError("every call that the ledger cannot answer is sent")


class Offline:
    """Nobody is asked. What only a server can tell of a backend's identity is taken from its latest reply.

    Stored responses are looked up in their files as ever: to look an answer up is no call.
    """

    def identities(self, backends: Mapping[str, Backend], ledger: Ledger) -> dict[str, JsonValue]:
        """Raises NotInLedger where the ledger has no reply of a backend that would have to be asked who it is."""
        known = ledger.identities()
        identities: dict[str, JsonValue] = {}
        for label, backend in backends.items():
            try:
                identities[label] = identity_of(backend)
            except BackendError as error:
                recalled = next((one for one in known if isinstance(one, dict) and backend.is_identity(one)), None)
                if recalled is None:
                    raise NotInLedger(f"offline: no reply of {label}: {ADVICE} ({error})", path=ledger.path) from error
                identities[label] = recalled
        return identities

    def sends(self, backend: Backend) -> bool:
        return "stored" in backend.capabilities

    def answer(self, caller: Caller, kind: Kind, call: Call, key: str, stored: Reply | None) -> Reply:
        """Raises NotInLedger where there is no stored reply."""
        if stored is not None:
            return stored
        messages = call.request.messages
        asked = one_line(messages[-1].content if messages else "", 80)
        where = caller.session.ledger.path
        raise NotInLedger(f"offline: no reply to {asked!r} ({caller.name}): {ADVICE}", path=where)
