"""Files in the shapes that people have: read at the first try, or refused with advice that works when typed in."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from judgekit.data import Constant, read_instructions, read_items
from judgekit.errors import DataError, UsageError

Q, A = "Name a tree.", "Oak"
MESSAGES = [{"role": "user", "content": Q}, {"role": "assistant", "content": A}]
TURNS = [{"from": "human", "value": Q}, {"from": "gpt", "value": A}]

# What public files look like: of one item each, whose question is Q and whose answer A.
READ: dict[str, dict[str, Any]] = {
    "Alpaca": {"instruction": Q, "input": "", "output": A},
    "Alpaca with a text": {"instruction": Q, "input": "", "output": A, "text": "Below is an instruction"},
    "Dolly": {"instruction": Q, "context": "", "response": A, "category": "open_qa"},
    "ShareGPT": {"id": "x", "conversations": TURNS},
    "ShareGPT by the singular": {"conversation": TURNS},
    "OpenAI messages": {"messages": MESSAGES},
    "OpenAI fine-tuning of old": {"prompt": Q, "completion": A},
    "OpenAI evals": {"input": Q, "ideal": A},
    "question and answer": {"question": Q, "answer": A},
    "GSM8K": {"question": Q, "answer": A},
    "prompt and response": {"prompt": Q, "response": A},
    "query and response": {"query": Q, "response": A},
    "query and reference": {"query": Q, "reference": A, "source": "web"},
    "prompt and target": {"prompt": Q, "target": A},
    "problem and solution": {"problem": Q, "solution": A, "level": "3"},
    "DPO": {"prompt": Q, "chosen": A, "rejected": "A stone"},
    "UltraFeedback's columns": {"prompt": Q, "prompt_id": "p7", "chosen": A, "rejected": "A stone", "score_chosen": 8},
    "Orca": {"system_prompt": "Be brief.", "question": Q, "response": A},
    "Open-Platypus": {"input": "", "output": A, "instruction": Q, "data_source": "x"},
    "RAG": {"question": Q, "contexts": ["An oak is a tree."], "ground_truth": A},
    "promptfoo's vars": {"prompt": Q, "expected": A, "vars": {"a": 1}},
    "MT-Bench without references": {"question_id": 81, "category": "writing", "turns": [Q]},
    "arena": {"question_id": "q1", "prompt": Q, "cluster": "c"},
    "wide": {"prompt": Q, "model_a": "Oak", "model_b": "Fir"},
    "with a number": {"question": Q, "answer": A, "id": 7},
}
# Those that need a word: the mapping that reads them.
MAPPED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "other names": ({"frage": Q, "antwort": A}, {"instruction": "frage", "output": "antwort"}),
    "two answers": ({"question": Q, "answer": A, "response": "Fir"}, {"output": "answer"}),
    "two questions": ({"prompt": Q, "question": "Tree?", "answer": A}, {"instruction": "prompt"}),
    "SQuAD": ({"question": Q, "answers": {"text": [A], "start": [0]}}, {"output": "answers.text[0]"}),
    "TriviaQA": ({"question": Q, "answer": {"value": A, "aliases": []}}, {"output": "answer.value"}),
    "nested": ({"data": {"q": Q, "a": [A]}}, {"instruction": "data.q", "output": "data.a[-1]"}),
    "the last message": (
        {"chat": [{"role": "user", "content": Q}, {"role": "assistant", "content": A}]},
        {"instruction": "chat[0].content", "output": "chat[-1].content"},
    ),
    "messages by another name": ({"chat": MESSAGES}, {"messages": "chat"}),
    "messages by other keys": (
        {"messages": [{"speaker": "user", "said": Q}, {"speaker": "assistant", "said": A}]},
        {"role": "speaker", "content": "said"},
    ),
    "a prompt of two fields": (
        {"verb": "Name", "what": "a tree", "answer": A},
        {"instruction": "{{ verb }} {{ what }}."},
    ),
    "a constant": ({"word": A}, {"instruction": Constant(value=Q), "output": "word"}),
    "a loop": ({"parts": ["Name", "a", "tree."], "answer": A}, {"instruction": "{{ parts | join(' ') }}"}),
    "title and body": ({"title": "Name", "body": "a tree.", "answer": A}, {"instruction": "{{ title }} {{ body }}"}),
    "a field with a dot": ({"q.text": Q, "a.text": A}, {"instruction": "q.text", "output": "a.text"}),
    "its own name": ({"instruction": Q, "output": A}, {"instruction": "instruction", "output": "output"}),
    "another id": ({"question": Q, "answer": A, "key": "k1"}, {"id": "key"}),
}


def written(folder: Path, *items: dict[str, Any]) -> Path:
    path = folder / "x.jsonl"
    path.write_text("".join(json.dumps(item) + "\n" for item in items), "utf-8")
    return path


@pytest.mark.parametrize("shape", READ)
def test_the_usual_shapes_are_read_at_the_first_try(shape: str, tmp_path: Path) -> None:
    (item,) = read_instructions(written(tmp_path, READ[shape]))
    assert item.sample.instruction == Q
    assert item.sample.reference in (A, None)
    answered = any(value == A for key, value in READ[shape].items() if key not in ("model_a", "model_b"))
    assert (item.sample.reference == A) == (
        answered or shape in ("ShareGPT", "ShareGPT by the singular", "OpenAI messages")
    )
    assert {**READ[shape], **item.fields} == dict(item.fields), "all fields are there, by their own names too"


@pytest.mark.parametrize("shape", MAPPED)
def test_others_are_read_by_a_mapping(shape: str, tmp_path: Path) -> None:
    fields, mapping = MAPPED[shape]
    (item,) = read_instructions(written(tmp_path, fields), mapping=mapping)
    assert (item.sample.instruction, item.sample.reference) == (Q, A)


def test_what_is_taken_for_what_is_said_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, {"prompt": Q, "completion": A, "context": "Trees."})
    (item,) = read_items(path)
    assert (item.sample.instruction, item.sample.input, item.sample.reference) == (Q, "Trees.", A)
    said = "x.jsonl: 'prompt' is the instruction, 'context' is the input, 'completion' is the output\n"
    assert capsys.readouterr().err == said
    read_items(path)
    assert capsys.readouterr().err == ""
    read_items(written(tmp_path, READ["Alpaca"]))
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("shape", ["two answers", "two questions"])
def test_the_advice_works_when_it_is_typed_in(shape: str, tmp_path: Path) -> None:
    path = written(tmp_path, MAPPED[shape][0])
    with pytest.raises(DataError, match=r"x\.jsonl:1: which of '\w+', '\w+' is the ") as caught:
        read_items(path)
    (advice,) = re.findall(r"such as (\w+)=(\w+)", str(caught.value))
    (item,) = read_items(path, mapping=dict([advice]))
    assert item.sample.instruction == Q


BAD: dict[str, tuple[list[dict[str, Any]], dict[str, Any], str]] = {
    "no such field": ([{"a": Q}], {"instruction": "b"}, r"x\.jsonl:1: no 'instruction'"),
    "a field of some rows": ([{"q": Q}, {"p": Q}], {"instruction": "q"}, r"x\.jsonl:2: no 'q' \(instruction\)"),
    "a path that leads nowhere": ([{"a": {"b": Q}}], {"instruction": "a.c"}, r"x\.jsonl:1: instruction: 'a\.c' leads"),
    "a path into a text": ([{"a": Q}], {"instruction": "a[0].b"}, r"x\.jsonl:1: instruction: .* leads nowhere"),
    "a template without its field": (
        [{"a": Q}],
        {"instruction": "{{ b }}"},
        r"x\.jsonl:1: instruction: 'b' is undefined",
    ),
    "no template": ([{"a": Q}], {"instruction": "{{ a"}, "the template .* is none"),
    "a template without end": (
        [{"a": Q}],
        {"instruction": "{% for i in range(10**9) %}{{ a }}{% endfor %}"},
        r"x\.jsonl:1: instruction: ",
    ),
    "two columns for one field": (
        [{"instruction": Q, "q": Q}],
        {"instruction": "q"},
        "has a field 'instruction' beside",
    ),
    "a field that is none": ([{"instruction": Q, "q": Q}], {"questoin": "q"}, "has no field 'questoin' to map to"),
    "a list": ([{"prompt": [Q]}], {"instruction": "prompt"}, r"x\.jsonl:1: 'prompt' \(instruction\) is not a text"),
}


@pytest.mark.parametrize("what", BAD)
def test_a_mapping_that_does_not_fit_is_an_error_with_its_line(what: str, tmp_path: Path) -> None:
    items, mapping, said = BAD[what]
    with pytest.raises((DataError, UsageError), match=said):
        read_items(written(tmp_path, *items), mapping=mapping)


# --- what was said before, and what is not to be learnt


def test_history_comes_first(tmp_path: Path) -> None:
    item = {"instruction": "And tomorrow?", "input": "", "output": "Rain.", "history": [["Today?", "Sun."]]}
    (read,) = read_items(written(tmp_path, item))
    assert (read.sample.instruction, read.sample.turns) == ("Today?", ("And tomorrow?",))
    assert read.sample.references == ("Sun.", "Rain.")
    with pytest.raises(DataError, match="a conversation of 2 turns"):
        read_instructions(written(tmp_path, item))
    with pytest.raises(DataError, match=r"turn 1: 'history' should be pairs"):
        read_items(written(tmp_path, {**item, "history": ["Today?", "Sun."]}))
    (read,) = read_items(written(tmp_path, {**item, "history": []}))
    assert read.sample.turns == ()


def test_a_blank_reference_is_none(tmp_path: Path) -> None:
    items = [{"instruction": f"{number}?", "output": output} for number, output in enumerate(["", " \n", "x"])]
    assert [item.sample.reference for item in read_instructions(written(tmp_path, *items))] == [None, None, "x"]


def test_every_item_names_its_split_or_none_does(tmp_path: Path) -> None:
    words = ["train", "training", "test", "val", "dev", "Validation", "valid", "eval", "TEST"]
    items = [{"instruction": f"{number}?", "split": word} for number, word in enumerate(words)]
    path = written(tmp_path, *items)
    counts = {split: len(read_items(path, split=split)) for split in ("train", "test", "validation")}
    assert counts == {"train": 2, "test": 2, "validation": 5}
    with pytest.raises(DataError, match=r"x\.jsonl:10: no 'split', which other items have"):
        read_items(written(tmp_path, *items, {"instruction": "more?"}), split="train")
    with pytest.raises(DataError, match=r"x\.jsonl:1: no split is called 'tset'; did you mean 'test'"):
        read_items(written(tmp_path, {"instruction": Q, "split": "tset"}), split="train")
