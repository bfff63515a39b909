"""Writing of items as objects and files of any format, with the fields that are lost on the way."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from judgekit.data.formats import FORMATS, format_named, item_of
from judgekit.data.items import Item
from judgekit.data.json_files import LINES, Entry
from judgekit.errors import UsageError
from judgekit.files import write_atomically


@dataclass(frozen=True)
class DroppedField:
    """A field that a format cannot hold: the number of items with it, and the first of them."""

    field: str
    count: int
    first: Item


def objects_of(items: Sequence[Item], format: str) -> tuple[list[dict[str, Any]], list[DroppedField]]:
    """The items as a format's objects, and all that is lost on the way: each object is read again and compared with
    its item. Raises UsageError for a format that is only read."""
    name = format_named(format)
    write = FORMATS[name].write
    if write is None:
        raise UsageError(f"{FORMATS[name].title} can be read, and not written")
    lost: Counter[str] = Counter()
    first: dict[str, Item] = {}
    objects = []
    for item in items:
        written = write(item)
        ids = {key: item.rest[key] for key in FORMATS[name].ids if key in item.rest and key not in written}
        whole = {**ids, **written, **{key: value for key, value in item.rest.items() if key not in written}}
        objects.append(whole)
        again = item_of(Entry(item.entry.path, item.entry.number, item.line, whole), name, {})
        for field in dict.fromkeys((*item.lost, *_differing(item, again))):
            lost[field] += 1
            first.setdefault(field, item)
    return objects, [DroppedField(field, count, first[field]) for field, count in lost.items()]


def write_items(path: Path, items: Sequence[Item], format: str, *, lossy: bool = False) -> list[DroppedField]:
    """Write items in a format: JSONL if the file's name ends so, else a JSON array. Returns what was lost.
    Raises DataError, unless `lossy`, if something would be; nothing is written then. StorageError if it cannot be."""
    objects, losses = objects_of(items, format)
    if losses and not lossy:
        one = losses[0]
        raise one.first.error(
            f"{FORMATS[format_named(format)].title} cannot hold {', '.join(loss.field for loss in losses)}"
        )
    write_objects(path, objects)
    return losses


def write_objects(path: Path, objects: Sequence[Mapping[str, Any]]) -> None:
    """Write JSON objects, as JSONL or as an array by the file's name; whole or not at all. Raises StorageError."""
    if path.suffix in LINES:
        text = "".join(f"{_json(one)}\n" for one in objects)
    else:
        indented = [_json(one, indent=2).replace("\n", "\n  ") for one in objects]
        text = "[\n  " + ",\n  ".join(indented) + "\n]\n" if indented else "[]\n"
    write_atomically(path, text.encode())


def _json(value: Mapping[str, Any], indent: int | None = None) -> str:
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, indent=indent)
    try:
        text.encode()
    except UnicodeEncodeError:  # half of a character, which only an escape can spell
        text = json.dumps(value, allow_nan=False, indent=indent)
    return text


def _differing(item: Item, again: Item) -> Iterator[str]:
    """The fields in which an item differs from what was read again."""
    mine, theirs = _content(item), _content(again)
    yield from (key for key in {**mine, **theirs} if mine.get(key) != theirs.get(key))


def _content(item: Item) -> dict[str, Any]:
    """The content of an item, by names for people."""
    sample = item.sample
    content: dict[str, Any] = {
        "instruction": sample.instruction,
        "input": sample.input or None,
        "output": sample.reference,
        "system": sample.system or None,
        "turns after the first": (sample.turns, sample.references[1:]) if sample.turns else None,
    }
    for number, mark in enumerate(item.marks):
        for key, value in mark.items():
            content.setdefault(f"{key!r} of messages", []).append((number, value))
    return content | {f"the field {key!r}": value for key, value in item.rest.items()}
