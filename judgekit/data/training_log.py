"""The log of a training: the curve, the samples and the summary that a trainer writes beside its product."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from pydantic import JsonValue

from judgekit.files import sha256_of, storage_errors, write_atomically
from judgekit.results import CurvePoint, TrainingSample

CURVE = "training.jsonl"
TOKENS = "tokens"  # the measure of a training's curve that says how many targets it has learnt from so far
SAMPLES = "samples.jsonl"
SUMMARY = "summary.json"
_MARKER = "judgekit.json"
_KEPT = 2  # states on disk: should the newest be damaged, the one before it will do
_SHARE = 50  # a state is saved by the clock when this many times the last saving's duration have gone by, …
_LEAST_SECONDS = 10.0  # … and at least so many seconds
T = TypeVar("T")


@dataclass(frozen=True)
class TrainingLog:
    """The files of a training that the core reads, as a trainer writes them: the curve and the samples grow while it is
    under way, and go back to where they were when it goes on from an earlier state. All methods raise StorageError."""

    folder: Path

    def add(self, line: CurvePoint | TrainingSample) -> None:
        """Append a point to the curve, or a sample to the samples."""
        path = self.folder / (CURVE if isinstance(line, CurvePoint) else SAMPLES)
        with storage_errors(path), path.open("a", encoding="utf-8") as file:
            file.write(line.model_dump_json() + "\n")

    def lengths(self) -> dict[str, int]:
        """The bytes of each file so far, to be kept with a state: see `cut`."""
        return {name: _size(self.folder / name) for name in (CURVE, SAMPLES)}

    def sync(self) -> None:
        """Have the disk take the files: a state that outlives a power cut is of no use without them."""
        for path in (self.folder / CURVE, self.folder / SAMPLES):
            if path.is_file():
                with storage_errors(path), path.open("rb") as file:
                    os.fsync(file.fileno())

    def cut(self, lengths: Mapping[str, int]) -> bool:
        """Cut the files to these lengths; false, and nothing is cut, if one of them is shorter."""
        here = self.lengths()
        if any(here[name] < length for name, length in lengths.items()):
            return False
        for name, length in lengths.items():
            if here[name] > length:
                with storage_errors(self.folder / name):
                    os.truncate(self.folder / name, length)
        return True

    def clear(self) -> None:
        """Empty the files: nothing has been logged yet."""
        self.cut(dict.fromkeys((CURVE, SAMPLES), 0))

    def sum_up(self, summary: Mapping[str, JsonValue]) -> None:
        """Write the summary of the data for the report, unless it is empty."""
        if summary:
            write_atomically(self.folder / SUMMARY, json.dumps(summary).encode() + b"\n")


@dataclass
class Counters:
    """Where a training stands: steps done, the losses since the last point of the curve, the least loss of an
    evaluation, how many evaluations have passed since, and what all batches so far weighed (targets, or pairs)."""

    step: int = 0
    since: list[float] = field(default_factory=list)
    best: float | None = None
    worse: int = 0
    weight: int = 0


class TrainingState:
    """The states that a killed training goes on from, in the folder that a trainer writes into.

    A state is a folder `state/checkpoint-STEP` that the trainer fills. Its `judgekit.json`, written last, says that it
    is whole, which training it is of (`origin`), what the counters were, and how long the files of the log.
    """

    FOLDER: ClassVar[str] = "state"  # also for other files that are needed until the training is done

    def __init__(self, folder: Path, origin: str) -> None:
        self.folder, self.origin = folder, origin
        self.states = folder / self.FOLDER
        self.log = TrainingLog(folder)
        self.counters = Counters()
        self.saving = False  # from `begin` to `seal`
        self._saved_at, self._took = time.monotonic(), 0.0

    @classmethod
    def of(cls, folder: Path, settings: str, inputs: Iterable[Path]) -> TrainingState:
        """The states of a training by these settings (trainer, version, options, precision) on these files."""
        content = " ".join([settings, *map(sha256_of, inputs)])
        return cls(folder, hashlib.sha256(content.encode()).hexdigest())

    def restore(self, load: Callable[[Path], T | None]) -> T | None:
        """Go back to the newest whole state: what `load` makes of its folder, None where that is damaged.

        Counters and log are then as they were. Where there is no state, they are empty and the result is None. Newer
        states that cannot be gone on from are deleted. Raises StorageError.
        """
        with storage_errors(self.states):
            self.states.mkdir(parents=True, exist_ok=True)
        for left in self.folder.rglob(".*.[0-9]*.[0-9]*"):
            left.unlink(missing_ok=True)  # `write_atomically` was killed
        for path in reversed(self._saved()):
            marker = _marker(path)
            loaded = load(path) if marker and marker["origin"] == self.origin else None
            if marker and loaded is not None and self.log.cut(marker["lengths"]):
                self.counters = Counters(**marker["counters"])
                return loaded
            shutil.rmtree(path, ignore_errors=True)
        self.counters = Counters()
        self.log.clear()
        return None

    def of_another(self) -> bool:
        """Whether the newest whole state is that of another training."""
        markers = filter(None, map(_marker, reversed(self._saved())))
        return next((marker["origin"] != self.origin for marker in markers), False)

    def due(self, every: int | None) -> bool:
        """Whether to save now: each `every` steps. None: by the clock, such that saving takes a fiftieth of the time
        at most."""
        if every is not None:
            return self.counters.step % every == 0
        return time.monotonic() - self._saved_at > max(_LEAST_SECONDS, _SHARE * self._took)

    def begin(self) -> Path:
        """The folder for the state of this step, which the trainer makes and fills. Then comes `seal`."""
        self._saved_at, self.saving = time.monotonic(), True
        return self.states / f"checkpoint-{self.counters.step}"

    def seal(self) -> None:
        """Say that the state of this step is whole; all but the newest two go. Raises StorageError."""
        self.log.sync()
        marker = {"origin": self.origin, "lengths": self.log.lengths(), "counters": asdict(self.counters)}
        path = self.states / f"checkpoint-{self.counters.step}"
        write_atomically(path / _MARKER, json.dumps(marker).encode())
        for old in self._saved()[:-_KEPT]:
            shutil.rmtree(old, ignore_errors=True)
        now = time.monotonic()
        self._took, self._saved_at, self.saving = now - self._saved_at, now, False

    def conclude(self, summary: Mapping[str, JsonValue]) -> None:
        """The training is done: say what a report shows of its data, and delete the states. Raises StorageError."""
        self.log.sum_up(summary)
        shutil.rmtree(self.states, ignore_errors=True)

    def _saved(self) -> list[Path]:
        """The folders of states, the newest last."""
        steps = {path: path.name.removeprefix("checkpoint-") for path in self.states.glob("checkpoint-*")}
        return sorted((path for path, step in steps.items() if step.isdecimal()), key=lambda path: int(steps[path]))


def _marker(path: Path) -> dict[str, Any] | None:
    """What the file that is written last says of a state; None where it was not written."""
    try:
        marker = json.loads((path / _MARKER).read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return marker if isinstance(marker, dict) else None


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
