"""`loader: instructions`: a JSON array or JSONL of {"instruction", "input", "output"} items."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Literal

import judgekit


class InstructionOptions(judgekit.Options):
    path: str
    split: Literal["train", "test", "validation"] | None = None


class Instructions(judgekit.DataLoader):
    """Instruction items in the Alpaca shape: a JSON array or JSONL."""

    Options: ClassVar[type[judgekit.Options]] = InstructionOptions
    options: InstructionOptions

    def inputs(self) -> list[Path]:
        return [self.path(self.options.path)]

    def load(self) -> Iterator[judgekit.Sample]:
        items = judgekit.read_instructions(self.path(self.options.path), self.options.split)
        return (item.sample for item in items)
