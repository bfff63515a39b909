"""What the tests of the quickstart's example data share: the committed files, and the tables they are made from."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

QUICKSTART = Path(__file__).resolve().parents[3] / "examples" / "quickstart"

Item = dict[str, str]


@pytest.fixture(scope="session")
def quickstart() -> Path:
    return QUICKSTART


@pytest.fixture(scope="session")
def items() -> list[Item]:
    rows: list[Item] = json.loads((QUICKSTART / "data" / "instructions.json").read_text(encoding="utf-8"))
    return rows


@pytest.fixture(scope="session")
def pretrain() -> str:
    return (QUICKSTART / "data" / "pretrain.txt").read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def table() -> Callable[[str], Any]:
    return lambda name: json.loads((QUICKSTART / "facts" / f"{name}.json").read_text(encoding="utf-8"))


def _pattern(template: str) -> re.Pattern[str]:
    """The template as a regular expression; a slot's second occurrence must repeat its first."""
    seen: set[str] = set()
    out = ""
    for literal, slot in re.findall(r"([^{]*)(?:\{(\w+)\})?", template):
        out += re.escape(literal)
        if slot:
            out += f"(?P={slot})" if slot in seen else f"(?P<{slot}>.+)"
            seen.add(slot)
    return re.compile(out)


@pytest.fixture(scope="session")
def asked(table: Callable[[str], Any]) -> Callable[[Item, str], list[dict[str, str]]]:
    """asked(item, split): the slot values of the item under each wording of its task in that split that fits it."""
    patterns = {
        (task, split): [_pattern(wording) for wording in entry[split]]
        for task, entry in table("tasks").items()
        for split in ("train", "validation", "test")
    }

    def find(item: Item, split: str) -> list[dict[str, str]]:
        said = f"{item['instruction']} | {item['input']}" if item["input"] else item["instruction"]
        task = item["id"].rpartition("-")[0]
        matches = [pattern.fullmatch(said) for pattern in patterns[task, split]]
        return [match.groupdict() for match in matches if match]

    return find


@pytest.fixture(scope="session")
def of_task(
    items: list[Item], asked: Callable[[Item, str], list[dict[str, str]]]
) -> Callable[[str], list[tuple[dict[str, str], str]]]:
    """of_task(name): (what is asked, the given output) of every item of the task; never empty."""

    def collect(name: str) -> list[tuple[dict[str, str], str]]:
        rows = [item for item in items if item["id"].rpartition("-")[0] == name]
        assert rows, f"no item of {name}"
        out = []
        for item in rows:
            (slots,) = asked(item, item["split"])
            out.append((slots, item["output"]))
        return out

    return collect
