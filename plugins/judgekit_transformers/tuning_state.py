"""The folder of a tuning under way: its curve, its samples, and the states from which it goes on.

`state/checkpoint-N` is the Hugging Face Trainer's own: weights, optimiser, schedule and random numbers. It is not
written in one go, so a file of ours, written last, says that it is whole, what it is a state of, and how long the curve
and the samples were. Its pickles are read back as plain tensors only (`weights_only`), and go when it is done.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import judgekit
import judgekit.data

STATE = "state"
_WHOLE = "judgekit.json"
_KEPT = 2  # states on disk: should the newest be damaged, the one before it will do


@dataclass
class Counters:
    """The losses since the last point of the curve, and how many targets there were so far."""

    since: list[float] = field(default_factory=list)
    tokens: int = 0


class Workspace:
    """`origin` names what is trained, on what and how: a state of another origin is not gone on from."""

    def __init__(self, folder: Path, origin: str) -> None:
        self.folder, self.origin = folder, origin
        self.log = judgekit.data.TrainingLog(folder)

    @property
    def states(self) -> Path:
        return self.folder / STATE

    def restore(self) -> tuple[Counters, Path | None]:
        """The newest whole state and its counters, curve and samples cut to it; or nothing, and these empty.

        Raises StorageError.
        """
        for path in reversed(self._saved()):
            known = _whole(path)
            if known is not None and known["origin"] == self.origin and self.log.cut(known["lengths"]):
                return Counters(**known["counters"]), path
        self.log.clear()
        return Counters(), None

    def note(self, step: int, counters: Counters) -> None:
        """The state of this step is whole; older ones go. Raises OSError."""
        known = {"origin": self.origin, "lengths": self.log.lengths(), "counters": asdict(counters)}
        (self.states / f"checkpoint-{step}" / _WHOLE).write_text(json.dumps(known), "utf-8")
        for old in self._saved()[:-_KEPT]:
            shutil.rmtree(old, ignore_errors=True)

    def clear(self) -> None:
        """The training is done: no state is needed any more."""
        shutil.rmtree(self.states, ignore_errors=True)

    def _saved(self) -> list[Path]:
        """The folders of states, the newest last."""
        found = [path for path in self.states.glob("checkpoint-*") if path.name.rpartition("-")[2].isdecimal()]
        return sorted(found, key=lambda path: int(path.name.rpartition("-")[2]))


def _whole(path: Path) -> dict[str, Any] | None:
    try:
        known = json.loads((path / _WHOLE).read_text("utf-8"))
    except (OSError, ValueError):
        return None  # the process ended while it was written
    return known if isinstance(known, dict) else None
