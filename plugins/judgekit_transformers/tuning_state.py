"""The folder of a tuning under way: its curve, its samples, and the states from which it goes on.

`state/checkpoint-N` is the Hugging Face Trainer's own: weights, optimiser, schedule and random numbers. It is not
written in one go, so a file of ours, written last, says that it is whole, what it is a state of, and how long the curve
and the samples were. Its pickles are read back as plain tensors only (`weights_only`), and go when it is done.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel

import judgekit

CURVE = "training.jsonl"
SAMPLES = "samples.jsonl"
SUMMARY = "summary.json"
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

    @property
    def states(self) -> Path:
        return self.folder / STATE

    def restore(self) -> tuple[Counters, Path | None]:
        """The newest whole state and its counters, curve and samples cut to it; or nothing, and these empty.

        Raises StorageError.
        """
        for path in reversed(self._saved()):
            known = _whole(path)
            if known is not None and known["origin"] == self.origin and self._cut(known["lengths"]):
                return Counters(**known["counters"]), path
        self._cut({CURVE: 0, SAMPLES: 0})
        return Counters(), None

    def note(self, step: int, counters: Counters) -> None:
        """The state of this step is whole; older ones go. Raises OSError."""
        lengths = {name: _size(self.folder / name) for name in (CURVE, SAMPLES)}
        known = {"origin": self.origin, "lengths": lengths, "counters": asdict(counters)}
        (self.states / f"checkpoint-{step}" / _WHOLE).write_text(json.dumps(known), "utf-8")
        for old in self._saved()[:-_KEPT]:
            shutil.rmtree(old, ignore_errors=True)

    def add(self, name: str, line: BaseModel) -> None:
        """Append a line to the curve or to the samples. Raises StorageError."""
        try:
            with (self.folder / name).open("a", encoding="utf-8") as file:
                file.write(line.model_dump_json() + "\n")
        except OSError as error:
            raise judgekit.StorageError(f"cannot be written: {error.strerror}", path=self.folder / name) from None

    def clear(self) -> None:
        """The training is done: no state is needed any more."""
        shutil.rmtree(self.states, ignore_errors=True)

    def _saved(self) -> list[Path]:
        """The folders of states, the newest last."""
        found = [path for path in self.states.glob("checkpoint-*") if path.name.rpartition("-")[2].isdecimal()]
        return sorted(found, key=lambda path: int(path.name.rpartition("-")[2]))

    def _cut(self, lengths: dict[str, int]) -> bool:
        """Cut curve and samples to these lengths in bytes; false if one of them is shorter."""
        if any(_size(self.folder / name) < length for name, length in lengths.items()):
            return False
        for name, length in lengths.items():
            path = self.folder / name
            if _size(path) > length:
                try:
                    os.truncate(path, length)
                except OSError as error:
                    raise judgekit.StorageError(f"cannot be cut: {error.strerror}", path=path) from None
        return True


def _whole(path: Path) -> dict[str, Any] | None:
    try:
        known = json.loads((path / _WHOLE).read_text("utf-8"))
    except (OSError, ValueError):
        return None  # the process ended while it was written
    return known if isinstance(known, dict) else None


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
