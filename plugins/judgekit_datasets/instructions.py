"""`loader: instructions`: single questions in any format of instruction data, a JSON array or JSONL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import judgekit
import judgekit.data


class InstructionOptions(judgekit.Options):
    """`format` (alpaca, dolly, sharegpt, messages) is seen from the items where it is not named."""

    path: str
    format: str | None = None
    split: judgekit.data.Split | None = None


class Instructions(judgekit.DataLoader):
    """Instruction items, JSON or JSONL: Alpaca, Dolly, or messages of one turn."""

    Options: ClassVar[type[judgekit.Options]] = InstructionOptions
    options: InstructionOptions

    def inputs(self) -> list[Path]:
        return [self.path(self.options.path)]

    def load(self) -> Iterator[judgekit.Sample]:
        options = self.options
        items = judgekit.data.read_instructions(self.path(options.path), options.split, options.format)
        return (item.sample for item in items)
