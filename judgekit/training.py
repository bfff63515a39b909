"""The `train:` block → checkpoints, content-addressed: the same options and input bytes are trained once.

For trainers: the log that the core reads, and the states from which a killed training goes on.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from pydantic import JsonValue, TypeAdapter

from judgekit.contracts import Trainer
from judgekit.errors import CheckpointError, UsageError
from judgekit.folder import sha256_of, storage_errors, write_atomically
from judgekit.records import CurvePoint, Noun, Training, TrainingSample
from judgekit.spec import TrainSpec, build_options

if TYPE_CHECKING:
    from judgekit.plugins import Catalogue

CURVE = "training.jsonl"
TOKENS = "tokens"  # the measure of a training's curve that says how many targets it has learnt from so far
SAMPLES = "samples.jsonl"
SUMMARY = "summary.json"
_MARKER = "judgekit.json"
_KEPT = 2  # states on disk: should the newest be damaged, the one before it will do
_SHARE = 50  # a state is saved by the clock when this many times the last saving's duration have gone by, …
_LEAST_SECONDS = 10.0  # … and at least so many seconds
T = TypeVar("T")
N = TypeVar("N", bound=Noun)
Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class PlannedTraining:
    """A training whose product has a known place before it is made: the folder is named by the key."""

    name: str
    kind: str
    key: str
    folder: Path
    trainer: Trainer
    inputs: tuple[Path, ...]


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
        """Nothing has been logged yet."""
        self.cut(dict.fromkeys((CURVE, SAMPLES), 0))

    def sum_up(self, summary: Mapping[str, JsonValue]) -> None:
        """Write what the report says of the data; nothing where there is nothing to say."""
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


def plan_trainings(
    specs: Mapping[str, TrainSpec], catalogue: Catalogue, where: Path, checkpoints: Path, problems: Any
) -> list[PlannedTraining]:
    """The trainings in an order in which each comes after those it starts from. Problems are collected."""
    planned: dict[str, PlannedTraining] = {}
    for name in _in_order(specs, problems):
        if trained_by(specs[name].options) & (set(specs) - set(planned)):
            continue  # what it starts from could not be planned, and that has been said
        training = problems.attempt(
            f"train.{name}", lambda name=name: _plan(name, specs[name], planned, catalogue, where, checkpoints)
        )
        if training is not None:
            planned[name] = training
            problems.attempt(f"train.{name}", training.trainer.check)
    return list(planned.values())


def _in_order(specs: Mapping[str, TrainSpec], problems: Any) -> list[str]:
    order: list[str] = []
    waiting = list(specs)
    while waiting:
        ready = [name for name in waiting if not (trained_by(specs[name].options) & set(waiting))]
        if not ready:
            problems.add("train", f"{', '.join(waiting)}: each starts from another, and none can be first")
            break
        order += ready
        waiting = [name for name in waiting if name not in ready]
    return order


def trained_by(options: Mapping[str, JsonValue]) -> set[str]:
    """The trainings whose products the options name, as "train:NAME" or "train:NAME/FOLDER"."""
    return {named[0] for value in options.values() if (named := named_product(value))}


def named_product(value: JsonValue) -> tuple[str, str] | None:
    """(the training, "/FOLDER" within its product or "") that an option's value names; None if it names none."""
    if not isinstance(value, str) or not value.startswith("train:"):
        return None
    name, slash, inner = value.removeprefix("train:").partition("/")
    return name, slash + inner


def _plan(
    name: str,
    spec: TrainSpec,
    planned: Mapping[str, PlannedTraining],
    catalogue: Catalogue,
    where: Path,
    checkpoints: Path,
) -> PlannedTraining:
    for parent in sorted(trained_by(spec.options)):
        if parent not in planned:
            raise UsageError(f"train.{name}: the config trains nothing named {parent!r}")
    factory = catalogue.get("trainers", spec.trainer)
    options = {key: _folder_of(value, planned) for key, value in spec.options.items()}
    trainer: Trainer = factory(build_options(factory.Options, options, f"train.{name}"), where)
    inputs = tuple(path for path in trainer.inputs() if not path.resolve().is_relative_to(checkpoints.resolve()))
    key = _key(name, spec, trainer, inputs, planned)
    return PlannedTraining(name, spec.trainer, key, checkpoints / f"{name}-{key[:16]}", trainer, inputs)


def _folder_of(value: JsonValue, planned: Mapping[str, PlannedTraining]) -> JsonValue:
    named = named_product(value)
    return f"{planned[named[0]].folder}{named[1]}" if named else value


def _key(
    name: str,
    spec: TrainSpec,
    trainer: Trainer,
    inputs: tuple[Path, ...],
    planned: Mapping[str, PlannedTraining],
) -> str:
    """sha256 of all that decides the weights: trainer, its version, options (defaults too), inputs, parents' keys."""
    own = trainer.options.model_dump(mode="json", by_alias=True)
    own |= {key: value for key, value in spec.options.items() if isinstance(value, str)}  # paths as written
    parents = {parent: planned[parent].key for parent in trained_by(spec.options)}
    content = {
        "name": name,
        "trainer": spec.trainer,
        "version": trainer.version,
        "options": own,
        "inputs": [sha256_of(path) for path in inputs],
        "parents": parents,
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def train(planned: PlannedTraining, progress: Progress) -> Training:
    """The training's product: found under its key, or made now. A folder appears only when it is whole.

    Two processes that want the same product: one trains, the other waits and finds it. What a killed or failed one
    left unfinished is kept for a trainer that resumes, and swept away for one that does not. Raises StorageError when
    the disk is full, and what the trainer raises.
    """
    with _locked(planned.folder):
        if not planned.folder.is_dir():
            unfinished = planned.folder.with_name(f"{planned.folder.name}.unfinished")
            if not planned.trainer.resumes:
                shutil.rmtree(unfinished, ignore_errors=True)
            with storage_errors(planned.folder):
                if not unfinished.is_dir():
                    _clock(planned).unlink(missing_ok=True)
                unfinished.mkdir(exist_ok=True)
            with _clocked(_clock(planned)):
                planned.trainer.train(unfinished, progress)
            with storage_errors(planned.folder):
                unfinished.rename(planned.folder)
    return Training(
        name=planned.name,
        trainer=planned.kind,
        checkpoint=planned.folder.name,
        identity=planned.key,
        curve=_lines(planned.folder / CURVE, CurvePoint),
        samples=_lines(planned.folder / SAMPLES, TrainingSample),
        summary=_summary(planned.folder / SUMMARY),
    )


def speed(planned: PlannedTraining, made: Training) -> float | None:
    """Tokens a second of the whole training, its evaluations and its saving included; None where it is not known."""
    tokens = max((point.measures.get(TOKENS, 0.0) for point in made.curve), default=0.0)
    seconds = _seconds(_clock(planned))
    return tokens / seconds if tokens and seconds else None


def _clock(planned: PlannedTraining) -> Path:
    """Beside the checkpoint, not in it: equal trainings have equal folders."""
    return planned.folder.with_name(f"{planned.folder.name}.timing.json")


def _seconds(path: Path) -> float:
    try:
        return float(json.loads(path.read_text("utf-8"))["seconds"])
    except (OSError, ValueError, TypeError, KeyError):
        return 0.0


@contextmanager
def _clocked(path: Path) -> Iterator[None]:
    """Add the time taken to that of earlier stretches of the same training."""
    start = time.monotonic()
    try:
        yield
    finally:
        seconds = _seconds(path) + time.monotonic() - start
        write_atomically(path, json.dumps({"seconds": round(seconds, 3)}).encode() + b"\n")


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    with storage_errors(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        file = folder.with_name(f"{folder.name}.lock").open("w")
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _lines(path: Path, noun: type[N]) -> tuple[N, ...]:
    if not path.is_file():
        return ()
    try:
        return tuple(noun.model_validate_json(line) for line in path.read_text("utf-8").split("\n") if line)
    except ValueError as error:
        raise CheckpointError(f"damaged: {error}", path=path) from None


def _summary(path: Path) -> dict[str, JsonValue]:
    if not path.is_file():
        return {}
    try:
        return TypeAdapter(dict[str, JsonValue]).validate_json(path.read_bytes())
    except ValueError as error:
        raise CheckpointError(f"damaged: {error}", path=path) from None
