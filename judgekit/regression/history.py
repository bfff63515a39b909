"""The gates that were decided against each baseline: one line a decision, in `gates.jsonl` beside the ledger.

A gate that is repeated until it is green decides nothing. Gating the same rows again is not a new try; gating another
result of the same candidate is. The file lies where runs are made (like the ledger), since a rerun happens there; it
is not part of any record.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

from judgekit.files import storage_errors
from judgekit.regression.baseline import answered_by
from judgekit.results import Gate, RunRecord

FILE = "gates.jsonl"


@dataclass(frozen=True)
class GateCount:
    """Different results gated against one baseline so far, this one included: of this candidate, and of all."""

    candidate: int
    baseline: int


def log_gate(home: Path, record: RunRecord, gate: Gate) -> GateCount | None:
    """Log the decision, and count. None for a gate without a baseline. Raises StorageError."""
    if not gate.baseline_sha256:
        return None
    systems = sorted({claim.system for claim in gate.claims if claim.kind == "margin"})
    entry = {
        "baseline": gate.baseline_sha256,
        "candidate": _hash([answered_by(record, system) for system in systems]),
        "result": record.files.get("rows.jsonl") or record.run_id,
        "run": record.run_id,
        "outcome": gate.outcome,
    }
    path = home / FILE
    earlier = [one for one in _entries(path) if one.get("baseline") == entry["baseline"]]
    if entry not in earlier:
        with storage_errors(path):
            home.mkdir(parents=True, exist_ok=True)
            with path.open("ab+") as file:
                if file.tell():
                    file.seek(-1, os.SEEK_END)
                    file.write(b"" if file.read() == b"\n" else b"\n")  # the line before was torn
                file.write(json.dumps(entry, sort_keys=True).encode("ascii") + b"\n")
                file.flush()
                os.fsync(file.fileno())
    against = {str(one.get("result")): str(one.get("candidate")) for one in [*earlier, entry]}
    return GateCount(sum(candidate == entry["candidate"] for candidate in against.values()), len(against))


def _entries(path: Path) -> list[dict[str, str]]:
    """The lines so far; one that a killed process left torn is skipped."""
    if not path.is_file():
        return []
    entries = []
    with storage_errors(path):
        for line in path.read_text("ascii", errors="replace").splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if isinstance(entry, dict):
                entries.append(entry)
    return entries


def _hash(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
