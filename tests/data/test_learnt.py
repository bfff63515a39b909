"""What of an item is learnt: marks on items and messages, and `learn`."""

import json
from pathlib import Path
from typing import Any

import pytest

from judgekit.data import TrainingDataOptions, read_answered, read_items, read_learnt
from judgekit.errors import DataError


def _talk(*marks: dict[str, Any], system: bool = False, **beside: Any) -> dict[str, Any]:
    """A conversation whose answers have these marks."""
    head = [{"role": "system", "content": "S"}] if system else []
    turns = [
        message
        for number, mark in enumerate(marks)
        for message in (
            {"role": "user", "content": f"q{number}?"},
            {"role": "assistant", "content": f"a{number}", **mark},
        )
    ]
    return {"messages": [*head, *turns], **beside}


def _read(tmp_path: Path, *objects: dict[str, Any], ignore: tuple[str, ...] = (), **given: Any) -> list[Any]:
    path = tmp_path / "x.jsonl"
    path.write_text("".join(json.dumps(one) + "\n" for one in objects))
    options = TrainingDataOptions(data=str(path), ignore_marks=ignore)
    return [one.learnt for one in read_learnt(path, options, None, **given)]


OTHER = {"instruction": "Other?", "output": "Yes."}
NOT = [
    *({name: 0} for name in ("weight", "loss_weight", "loss", "loss_scale", "sample_weight")),
    *({name: False} for name in ("train", "training", "trainable", "learn", "label", "kto_tag", "desirable")),
    *({"weight": value} for value in (0.0, False, "0", "false", "0.0")),
    *({"train": value} for value in (0, "False", "FALSE")),
    *({name: value} for name in ("masked", "exclude", "ignore") for value in (True, 1, "true")),
    *({"Weight": 0}, {"TRAIN": False}),
]


@pytest.mark.parametrize("mark", NOT, ids=json.dumps)
def test_what_is_marked_as_not_to_be_learnt_is_not(mark: dict[str, Any], tmp_path: Path) -> None:
    item = {"instruction": "Q?", "output": "A.", **mark}
    assert _read(tmp_path, item, OTHER) == [(True,)], "the item"
    assert _read(tmp_path, _talk({}, {}, **mark), _talk({})) == [(True,)], "the conversation"
    assert _read(tmp_path, _talk(mark, {})) == [(False, True)], "the message"
    assert _read(tmp_path, _talk({}, mark, system=True)) == [(True, False)]
    assert _read(tmp_path, {**_talk(mark, {}), "system": "S"}) == [(False, True)], "the system message beside"
    share = {"conversations": [{"from": "human", "value": "Q?"}, {"from": "gpt", "value": "A.", **mark}]}
    assert _read(tmp_path, share, _talk({})) == [(True,)]
    with pytest.raises(DataError, match=r"x\.jsonl: its marks leave nothing to learn"):
        _read(tmp_path, item)
    path = tmp_path / "x.jsonl"
    assert read_items(path), "it may be tested all the same"
    with pytest.raises(DataError, match=rf"x\.jsonl:1: '{next(iter(mark))}' says that it is not to be learnt"):
        read_answered(path)


@pytest.mark.parametrize(
    "mark",
    [
        *({name: 1} for name in ("weight", "loss_weight", "train", "loss")),
        *({name: True} for name in ("train", "label", "kto_tag")),
        *({name: None} for name in ("weight", "train", "label", "mask", "loss_mask")),
        *({"label": value} for value in ("positive", 3, "", ["a"], "no")),
        *({"train": "Intercity 125"}, {"weight": "light"}, {"masked": False}, {"exclude": 0}),
        {"category": "weight", "trains": False, "unloss": 0},
    ],
    ids=json.dumps,
)
def test_what_is_no_mark_or_lets_it_be_learnt(mark: dict[str, Any], tmp_path: Path) -> None:
    assert _read(tmp_path, {"instruction": "Q?", "output": "A.", **mark}) == [(True,)]
    assert _read(tmp_path, _talk(mark, mark)) == [(True, True)]
    assert read_answered(tmp_path / "x.jsonl")


@pytest.mark.parametrize(
    "mark",
    [
        *({"weight": value} for value in (0.5, 2, -1, [0, 1], {"a": 1})),
        *({"label": value} for value in (0, -1, 0.0, "False", "0")),
        *({name: [0, 1]} for name in ("mask", "loss_mask", "train_detail", "train")),
    ],
    ids=json.dumps,
)
def test_a_mark_that_cannot_be_obeyed_is_refused_and_the_advice_works(mark: dict[str, Any], tmp_path: Path) -> None:
    key = next(iter(mark))
    item = {"instruction": "Q?", "output": "A.", **mark}
    with pytest.raises(DataError, match=rf"x\.jsonl:1: '{key}' is .*'ignore_marks: \[{key}\]'"):
        _read(tmp_path, item)
    assert _read(tmp_path, item, ignore=(key,)) == [(True,)]
    with pytest.raises(DataError, match=rf"x\.jsonl:1: message 4: '{key}' is "):
        _read(tmp_path, _talk({}, mark))
    with pytest.raises(DataError, match=rf"x\.jsonl:1: message 4: '{key}' is "):
        _read(tmp_path, {**_talk({}, mark), "system": "S"})


def test_what_is_marked_is_counted_aloud(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _read(tmp_path, _talk({}, {"weight": 0}), _talk({}, label=False), _talk({}, id=3))
    _read(tmp_path, _talk({}, {"weight": 0}), _talk({}, label=False), _talk({}, id=3))
    assert capsys.readouterr().err == "x.jsonl: 2 of 4 answers are marked as not to be learnt\n", "once"


def test_the_last_answer_alone(tmp_path: Path) -> None:
    talks = [_talk({}, {}, {}), _talk({}), _talk({}, {"weight": 0})]
    assert _read(tmp_path, *talks, learn="last") == [(False, False, True), (True,)]


def test_marks_on_prompts_count_where_prompts_are_learnt(tmp_path: Path) -> None:
    talk = _talk({})
    talk["messages"][0]["train"] = False
    assert _read(tmp_path, talk) == [(True,)]
    with pytest.raises(DataError, match=r"x\.jsonl:1: message 1: 'train' says not to learn it, and 'mask_prompt"):
        _read(tmp_path, talk, prompts=True)
