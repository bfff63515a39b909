"""`backend: responses`: answers of files in the shapes that they come in, matched by id or by question."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import judgekit
from judgekit.records import Message, Request
from judgekit_responses.stored import StoredOptions, StoredResponses


def stored(folder: Path, items: list[dict[str, Any]], **options: Any) -> StoredResponses:
    (folder / "answers.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items), "utf-8")
    return StoredResponses(StoredOptions.model_validate({"path": "answers.jsonl", **options}), folder)


def said(backend: StoredResponses, sample_id: str, turn: int = 1) -> str:
    messages = tuple(Message(role=("user", "assistant")[number % 2], content="…") for number in range(2 * turn - 1))
    (reply,) = backend.generate([Request(messages=messages, sample_id=sample_id)])
    return reply.text or f"{reply.status}: {reply.detail}"


@pytest.mark.parametrize(
    ("item", "options"),
    [
        ({"id": "t0", "r": "Oak"}, {"field": "r"}),
        ({"id": "t0", "response": "Oak"}, {}),
        ({"question_id": "t0", "output": "Oak", "tokens": 7}, {}),
        ({"key": "t0", "answer": "Oak"}, {"mapping": {"id": "key"}}),
        ({"question_id": "t0", "choices": [{"index": 0, "turns": ["Oak"]}], "model_id": "m"}, {}),
        ({"id": "t0", "reply": {"text": "Oak"}}, {"field": "reply.text"}),
        ({"id": "t0", "instruction": "Name a tree.", "model_response": "Oak"}, {}),
        ({"id": "t0", "frage": "Name a tree.", "a": "Oak"}, {"field": "a", "mapping": {"instruction": "frage"}}),
        ({"id": "t0", "prompt": "Name a tree.", "completion": "Oak"}, {"field": "completion"}),
        ({"id": "t0", "messages": [{"role": "user", "content": "Tree?"}, {"role": "assistant", "content": "Oak"}]}, {}),
    ],
)
def test_answers_are_found(item: dict[str, Any], options: dict[str, Any], tmp_path: Path) -> None:
    backend = stored(tmp_path, [item], **options)
    assert not backend.check()
    assert set(backend.known_ids()) == {"t0"}
    assert said(backend, "t0") == "Oak"
    assert said(backend, "t1").startswith("error: ")


def test_answers_to_several_turns_by_id(tmp_path: Path) -> None:
    backend = stored(tmp_path, [{"question_id": 1, "choices": [{"turns": ["Oak", "Elm"]}]}])
    assert [said(backend, "1", turn) for turn in (1, 2)] == ["Oak", "Elm"]
    assert "not turn 3" in said(backend, "1", 3)


@pytest.mark.parametrize(
    ("items", "message"),
    [
        (
            [{"id": "a", "response": "x", "answer": "y"}],
            r"which of 'response', 'answer' is the answer\?",
        ),
        ([{"r": "x"}], r"no question and no id .*`mapping: \{id: NAME\}`"),
        ([{"id": "a", "response": "x"}, {"id": "a", "response": "y"}], "the id 'a' is already that of line 1"),
        ([{"id": "a", "response": 7}], "'response' is not a text"),
        ([{"id": "a", "other": "x"}], "no item has the field 'model_response'"),
    ],
)
def test_what_cannot_be_told_is_found_before_any_call(
    items: list[dict[str, Any]], message: str, tmp_path: Path
) -> None:
    (problem,) = stored(tmp_path, items).check()
    with pytest.raises(judgekit.UsageError, match=message):
        raise judgekit.UsageError(problem.message)


def test_columns_of_one_file_are_systems(tmp_path: Path) -> None:
    (tmp_path / "wide.csv").write_text('prompt;model_a;model_b\nName a tree;Oak;Fir\n"A ""big"" town";Paris;Ulm\n')
    systems = {
        name: StoredResponses(StoredOptions(path="wide.csv", field=name), tmp_path) for name in ("model_a", "model_b")
    }
    ids = [list(system.known_ids()) for system in systems.values()]
    assert ids[0] == ids[1]
    assert [[said(system, one) for one in ids[0]] for system in systems.values()] == [["Oak", "Paris"], ["Fir", "Ulm"]]
    identities = {json.dumps(system.identity()) for system in systems.values()}
    assert len(identities) == 2
