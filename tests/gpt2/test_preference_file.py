"""Pairs of preferences in the shapes that trainers' files have."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import judgekit
from judgekit.data import TrainingDataOptions
from judgekit_gpt2.preference_file import Preferred, read_preferred

ASKED = {"role": "user", "content": "Name a tree."}
GOOD, BAD = {"role": "assistant", "content": "Oak"}, {"role": "assistant", "content": "Stone"}


def preferred(folder: Path, *items: dict[str, Any], ignore: tuple[str, ...] = (), **mapping: str) -> list[Preferred]:
    path = folder / "pairs.jsonl"
    path.write_text("".join(json.dumps(item) + "\n" for item in items))
    options = TrainingDataOptions(data=str(path), mapping=mapping, ignore_marks=ignore)
    return read_preferred(path, options, None)


def read(folder: Path, item: dict[str, Any], **mapping: str) -> list[tuple[str, str, str, str]]:
    pairs = preferred(folder, item, **mapping)
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
            {"question": "Name a tree.", "answer": "Elm", "good": "Oak", "bad": "Stone"},
            {"chosen": "good", "rejected": "bad"},
        ),
        (
            {"question": "Name a tree.", "answers": [{"text": "Oak"}, {"text": "Stone"}]},
            {"chosen": "answers[0].text", "rejected": "answers[-1].text"},
        ),
        ({"prompt": "Name a tree.", "good": [GOOD], "bad": [BAD]}, {"chosen": "good", "rejected": "bad"}),
        ({"question": "Name a tree.", "answer": "Elm", "chosen": "Oak", "rejected": "Stone"}, {}),
        (
            {
                "chosen": "\n\nHuman: Name a tree.\n\nAssistant: Oak",
                "rejected": "\n\nHuman: Name a tree.\n\nAssistant: Stone",
            },
            {},
        ),
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
        ({"chosen": [ASKED, GOOD, ASKED], "rejected": [ASKED, GOOD, ASKED]}, "'chosen' does not end with a message of"),
        ({"messages": [ASKED, GOOD], "chosen": "Elm", "rejected": "Stone"}, "neither 'chosen' nor 'rejected'"),
        ({"turns": ["Name a tree.", "Another."], "chosen": "Oak", "rejected": "Stone"}, "turn 1 has no answer"),
        ({"prompt": "Name a tree.", "chosen": "Oak"}, "no 'rejected'.*mapping: {chosen: NAME, rejected: NAME}"),
        ({"prompt": "Name a tree.", "chosen": ["Oak"], "rejected": ["Stone"]}, "are texts, or messages"),
        ({"prompt": "Name a tree.", "chosen": "Oak", "rejected": " "}, "'rejected' is"),
    ],
)
def test_what_is_no_pair_is_an_error_with_its_line(item: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(judgekit.DataError, match=rf"pairs\.jsonl:1: .*{message}"):
        read(tmp_path, item)


TURNS = [ASKED, {"role": "assistant", "content": "Elm"}, {"role": "user", "content": "Another."}]


@pytest.mark.parametrize(
    "item",
    [
        {"chosen": [*TURNS, GOOD], "rejected": [*TURNS, BAD]},
        {"prompt": TURNS, "chosen": [GOOD], "rejected": [BAD]},
        {"messages": TURNS, "chosen": GOOD, "rejected": BAD},
        {"messages": TURNS, "chosen": "Oak", "rejected": "Stone"},
        {"messages": [*TURNS, GOOD], "chosen": "Oak", "rejected": "Stone"},
        {
            "instruction": "Another.",
            "history": [["Name a tree.", "Elm"]],
            "chosen": "Oak",
            "rejected": "Stone",
        },
        {
            "chosen": "\n\nHuman: Name a tree.\n\nAssistant: Elm\n\nHuman: Another.\n\nAssistant: Oak",
            "rejected": "\n\nHuman: Name a tree.\n\nAssistant: Elm\n\nHuman: Another.\n\nAssistant: Stone",
        },
    ],
)
def test_a_pair_may_end_several_turns(item: dict[str, Any], tmp_path: Path) -> None:
    pair = preferred(tmp_path, item)[0]
    assert pair.sample(pair.chosen).references == ("Elm", "Oak")
    assert pair.sample(pair.rejected).references == ("Elm", "Stone")
    assert (pair.sample("x").instruction, pair.sample("x").turns) == ("Name a tree.", ("Another.",))


def test_the_advice_works_when_it_is_typed_in(tmp_path: Path) -> None:
    item = {"q": "Name a tree.", "good": "Oak", "bad": "Stone"}
    with pytest.raises(judgekit.DataError, match=r"a mapping such as instruction=NAME"):
        read(tmp_path, item)
    with pytest.raises(judgekit.DataError, match=r"mapping: {chosen: NAME, rejected: NAME}"):
        read(tmp_path, item, instruction="q")
    assert read(tmp_path, item, instruction="q", chosen="good", rejected="bad") == [
        ("", "Name a tree.", "Oak", "Stone")
    ]


def test_pairs_that_are_marked_are_left_out_aloud(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pairs = [{"prompt": f"{number}?", "chosen": "Oak", "rejected": "Stone"} for number in range(3)]
    pairs[1] |= {"weight": 0}
    assert [pair.item.sample.instruction for pair in preferred(tmp_path, *pairs)] == ["0?", "2?"]
    assert "pairs.jsonl: 1 of 3 pairs are marked as not to be learnt" in capsys.readouterr().err
    assert len(preferred(tmp_path, *pairs, ignore=("weight",))) == 3
