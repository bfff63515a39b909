"""The folder of a training that is under way: its curve, its samples, and the state from which it goes on.

`state/<step>.safetensors` holds the trained weights and the optimiser, and in its header the counters and how long the
curve and the samples were. Random numbers need no state, since each step draws its own from the seed and its number. So
a training that was killed at any step ends with the very weights of one that was not.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

import judgekit
import judgekit.data
from judgekit_gpt2 import checkpoint
from judgekit_gpt2.checkpoint import STATES

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
        self.log = judgekit.data.TrainingLog(folder)

    def restore(self) -> tuple[Counters, dict[str, Tensor]]:
        """The newest whole state of this training, or zero counters and no tensors; curve and samples cut to it.

        Raises UsageError when the folder holds the state of another training, and StorageError.
        """
        checkpoint.make_folder(self.folder / STATES)  # marks the folder as that of a training under way
        for left in self.folder.rglob(".*.[0-9]*.[0-9]*"):
            left.unlink(missing_ok=True)  # a small file that was being written when the process was killed
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
            if self.log.cut(header["lengths"]):
                return Counters(**header["counters"]), tensors
        self.log.clear()
        for left in (self.folder / "best", self.folder / "last", *self.folder.glob("epoch-*")):
            shutil.rmtree(left, ignore_errors=True)  # of a training that was killed before it had a state
        return Counters(), {}

    def save(self, counters: Counters, tensors: dict[str, Tensor]) -> None:
        """Put a state beside those there are, whole or not at all. Raises StorageError."""
        header = {"origin": self.origin, "counters": asdict(counters), "lengths": self.log.lengths()}
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

    def conclude(self) -> None:
        """The training is done: no state is needed any more."""
        shutil.rmtree(self.folder / STATES, ignore_errors=True)
