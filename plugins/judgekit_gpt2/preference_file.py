"""Pairs of preferences as they stand in a file. No torch here: a config is checked with it."""

from __future__ import annotations

from pathlib import Path

import judgekit
import judgekit.data


def read_preferred(
    path: Path, split: judgekit.data.Split | None, format: str | None
) -> list[tuple[judgekit.data.Item, str, str]]:
    """Items with their two responses: one split (None: all) of a file of single questions, in any format, with the
    fields `chosen` and `rejected`. Raises DataError for an item without two texts."""
    return [
        (item, _text(item, "chosen"), _text(item, "rejected"))
        for item in judgekit.data.read_instructions(path, split, format)
    ]


def _text(item: judgekit.data.Item, field: str) -> str:
    text = item.fields.get(field)
    if isinstance(text, str) and text.strip():
        return text
    fault = f"no {field!r}" if text is None else f"{field!r} is {'empty' if isinstance(text, str) else 'not a text'}"
    raise item.error(fault)
