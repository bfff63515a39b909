"""Trainings of a second: what they learn, and the way to kill one."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

COLOURS = {"grass": "green", "snow": "white", "coal": "black", "blood": "red", "sky": "blue", "sun": "yellow"}
SIZES = {"layers": 1, "heads": 2, "width": 16, "context": 48, "dropout": 0.1}


class Killed(BaseException):
    """Stands for a kill -9: nothing catches it."""


# A training in a process of its own: the trainer, the folder, and the step after which the process ends by itself.
SCRIPT = """
import sys, torch
torch.set_num_threads(1)
from pathlib import Path
from judgekit_gpt2 import trainers
factory, into = getattr(trainers, sys.argv[1]), Path(sys.argv[2])
into.mkdir(exist_ok=True)
def progress(done, total, note):
    print(done, flush=True)
    if sys.argv[3:] == [str(done)]:
        raise SystemExit(9)
factory(factory.Options.model_validate_json(Path("options.json").read_text())).train(into, progress)
"""


def write_colours(
    path: Path,
    held_out: Collection[str] | None = None,
    question: str = "Name the colour of {}.",
    colours: dict[str, str] = COLOURS,
) -> None:
    """Instructions: each colour to be learnt, and once more to be held out (None: all are), or else learnt twice."""
    held_out = colours if held_out is None else held_out
    items = [
        {"id": f"{thing} {number}", "instruction": question.format(thing), "output": colour, "split": split}
        for thing, colour in colours.items()
        for number, split in enumerate(("train", "validation" if thing in held_out else "train"))
    ]
    path.write_text(json.dumps(items))


def write_text(path: Path, repeats: int = 15, colours: dict[str, str] = COLOURS) -> None:
    """Documents to pretrain on."""
    documents = [f"The colour of {thing} is {colour}. A thing is {colour}." for thing, colour in colours.items()]
    path.write_text("\n<|endoftext|>\n".join(documents * repeats))


def pretrain(where: Path, **options: Any) -> Any:
    """The trainer of a small model from random weights, on `text.txt`."""
    from judgekit_gpt2.trainers import Pretrain

    settings = {"data": "text.txt", "model": SIZES, "tokenizer": {"bpe": 300}, "batch": 4, "lr": 0.003, **options}
    return Pretrain(Pretrain.Options.model_validate(settings), where)


def finetune(where: Path, **options: Any) -> Any:
    """The trainer that goes on from `base`, on `instructions.json`."""
    from judgekit_gpt2.trainers import Finetune

    settings = {"from": "base", "data": "instructions.json", "style": "plain", "batch": 4, **options}
    return Finetune(Finetune.Options.model_validate(settings), where)


def train(
    trainer: Any,
    into: Path,
    stop: int | None = None,
    error: type[BaseException] = Killed,
    notes: list[str] | None = None,
) -> list[int]:
    """Train to the end, or until the step `stop` raises the error; the steps that were made. What is said goes into
    `notes`."""
    into.mkdir(parents=True, exist_ok=True)
    steps = []

    def progress(done: int, total: int, note: str) -> None:
        steps.append(done)
        if notes is not None:
            notes.append(note)
        if done == stop:
            raise error("stopped")

    try:
        trainer.train(into, progress)
    except error:
        assert stop is not None
    else:
        assert stop is None, "it was not stopped"
    return steps


def curve(into: Path, split: str | None = None) -> list[dict[str, Any]]:
    """The points of a training's curve."""
    points = map(json.loads, (into / "training.jsonl").read_text().splitlines())
    return [point for point in points if split in (None, point["split"])]


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a finished training."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
