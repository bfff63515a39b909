"""Instruction data: the noun for one item, and the two formats that hold one question and its answer.

Alpaca   {"instruction": "…", "input": "…", "output": "…"}
Dolly    {"instruction": "…", "context": "…", "response": "…", "category": "…"}

Either may have a "system" message, and fields of its own.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

from judgekit.data.json_files import Entry
from judgekit.errors import DataError
from judgekit.records import Sample
from judgekit.text import one_of

Split = Literal["train", "test", "validation"]


@dataclass(frozen=True, slots=True)
class Item:
    """One item of instruction data, whatever the format of its file. Equal items have equal content.

    `sample` holds the question and the answer: an instruction with its input and output (`reference`), or several
    turns, and the system message. `rest` holds the other fields as the file has them, the id and the category included;
    `marks` the other fields of each message of a conversation. `fields` is the whole object as it was read. `lost`
    names the parts that no item can hold.
    """

    sample: Sample
    rest: Mapping[str, Any] = field(default_factory=dict)
    marks: tuple[Mapping[str, Any], ...] = ()
    lost: tuple[str, ...] = field(default=(), compare=False)
    fields: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)
    entry: Entry = field(default=Entry(Path(), 0, 0, {}), compare=False, repr=False)
    format: str = field(default="", compare=False)

    @property
    def place(self) -> str:
        """The place in its file: "item 3", or "line 3" of JSONL."""
        return self.entry.place

    @property
    def line(self) -> int:
        """The line on which it begins in its file."""
        return self.entry.line

    def error(self, message: str) -> DataError:
        """The error that names the item's file and line."""
        return self.entry.error(message)


class Said(NamedTuple):
    """The content of an object in any format. `references` has one for each turn of the user, or None."""

    users: tuple[str, ...]
    references: tuple[str | None, ...]
    input: str = ""
    system: str = ""
    used: frozenset[str] = frozenset()  # the fields it came from
    marks: tuple[Mapping[str, Any], ...] = ()
    lost: tuple[str, ...] = ()


ALPACA = {"instruction": "instruction", "input": "input", "output": "output"}
DOLLY = {"instruction": "instruction", "input": "context", "output": "response"}


def written_at_once(item: Item, names: Mapping[str, str]) -> dict[str, Any]:
    """The item's first turn in the format's words, or its last one with those before it, if it came so. Without an
    answer the field of the output is left out."""
    sample = item.sample
    written: dict[str, Any] = {"system": sample.system} if sample.system else {}
    if sample.turns and item.format in ("alpaca", "dolly"):
        users = (sample.instruction, *sample.turns)
        written |= {"history": [list(pair) for pair in zip(users[:-1], sample.references[:-1], strict=True)]}
        written |= {names["instruction"]: users[-1], names["input"]: ""}
        answer = sample.references[-1]
    else:
        written |= {names["instruction"]: sample.instruction, names["input"]: sample.input}
        answer = sample.reference
    return written if answer is None else {**written, names["output"]: answer}


SPLITS: dict[str, Split] = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("test", "testing"), "test"),
    **dict.fromkeys(("validation", "valid", "val", "dev", "development", "eval"), "validation"),
}  # the words that files have for a split


def split_of(item: Item) -> Split:
    """The split that an item names. Raises DataError for one that names none, or in another word."""
    named = item.fields.get("split")
    if named is None or named == "":
        raise item.error("no 'split', which other items have: give it to all of them, or to none")
    word = str(named).strip().lower()
    if word not in SPLITS:
        raise item.error(f"no split is called {str(named)!r}{one_of(word, SPLITS)}")
    return SPLITS[word]


def in_split(items: Sequence[Item], split: Split, path: Path) -> list[Item]:
    """The items of one split: by their own `split` field where they have one; otherwise the book's.
    Raises DataError where there is none, and for an item without the field that others have."""
    if any(item.fields.get("split") not in (None, "") for item in items):
        chosen, why = [item for item in items if split_of(item) == split], ""
    else:
        chosen = list(book_split(items, split))
        why = f": too few items ({len(items)}) for 85/10/5 percent in file order, and none has a field 'split'"
    if not chosen:
        raise DataError(f"has no item in the split {split!r}{why}", path=path)
    return chosen


def book_split(items: Sequence[Item], split: Split) -> Sequence[Item]:
    """85 % train, 10 % test, 5 % validation by file order (LLMs from Scratch, chapter 7)."""
    sizes = split_sizes(len(items))
    train, test = sizes["train"], sizes["test"]
    return {"train": items[:train], "test": items[train : train + test], "validation": items[train + test :]}[split]


BOOK_SHARES = {"train": 0.85, "test": 0.1, "validation": 0.05}


def split_sizes(count: int, shares: Mapping[str, float] = BOOK_SHARES) -> dict[str, int]:
    """The sizes of the parts of `count` items: each has its share, rounded down; the last part gets the rest.

    It is the book's arithmetic: 1,100 items are 935, 110 and 55.
    """
    *names, last = shares
    sizes = {name: int(count * shares[name]) for name in names}
    return {**sizes, last: count - sum(sizes.values())}


def labels_of(fields: Mapping[str, Any], known: Collection[str]) -> dict[str, Any]:
    """The fields of an item beside the `known` keys, and its own `metadata` as it is: all that a prompt may show. A
    `metadata` that is not a mapping counts as any other key."""
    inner = fields.get("metadata")
    own = inner if isinstance(inner, Mapping) else {}
    rest = {
        key: value
        for key, value in fields.items()
        if key not in known and not (key == "metadata" and inner is own) and value is not None
    }
    return {**rest, **own}


def content_id(fields: Mapping[str, Any]) -> str:
    """A hash of the question, so that a file of answers or of labels alone matches."""
    return hash_of([fields.get(key) or "" for key in ("instruction", "input")])


def hash_of(texts: Sequence[str]) -> str:
    return hashlib.sha256(json.dumps(texts).encode()).hexdigest()[:10]
