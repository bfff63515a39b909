"""`loader: instructions`: single questions in any format of instruction data: JSON, JSONL, CSV, Parquet."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

import judgekit
import judgekit.data


class InstructionOptions(judgekit.Options):
    """`format` (alpaca, dolly, sharegpt, messages) is seen from the items where it is not named; `mapping` says which
    of their fields is what: `{instruction: question, output: "answers[0]"}`. `on_bad_row: skip` leaves out what cannot
    be read, and says so."""

    path: str
    format: str | None = None
    split: judgekit.data.Split | None = None
    mapping: dict[str, str | judgekit.data.Constant] = Field(default_factory=dict)
    on_bad_row: Literal["error", "skip"] = "error"


class Instructions(judgekit.DataLoader):
    """Instruction items: Alpaca, Dolly, messages of one turn, or any table of questions."""

    Options: ClassVar[type[judgekit.Options]] = InstructionOptions
    options: InstructionOptions

    def inputs(self) -> list[Path]:
        return [self.path(self.options.path)]

    def load(self) -> Iterator[judgekit.Sample]:
        options, bad = self.options, list[judgekit.DataError]()
        path, skips = self.path(options.path), options.on_bad_row == "skip"
        items = judgekit.data.read_instructions(
            path, options.split, options.format, options.mapping, bad=bad if skips else None
        )
        if bad:
            said = "; ".join(f"{Path(error.place).name}: {error.message}" for error in bad[:_SHOWN])
            more = f"; and {len(bad) - _SHOWN} more" if len(bad) > _SHOWN else ""
            print(f"{path.name}: {judgekit.counted(len(bad), 'row')} left out: {said}{more}", file=sys.stderr)
        return (item.sample for item in items)


_SHOWN = 5  # rows that are named
