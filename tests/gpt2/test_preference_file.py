"""Pairs of preferences in the shapes that trainers' files have."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import judgekit
from judgekit_gpt2.preference_file import read_preferred

ASKED = {"role": "user", "content": "Name a tree."}
GOOD, BAD = {"role": "assistant", "content": "Oak"}, {"role": "assistant", "content": "Stone"}


def read(folder: Path, item: dict[str, Any], **mapping: str) -> list[tuple[str, str, str, str]]:
    (folder / "pairs.jsonl").write_text(json.dumps(item))
    pairs = read_preferred(folder / "pairs.jsonl", None, None, mapping)
    return [(one.item.sample.system, one.item.sample.instruction, one.chosen, one.rejected) for one in pairs]


@pytest.mark.parametrize(
    ("item", "mapping"),
    [
        ({"instruction": "Name a tree.", "chosen": "Oak", "rejected": "Stone"}, {}),
        ({"prompt": "Name a tree.", "chosen": "Oak", "rejected": "Stone"}, {}),
        ({"q": "Name a tree.", "chosen": "Oak", "rejected": "Stone"}, {"instruction": "q"}),
        ({"chosen": [ASKED, GOOD], "rejected": [ASKED, BAD]}, {}),
        ({"prompt": "Name a tree.", "chosen": [ASKED, GOOD], "rejected": [ASKED, BAD]}, {}),
        ({"prompt": [ASKED], "chosen": [GOOD], "rejected": [BAD]}, {}),
        ({"prompt": "Name a tree.", "chosen": [GOOD], "rejected": [BAD]}, {}),
        ({"messages": [ASKED], "chosen": GOOD, "rejected": BAD}, {}),
        (
            {
                "conversations": [{"from": "human", "value": "Name a tree."}],
                "chosen": {"from": "gpt", "value": "Oak"},
                "rejected": {"from": "gpt", "value": "Stone"},
            },
            {},
        ),
    ],
)
def test_pairs_are_read(item: dict[str, Any], mapping: dict[str, str], tmp_path: Path) -> None:
    assert read(tmp_path, item, **mapping) == [("", "Name a tree.", "Oak", "Stone")]


def test_a_system_message_comes_along(tmp_path: Path) -> None:
    system = {"role": "system", "content": "Be brief."}
    item = {"chosen": [system, ASKED, GOOD], "rejected": [system, ASKED, BAD]}
    assert read(tmp_path, item) == [("Be brief.", "Name a tree.", "Oak", "Stone")]


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (
            {"chosen": [ASKED, GOOD], "rejected": [{**ASKED, "content": "Name a stone."}, BAD]},
            "not two responses to the same",
        ),
        ({"chosen": [GOOD], "rejected": [BAD]}, "no question before 'chosen' and 'rejected'"),
        ({"chosen": [ASKED, GOOD, ASKED, GOOD], "rejected": [ASKED, GOOD, ASKED, BAD]}, "a conversation of 2 turns"),
        ({"prompt": "Name a tree.", "chosen": "Oak"}, "no 'rejected'"),
        ({"prompt": "Name a tree.", "chosen": ["Oak"], "rejected": ["Stone"]}, "are texts, or messages"),
        ({"prompt": "Name a tree.", "chosen": "Oak", "rejected": " "}, "'rejected' is"),
    ],
)
def test_what_is_no_pair_is_an_error_with_its_line(item: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(judgekit.DataError, match=rf"pairs\.jsonl:1: .*{message}"):
        read(tmp_path, item)
