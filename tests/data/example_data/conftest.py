"""What the tests of the quickstart's example data share: the committed files, and the tables they are made from."""

import json
import re
from pathlib import Path

import pytest

QUICKSTART = Path(__file__).resolve().parents[3] / "examples" / "quickstart"

Item = dict[str, str]


@pytest.fixture(scope="session")
def quickstart():
    return QUICKSTART


@pytest.fixture(scope="session")
def items():
    rows: list[Item] = json.loads((QUICKSTART / "data" / "instructions.json").read_text(encoding="utf-8"))
    return rows


@pytest.fixture(scope="session")
def pretrain():
    return (QUICKSTART / "data" / "pretrain.txt").read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def table():
    return lambda name: json.loads((QUICKSTART / "facts" / f"{name}.json").read_text(encoding="utf-8"))


def _pattern(template):
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
def asked(table):
    """asked(item, split): the slot values of the item under each wording of its task in that split that fits it."""
    patterns = {
        (task, split): [_pattern(wording) for wording in entry[split]]
        for task, entry in table("tasks").items()
        for split in ("train", "validation", "test")
    }

    def find(item, split):
        said = f"{item['instruction']} | {item['input']}" if item["input"] else item["instruction"]
        task = item["id"].rpartition("-")[0]
        matches = [pattern.fullmatch(said) for pattern in patterns[task, split]]
        return [match.groupdict() for match in matches if match]

    return find


@pytest.fixture(scope="session")
def of_task(items, asked):
    """of_task(name): (what is asked, the given output) of every item of the task; never empty."""

    def collect(name):
        rows = [item for item in items if item["id"].rpartition("-")[0] == name]
        assert rows, f"no item of {name}"
        out = []
        for item in rows:
            (slots,) = asked(item, item["split"])
            out.append((slots, item["output"]))
        return out

    return collect
