"""Instruction data in the Alpaca shape: one reader for evaluation, training and stored responses alike.

A file is a JSON array or JSONL of {"instruction", "input"?, "output"?} with optional "id", "category", "split". Other
keys with short values (a difficulty, a source) are kept as the sample's metadata.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from judgekit.errors import DataError
from judgekit.records import Sample

Split = Literal["train", "test", "validation"]


class Item(NamedTuple):
    """One item: the sample, the JSON object it was read from, and where it stands ("item 3" or a line number)."""

    sample: Sample
    fields: dict[str, Any]
    place: str


def read_instructions(path: Path, split: Split | None = None) -> list[Item]:
    """The items of a file, or of one split of it, in file order.

    A split is the items' own `split` field where they have one; otherwise the book's: by file order, the first
    85 % train, the next 10 % test, the rest validation. An item without an id is known by a hash of what it asks,
    so that the same item has the same id in another file or split.
    Raises DataError with file and place: missing, empty, not JSON, a missing or ill-typed field, a duplicate id.
    """
    items = _with_ids(path, list(read_objects(path)))
    if split is None:
        return items
    if any("split" in item.fields for item in items):
        chosen = [item for item in items if item.fields.get("split") == split]
    else:
        chosen = list(book_split(items, split))
    if not chosen:
        raise DataError(f"has no item in the split {split!r}", path=path)
    return chosen


def book_split(items: Sequence[Item], split: Split) -> Sequence[Item]:
    """85 % train, 10 % test, 5 % validation by file order (LLMs from Scratch, chapter 7)."""
    train, test = int(len(items) * 0.85), int(len(items) * 0.1)
    return {"train": items[:train], "test": items[train : train + test], "validation": items[train + test :]}[split]


def read_objects(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """(place, object) of every item of a JSON array or JSONL file."""
    text = read_text(path)
    if not text.strip():
        raise DataError("is empty", path=path)
    if path.suffix == ".jsonl":
        values: list[tuple[str, Any]] = []
        for number, line in enumerate(text.split("\n"), start=1):  # the other line ends may stand within JSON
            if line.strip():
                values.append((f"line {number}", parse_json(line, path, first_line=number)))
    else:
        array = parse_json(text, path)
        if not isinstance(array, list):
            raise DataError(f"should be a JSON array of items, not {type(array).__name__}", path=path)
        values = [(f"item {number}", value) for number, value in enumerate(array, start=1)]
    if not values:
        raise DataError("has no items", path=path)
    for place, value in values:
        if not isinstance(value, dict):
            raise DataError(f"{place}: should be an object, not {type(value).__name__}", path=path)
        yield place, value


def read_text(path: Path) -> str:
    """A data file's text. Raises DataError where it cannot be read."""
    try:
        return path.read_text("utf-8")
    except FileNotFoundError:
        raise DataError("no such file", path=path) from None
    except UnicodeDecodeError as error:
        raise DataError(f"not UTF-8 text: {error.reason} at byte {error.start}", path=path) from None
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", path=path) from None


def parse_json(text: str, path: Path, first_line: int = 1) -> Any:
    """Strict JSON: NaN, infinities and a key twice in an object are refused. Raises DataError with the line."""
    try:
        return json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_refuse_twice)
    except json.JSONDecodeError as error:
        line = first_line + error.lineno - 1
        raise DataError(f"not JSON: {error.msg} (column {error.colno})", path=path, line=line) from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"not JSON: {error}", path=path, line=first_line) from None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")


def _refuse_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"{next(key for key in keys if keys.count(key) > 1)!r} is there twice in one object")
    return found


def _with_ids(path: Path, objects: Sequence[tuple[str, dict[str, Any]]]) -> list[Item]:
    items: list[Item] = []
    place_of: dict[str, str] = {}
    for place, fields in objects:
        instruction = _text(path, place, fields, "instruction", required=True)
        extra_input = _text(path, place, fields, "input") or ""
        reference = _text(path, place, fields, "output")
        given = fields.get("id")
        if given is not None and not (isinstance(given, str | int) and not isinstance(given, bool)):
            raise DataError(f"{place}: 'id' should be a string, not {type(given).__name__}", path=path)
        item_id = str(given) if given is not None else _content_id(fields, place_of)
        if item_id in place_of:
            raise DataError(f"{place}: the id {item_id!r} is already that of {place_of[item_id]}", path=path)
        place_of[item_id] = place
        sample = Sample(
            id=item_id,
            instruction=instruction or "",
            input=extra_input,
            reference=reference,
            category=_text(path, place, fields, "category"),
            metadata=labels_of(fields, _KNOWN),
        )
        items.append(Item(sample, fields, place))
    return items


_KNOWN = frozenset({"id", "instruction", "input", "output", "category", "split"})
LONGEST_LABEL = 200  # characters; a longer text is an answer or a document, not a label


def labels_of(fields: Mapping[str, Any], known: Collection[str]) -> dict[str, Any]:
    """What an item says of itself beyond the `known` keys: numbers, short texts, lists of them, and its own
    `metadata` as it is. A `metadata` that is no mapping counts as any other key."""
    inner = fields.get("metadata")
    own = inner if isinstance(inner, Mapping) else {}
    rest = {
        key: value
        for key, value in fields.items()
        if key not in known and not (key == "metadata" and inner is own) and _is_label(value)
    }
    return {**rest, **own}


def _is_label(value: Any) -> bool:
    if isinstance(value, list):
        return all(_is_label(one) and not isinstance(one, list) for one in value)
    return isinstance(value, int | float) or (isinstance(value, str) and len(value) <= LONGEST_LABEL)


def _text(path: Path, place: str, fields: dict[str, Any], key: str, *, required: bool = False) -> str | None:
    value = fields.get(key)
    if isinstance(value, str) and (value.strip() or not required):
        return value
    if value is None and not required:
        return None
    problem = f"no {key!r}" if value is None else f"{key!r} is empty" if value == "" else f"{key!r} is not a text"
    raise DataError(f"{place}: {problem}", path=path)


def content_id(fields: Mapping[str, Any]) -> str:
    """A hash of what the item asks, so that a file of answers or of labels alone matches."""
    content = json.dumps([fields.get(key) or "" for key in ("instruction", "input")])
    return hashlib.sha256(content.encode()).hexdigest()[:10]


def _content_id(fields: Mapping[str, Any], taken: Mapping[str, str]) -> str:
    """The item's content id; equal questions are counted."""
    digest = content_id(fields)
    unique, count = digest, 1
    while unique in taken:
        count += 1
        unique = f"{digest}-{count}"
    return unique
