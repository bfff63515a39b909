"""The folder of a training that is under way: its curve, its samples, and the state from which it goes on.

`state/<step>.safetensors` holds the trained weights and the optimiser, and in its header the counters and how long the
curve and the samples were. Random numbers need no state, since each step draws its own from the seed and its number. So
a training that was killed at any step ends with the very weights of one that was not.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from pydantic import BaseModel, JsonValue
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

import judgekit
from judgekit_gpt2 import checkpoint
from judgekit_gpt2.checkpoint import STATES

CURVE = "training.jsonl"
SAMPLES = "samples.jsonl"
SUMMARY = "summary.json"
_KEPT = 2  # states on disk: should the newest be damaged, the one before it will do


@dataclass
class Counters:
    """Where a training stands: steps done, the losses since the last point of the curve, the least loss of an
    evaluation, how many evaluations have passed since, and what all batches so far weighed (targets, or pairs)."""

    step: int = 0
    since: list[float] = field(default_factory=list)
    best: float | None = None
    worse: int = 0
    weight: int = 0


class Workspace:
    """`origin` names what is trained, on what and how: a state of another origin is not gone on from."""

    def __init__(self, folder: Path, origin: str) -> None:
        self.folder, self.origin = folder, origin

    def restore(self) -> tuple[Counters, dict[str, Tensor]]:
        """The newest whole state of this training, or zero counters and no tensors; curve and samples cut to it.

        Raises UsageError when the folder holds the state of another training, and StorageError.
        """
        checkpoint.make_folder(self.folder / STATES)  # marks the folder as that of a training under way
        for path in sorted((self.folder / STATES).glob("*.safetensors"), reverse=True):
            try:
                with safe_open(path, "pt") as file:
                    header = json.loads(file.metadata()["judgekit"])
                    tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
            except (SafetensorError, OSError, KeyError, TypeError, ValueError):
                continue  # truncated or damaged
            if header["origin"] != self.origin:
                raise judgekit.UsageError(
                    "holds the state of another training (other data or options); delete it to start over",
                    path=self.folder / STATES,
                )
            if self._cut(header["lengths"]):
                return Counters(**header["counters"]), tensors
        self._cut({CURVE: 0, SAMPLES: 0})
        for left in (self.folder / "best", self.folder / "last", *self.folder.glob("epoch-*")):
            shutil.rmtree(left, ignore_errors=True)  # of a training that was killed before it had a state
        return Counters(), {}

    def save(self, counters: Counters, tensors: dict[str, Tensor]) -> None:
        """Put a state beside those there are, whole or not at all. Raises StorageError."""
        header = {"origin": self.origin, "counters": asdict(counters), "lengths": self._lengths()}
        states = self.folder / STATES
        target = states / f"{counters.step:09}.safetensors"
        temporary = target.with_suffix(".tmp")
        try:
            save_file(tensors, temporary, metadata={"judgekit": json.dumps(header)})
            checkpoint.publish(temporary, target)
            for old in sorted(states.glob("*.safetensors"))[:-_KEPT]:
                old.unlink()
        except (OSError, SafetensorError) as error:
            temporary.unlink(missing_ok=True)
            raise judgekit.StorageError(f"cannot be written: {error}", path=target) from None

    def add(self, name: str, line: BaseModel) -> None:
        """Append a line to the curve or to the samples. Raises StorageError."""
        path = self.folder / name
        try:
            with path.open("a", encoding="utf-8") as file:
                file.write(line.model_dump_json() + "\n")
        except OSError as error:
            raise judgekit.StorageError(f"cannot be written: {error.strerror}", path=path) from None

    def conclude(self, summary: Mapping[str, JsonValue]) -> None:
        """The training is done: its summary is written if there is one, and no state is needed any more.

        Raises StorageError.
        """
        if summary:
            judgekit.write_atomically(self.folder / SUMMARY, json.dumps(summary).encode() + b"\n")
        shutil.rmtree(self.folder / STATES, ignore_errors=True)

    def _lengths(self) -> dict[str, int]:
        return {name: _size(self.folder / name) for name in (CURVE, SAMPLES)}

    def _cut(self, lengths: dict[str, int]) -> bool:
        """Cut curve and samples to these lengths in bytes; false if one of them is shorter."""
        if any(_size(self.folder / name) < length for name, length in lengths.items()):
            return False
        for name, length in lengths.items():
            if _size(self.folder / name) > length:
                try:
                    os.truncate(self.folder / name, length)
                except OSError as error:
                    raise judgekit.StorageError(f"cannot be cut: {error.strerror}", path=self.folder / name) from None
        return True


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
