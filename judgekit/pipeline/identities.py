"""Whether those who answer are who they were: before a run, by the ledger; after it, by asking them again."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import JsonValue

from judgekit.calls.caller import Caller
from judgekit.calls.ledger import Ledger
from judgekit.calls.policies import NAMED, SERVER, identity_of
from judgekit.errors import BackendError


def asked_anew(identities: dict[str, JsonValue], ledger: Ledger) -> list[str]:
    """A line on each part whose older replies do not count, since nobody had asked then which model answered."""
    known, notes = ledger.identities(), []
    for label, identity in identities.items():
        if not isinstance(identity, dict) or "served" not in identity or identity in known:
            continue
        if {key: value for key, value in identity.items() if key != "served"} in known:
            notes.append(
                f"{label}: the ledger's replies of this address are older than the question which model it serves, and "
                "are asked for anew (--dry-run prices it)"
            )
    return notes


def check_identities(
    callers: Mapping[str, Caller], identities: Mapping[str, JsonValue], names: Mapping[str, str | None]
) -> None:
    """Raises BackendError where a server that was asked serves another model than at the start of the run."""
    for label, caller in callers.items():
        before = identities[label]
        if not caller.counts.asked or not isinstance(before, dict) or not before.keys() & {SERVER, NAMED, "digest"}:
            continue
        backend = type(caller.backend)(caller.backend.options, caller.backend.where)  # a new one: nothing is remembered
        try:
            after = identity_of(backend, names[label])
        finally:
            backend.close()
        if after != before and isinstance(after, dict):
            changed = [key for key in {**before, **after} if before.get(key) != after.get(key)]
            told = "; ".join(f"{key} was {before.get(key)}, and is {after.get(key)}" for key in changed)
            raise BackendError(
                f"{label}: its server serves another model than when the run began ({told}). No verdict of this run is "
                "known to be by either: `judgekit run --fresh` asks all of them again"
            )
