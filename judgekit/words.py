"""Words for numbers, in what people read."""

from __future__ import annotations


def counted(count: int, noun: str, plural: str = "") -> str:
    """1 item, 2 items, 12,345 items; `plural` is that of a noun that takes more than an s."""
    return f"{count:,} {noun if count == 1 else plural or f'{noun}s'}"
