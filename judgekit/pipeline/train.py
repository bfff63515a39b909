"""The `train:` block → checkpoints, content-addressed: the same options and input bytes are trained once.

For trainers: the log that the core reads, and the states from which a killed training goes on.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import JsonValue, TypeAdapter

from judgekit.config.blocks import TrainConfig
from judgekit.config.load import build_options
from judgekit.contracts import Trainer
from judgekit.data.lineage import named_product
from judgekit.data.training_log import CURVE, SAMPLES, SUMMARY, TOKENS
from judgekit.errors import CheckpointError, UsageError
from judgekit.files import locked, sha256_of, storage_errors, write_atomically
from judgekit.records import Noun
from judgekit.results import CurvePoint, Training, TrainingSample
from judgekit.text import did_you_mean

if TYPE_CHECKING:
    from judgekit.plugins import Catalogue

N = TypeVar("N", bound=Noun)
T = TypeVar("T")
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


def plan_trainings(
    specs: Mapping[str, TrainConfig], catalogue: Catalogue, where: Path, checkpoints: Path, problems: Any
) -> list[PlannedTraining]:
    """The trainings in an order in which each comes after those it starts from. Problems are collected."""
    planned: dict[str, PlannedTraining] = {}
    for name in _in_order(specs, problems):
        if trained_by(specs[name].options) & (set(specs) - set(planned)):
            continue  # what it starts from could not be planned, and that has been said
        training = problems.attempt(f"train.{name}", _plan, name, specs[name], planned, catalogue, where, checkpoints)
        if training is not None:
            planned[name] = training
            problems.attempt(f"train.{name}", training.trainer.check)
    return list(planned.values())


def _in_order(specs: Mapping[str, TrainConfig], problems: Any) -> list[str]:
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


def products_of(trainings: Iterable[PlannedTraining]) -> dict[str, str]:
    """The checkpoint folder of each training, by its name."""
    return {training.name: str(training.folder) for training in trainings}


def substitute(options: Mapping[str, JsonValue], products: Mapping[str, str], label: str) -> dict[str, JsonValue]:
    """Options with every "train:NAME" replaced by that training's checkpoint folder.

    "train:NAME/best" is a folder within it: trainers may keep more than one checkpoint.
    """
    made = dict(options)
    for key, value in options.items():
        if (named := named_product(value)) is not None:
            name, inner = named
            if name not in products:
                hint = did_you_mean(name, products)
                raise UsageError(f"{label}.{key}: the config trains nothing named {name!r}{hint}")
            made[key] = f"{products[name]}{inner}"
    return made


def _plan(
    name: str,
    config: TrainConfig,
    planned: Mapping[str, PlannedTraining],
    catalogue: Catalogue,
    where: Path,
    checkpoints: Path,
) -> PlannedTraining:
    for parent in sorted(trained_by(config.options)):
        if parent not in planned:
            raise UsageError(f"train.{name}: the config trains nothing named {parent!r}")
    factory = catalogue.get("trainers", config.trainer)
    options = substitute(config.options, products_of(planned.values()), f"train.{name}")
    trainer: Trainer = factory(build_options(factory.Options, options, f"train.{name}"), where)
    inputs = tuple(path for path in trainer.inputs() if not path.resolve().is_relative_to(checkpoints.resolve()))
    key = _key(name, config, trainer, inputs, planned)
    return PlannedTraining(name, config.trainer, key, checkpoints / f"{name}-{key[:16]}", trainer, inputs)


def _key(
    name: str,
    config: TrainConfig,
    trainer: Trainer,
    inputs: tuple[Path, ...],
    planned: Mapping[str, PlannedTraining],
) -> str:
    """sha256 of all that decides the weights: trainer, its version, options (defaults too), inputs, parents' keys."""
    own = trainer.options.model_dump(mode="json", by_alias=True)
    own |= {key: value for key, value in config.options.items() if isinstance(value, str)}  # paths as written
    parents = {parent: planned[parent].key for parent in trained_by(config.options)}
    content = {
        "name": name,
        "trainer": config.trainer,
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
        curve=_read(planned.folder / CURVE, lambda text: _lines(text, CurvePoint)) or (),
        samples=_read(planned.folder / SAMPLES, lambda text: _lines(text, TrainingSample)) or (),
        summary=_read(planned.folder / SUMMARY, TypeAdapter(dict[str, JsonValue]).validate_json) or {},
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
        file = folder.with_name(f"{folder.name}.lock").open("wb")
    with file, locked(file.fileno()):
        yield


def _lines(text: str, noun: type[N]) -> tuple[N, ...]:
    return tuple(noun.model_validate_json(line) for line in text.split("\n") if line)


def _read(path: Path, parse: Callable[[str], T]) -> T | None:
    """What a trainer left in a file, if it did."""
    try:
        return parse(path.read_text("utf-8")) if path.is_file() else None
    except ValueError as error:
        raise CheckpointError(f"damaged: {error}", path=path) from None
