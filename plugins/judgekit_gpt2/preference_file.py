"""Pairs of preferences as they stand in a file. No torch here: a config is checked with it."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import judgekit
import judgekit.data


class Preferred(NamedTuple):
    """An item, and its two responses."""

    item: judgekit.data.Item
    chosen: str
    rejected: str


def read_preferred(path: Path, split: judgekit.data.Split | None, format: str | None) -> list[Preferred]:
    """The pairs of one split (None: of all) of a file of single questions, in any format, with the fields `chosen` and
    `rejected`. Raises DataError for an item without two texts."""
    return [
        Preferred(item, _text(item, "chosen"), _text(item, "rejected"))
        for item in judgekit.data.read_instructions(path, split, format)
    ]


def _text(item: judgekit.data.Item, field: str) -> str:
    text = item.fields.get(field)
    if isinstance(text, str) and text.strip():
        return text
    fault = f"no {field!r}" if text is None else f"{field!r} is {'empty' if isinstance(text, str) else 'not a text'}"
    raise item.error(fault)
