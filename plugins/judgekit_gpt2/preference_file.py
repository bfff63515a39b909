"""Pairs of preferences as they stand in a file. No torch here: a config is checked with it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import judgekit
import judgekit.data


class Preferred(NamedTuple):
    """An item, and its two responses."""

    item: judgekit.data.Item
    chosen: str
    rejected: str


def read_preferred(
    path: Path,
    split: judgekit.data.Split | None,
    format: str | None,
    mapping: judgekit.data.FieldMapping | None = None,
) -> list[Preferred]:
    """The pairs of one split (None: of all) of a file of single questions, in any format, with the fields `chosen` and
    `rejected`: texts, or messages that end with the response. Raises DataError for an item without two texts."""
    return [
        Preferred(item, _text(item, "chosen"), _text(item, "rejected"))
        for item in judgekit.data.read_instructions(path, split, format, mapping, _with_texts)
    ]


def _with_texts(entry: judgekit.data.Entry) -> judgekit.data.Entry:
    """The object with texts for its two responses, and one list of the messages before them. As messages, a response is
    one of them (beside the conversation), or ends a list that may begin with the conversation."""
    pair = [entry.fields.get(name) for name in ("chosen", "rejected")]
    if not all(isinstance(one, list | dict) for one in pair):
        return entry
    talks: list[list[Any]] = [one if isinstance(one, list) else [one] for one in pair]
    if not all(talk and all(isinstance(message, dict) for message in talk) for talk in talks):
        raise entry.error("'chosen' and 'rejected' are texts, or messages")
    before = [talk[:-1] for talk in talks]
    if before[0] != before[1]:
        raise entry.error("'chosen' and 'rejected' are not two responses to the same messages")
    fields = dict(entry.fields)
    key = next((name for name in ("messages", "conversations", "conversation") if name in fields), "messages")
    asked = fields.pop("prompt", None) if isinstance(fields.get("prompt"), list) else fields.get(key)
    if asked is None and "prompt" in fields and not before[0]:
        asked = [{"role": "user", "content": fields.pop("prompt")}]
    fields[key] = [*(asked or []), *before[0]]
    if not fields[key]:
        raise entry.error("no question before 'chosen' and 'rejected': a 'prompt', or messages")
    for name, talk in zip(("chosen", "rejected"), talks, strict=True):
        fields[name] = talk[-1].get("content", talk[-1].get("value"))
    return replace(entry, fields=fields)


def _text(item: judgekit.data.Item, field: str) -> str:
    text = item.fields.get(field)
    if isinstance(text, str) and text.strip():
        return text
    fault = f"no {field!r}" if text is None else f"{field!r} is {'empty' if isinstance(text, str) else 'not a text'}"
    raise item.error(fault)
