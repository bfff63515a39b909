"""Runs that ask nobody: what the ledger holds is answered, and the first call that it does not hold ends the run.

Stored responses are looked up in their files as ever: to look an answer up is no call. What only a server can tell of a
backend's identity is taken from the ledger, from the latest reply of the same backend.
"""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import JsonValue

from judgekit.calls.caller import Caller, _Call, _Run
from judgekit.calls.ledger import Ledger
from judgekit.contracts import Backend
from judgekit.errors import BackendError, NotInLedger
from judgekit.secrets import one_line

ADVICE = "ask for what is missing once, online and with the same ledger"


class OfflineCaller(Caller):
    """Takes a Caller's place: raises NotInLedger where that would send a request."""

    def _send(self, run: _Run, batch: list[_Call]) -> None:
        if is_free_of_calls(self.backend):
            super()._send(run, batch)
            return
        messages = batch[0].request.messages
        asked = one_line(messages[-1].content if messages else "", 80)
        raise NotInLedger(f"offline: no reply to {asked!r} ({self.name}): {ADVICE}", path=self.ledger.path)


def is_free_of_calls(backend: Backend) -> bool:
    """Whether its answers are looked up in a file of the user's own."""
    return "stored" in backend.capabilities


def identities(backends: Mapping[str, Backend], ledger: Ledger) -> dict[str, JsonValue]:
    """The identity of each backend; of one that has to be asked for it, as its latest replies have it.

    Raises NotInLedger where the ledger has no reply of it, and what `identity` raises where it is not told offline.
    """
    known = ledger.identities()
    found: dict[str, JsonValue] = {}
    for label, backend in backends.items():
        try:
            found[label] = backend.identity()
        except BackendError as error:
            recalled = next((one for one in known if isinstance(one, dict) and backend.is_identity(one)), None)
            if recalled is None:
                raise NotInLedger(f"offline: no reply of {label}: {ADVICE} ({error})", path=ledger.path) from error
            found[label] = recalled
    return found
