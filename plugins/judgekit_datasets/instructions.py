"""`loader: instructions`: single questions in any format of instruction data: JSON, JSONL, CSV, Parquet."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from pydantic import Field

import judgekit
import judgekit.data


class InstructionOptions(judgekit.Options):
    """`format` (alpaca, dolly, sharegpt, messages) is seen from the items where it is not named; `mapping` says which
    of their fields is what: `{instruction: question, output: "answers[0]"}`."""

    path: str
    format: str | None = None
    split: judgekit.data.Split | None = None
    mapping: dict[str, str | judgekit.data.Constant] = Field(default_factory=dict)


class Instructions(judgekit.DataLoader):
    """Instruction items: Alpaca, Dolly, messages of one turn, or any table of questions."""

    Options: ClassVar[type[judgekit.Options]] = InstructionOptions
    options: InstructionOptions

    def inputs(self) -> list[Path]:
        return [self.path(self.options.path)]

    def load(self) -> Iterator[judgekit.Sample]:
        options = self.options
        items = judgekit.data.read_instructions(self.path(options.path), options.split, options.format, options.mapping)
        return (item.sample for item in items)
