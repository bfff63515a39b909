"""The fact tables and the small words around a fact: articles, capitals at the start, numbers in words."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

FACTS = Path(__file__).resolve().parents[1] / "facts"


@cache
def table(name: str) -> Any:
    """The table `facts/<name>.json`."""
    return json.loads((FACTS / f"{name}.json").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Case:
    """One fact (or one sentence to rewrite) of a task.

    group: cases that give each other away (hot/cold and cold/hot) share a group; of a group with a held-out case no
        other case is asked anywhere.
    slots: what the task's templates name; every slot is also there with a capital first letter, under a capital name.
    """

    group: str
    slots: Mapping[str, str]

    @staticmethod
    def of(group: str, **slots: str) -> Case:
        capitals = {capital(name): capital(value) for name, value in slots.items()}
        return Case(group, {**slots, **capitals})

    def fill(self, template: str) -> str:
        return template.format_map(self.slots)


@dataclass(frozen=True)
class Task:
    """One kind of task as `facts/tasks.json` describes it.

    kind: "recall" (the answer is a fact that the pretraining text states) or "pattern" (the answer is a rewriting of
    an input that the pretraining text never contains).
    wordings: split to instruction templates; "instruction | input" where the item has an input.
    """

    name: str
    category: str
    kind: str
    items: Mapping[str, int]
    output: str
    statements: tuple[str, ...]
    wordings: Mapping[str, tuple[str, ...]]


SPLITS = ("train", "validation", "test")


def tasks() -> list[Task]:
    return [
        Task(
            name,
            entry["category"],
            entry["kind"],
            entry["items"],
            entry["output"],
            tuple(entry["statements"]),
            {split: tuple(entry[split]) for split in SPLITS},
        )
        for name, entry in table("tasks").items()
    ]


def capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def with_article(noun: str) -> str:
    """The noun after a or an. The tables hold no noun whose first sound is not that of its first letter, bar u-."""
    vowel = re.match(r"[aeio]|u(?!ni)", noun) is not None
    return f"{'an' if vowel else 'a'} {noun}"


def in_words(number: int) -> str:
    """0 <= number < 100 in English words."""
    words = table("numbers")
    if number < 20:
        return str(words["units"][number])
    tens, units = divmod(number, 10)
    ten = str(words["tens"][str(10 * tens)])
    return ten if units == 0 else f"{ten}-{words['units'][units]}"
