"""The loaders of questions: HellaSwag, ARC, and files of one's own; what is wrong with a file is said with its line."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

import judgekit
from judgekit_datasets.arc import ARC
from judgekit_datasets.choices import Choices, ChoicesOptions
from judgekit_datasets.hellaswag import HellaSwag, prepared
from judgekit_datasets.questions import QuestionFile, QuestionOptions
from sinks import each_of

QUESTION = {"question": "Which is a fruit?", "choices": ["pear", "stone", "chair"], "answer": "A"}
SWAG = {
    "ind": 7, "activity_label": "Baking bread", "ctx_a": "A woman kneads dough on a table.", "ctx_b": "she then",
    "endings": ["sings.", "[substeps] bakes it.", "flies  away.", "sleeps."], "label": 1,
    "source_id": "activitynet~v_1", "split_type": "indomain",
}  # fmt: skip
ARC_PUBLISHED = {
    "id": "Q1",
    "question": {"stem": "What melts?", "choices": [{"text": "ice", "label": "A"}, {"text": "iron", "label": "B"}]},
    "answerKey": "B",
}
ARC_HUB = {
    "id": "Q2", "question": "What is wet?", "answerKey": "2",
    "choices": {"text": ["sand", "rain", "dust", "salt"], "label": list("1234")},
}  # fmt: skip


def jsonl(path: Path, *objects: Any) -> Path:
    path.write_text("".join(json.dumps(each) + "\n" for each in objects))
    return path


def loaded(kind: type[QuestionFile], path: Path, **options: Any) -> list[judgekit.Sample]:
    return list(kind(kind.Options(path=str(path), **options)).load())


def without(fields: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name != key}


def test_hellaswag_is_prepared_as_the_harness_does(tmp_path: Path) -> None:
    wikihow = SWAG | {
        "ind": 8, "ctx_a": "How to tie a knot [title] Take a rope. [step] Hold it.", "ctx_b": "", "label": "3",
        "source_id": "wikihow~2",
    }  # fmt: skip
    first, second = loaded(HellaSwag, jsonl(tmp_path / "val.jsonl", SWAG, wikihow))
    assert first.instruction == "Baking bread: A woman kneads dough on a table. She then"
    assert first.choices == ("sings.", " bakes it.", "flies away.", "sleeps.")
    assert (first.id, first.answer, first.category) == ("val-00000", 1, "Baking bread")
    assert first.metadata["continuation"] is True
    assert second.instruction == "Baking bread: How to tie a knot. Take a rope. Hold it."
    assert second.answer == 3


@pytest.mark.slow
def test_the_preparation_agrees_with_the_harness_where_it_is_installed() -> None:
    utils = pytest.importorskip("lm_eval.tasks.hellaswag.utils")
    for text in (" a [title] b [x] c", "a  b   c", "[step] do [substeps] it ", "no marks", "[a [b] c]", "a. [title] B"):
        assert prepared(text) == utils.preprocess(text)


def test_a_capital_at_the_second_part_makes_the_rest_small(tmp_path: Path) -> None:
    (sample,) = loaded(HellaSwag, jsonl(tmp_path / "v.jsonl", SWAG | {"ctx_b": "the DJ"}))
    assert sample.instruction.endswith("table. The dj")


def test_arc_is_read_in_both_layouts_and_with_numbers_as_labels(tmp_path: Path) -> None:
    five = {"text": ["a", "b", "c", "d", "e"], "label": list("ABCDE")}
    three = {"id": "Q4", "question": "?", "choices": {"text": ["a", "b", "c"], "label": list("ABC")}, "answerKey": "C"}
    samples = loaded(
        ARC,
        jsonl(
            tmp_path / "arc.jsonl",
            ARC_PUBLISHED,
            ARC_HUB,
            ARC_HUB | {"id": "Q3", "choices": five, "answerKey": "E"},
            three,
        ),
    )
    assert [(sample.id, len(sample.choices), sample.answer) for sample in samples] == [
        ("Q1", 2, 1), ("Q2", 4, 1), ("Q3", 5, 4), ("Q4", 3, 2),
    ]  # fmt: skip
    assert samples[0].instruction == "What melts?"
    assert samples[0].choices == ("ice", "iron")


def test_own_questions_as_json_jsonl_and_csv_are_the_same_samples(tmp_path: Path) -> None:
    second = {"question": "Add 2, 2", "choices": ["4", "5", "6"], "answer": 0, "category": "sums", "year": 2001}
    array, lines, table = tmp_path / "q.json", tmp_path / "q.jsonl", tmp_path / "q.csv"
    array.write_text(json.dumps([QUESTION, second], indent=2))
    jsonl(lines, QUESTION, second)
    table.write_text(
        "﻿question,A,B,C,answer,category,year\r\nWhich is a fruit?,pear,stone,chair,A,,\r\n"
        '"Add 2, 2",4,5,6,0,sums,2001\r\n'
    )
    from_array, from_lines, from_table = (loaded(Choices, path) for path in (array, lines, table))
    assert from_array == from_lines
    assert [sample.model_copy(update={"metadata": {}}) for sample in from_table] == [
        sample.model_copy(update={"metadata": {}}) for sample in from_array
    ]
    assert from_array[1].category == "sums"
    assert from_array[1].metadata == {"year": 2001}
    assert [sample.answer for sample in from_array] == [0, 0]
    assert len({sample.id for sample in from_array}) == 2
    assert loaded(Choices, lines, continuation=True)[0].metadata["continuation"] is True


def test_equal_questions_without_an_id_are_told_apart(tmp_path: Path) -> None:
    first, second = loaded(Choices, jsonl(tmp_path / "q.jsonl", QUESTION, QUESTION))
    assert second.id == f"{first.id}-2"


def test_mixed_numbers_of_options_are_accepted_on_request(tmp_path: Path) -> None:
    two = QUESTION | {"choices": ["pear", "stone"]}
    path = jsonl(tmp_path / "q.jsonl", QUESTION, two)
    assert [len(sample.choices) for sample in loaded(Choices, path, mixed=True)] == [3, 2]
    table = tmp_path / "q.csv"
    table.write_text("question,A,B,C,answer\nx,1,2,3,C\ny,1,2,,B\n")
    assert [len(sample.choices) for sample in loaded(Choices, table, mixed=True)] == [3, 2]
    with pytest.raises(judgekit.DataError, match=r"q\.csv:3: option C is empty"):
        loaded(Choices, table)


def test_worked_examples_come_from_a_file_of_the_same_layout(tmp_path: Path) -> None:
    train = jsonl(tmp_path / "train.jsonl", *(ARC_HUB | {"id": f"T{n}"} for n in range(3)))
    path = jsonl(tmp_path / "test.jsonl", ARC_PUBLISHED)
    loader = ARC(QuestionOptions(path=str(path), examples=str(train), shots=2))
    (sample,) = loader.load()
    assert [shot.id for shot in loader.shots(sample)] == ["T0", "T1"]
    assert loader.inputs() == [path, train]
    assert ARC(QuestionOptions(path=str(path), examples=str(train))).inputs() == [path]
    with pytest.raises(judgekit.DataError, match=r"train\.jsonl: has 3 questions, fewer than the 4 shots"):
        loaded(ARC, path, examples=str(train), shots=4)
    with pytest.raises(judgekit.ConfigError, match="needs `examples`"):
        loaded(ARC, path, shots=4)


BAD_LINES: dict[type[QuestionFile], tuple[dict[str, Any], list[tuple[dict[str, Any], str]]]] = {
    Choices: (
        QUESTION | {"id": "q1"},
        [
            (QUESTION | {"answer": 3}, "the answer is index 3, and the 3 options have the indices 0 to 2"),
            (QUESTION | {"answer": -1}, "the answer is index -1"),
            (QUESTION | {"answer": "D"}, "the answer is 'D', and the options end at C"),
            (QUESTION | {"answer": "b"}, "the answer is 'b'; should be a letter, A to C, or an index from 0"),
            (QUESTION | {"answer": True}, "the answer is True"),
            (QUESTION | {"answer": 1.0}, "the answer is 1.0"),
            (QUESTION | {"answer": None}, "no answer: a split without labels"),
            (QUESTION | {"answer": ""}, "no answer: a split without labels"),
            (QUESTION | {"choices": ["pear"]}, "1 option; a question has 2 to 10"),
            (QUESTION | {"choices": []}, "0 options"),
            (QUESTION | {"choices": [str(n) for n in range(11)]}, "11 options; a question has 2 to 10"),
            (QUESTION | {"choices": ["pear", " ", "chair"]}, "option B is empty"),
            (QUESTION | {"choices": ["pear", 2, "chair"]}, "'choices' should be a list of texts"),
            (QUESTION | {"choices": "pear"}, "'choices' should be a list of texts"),
            (QUESTION | {"choices": ["pear", "stone"]}, "2 options, and 3 in line 1; set mixed: true"),
            (QUESTION | {"question": ""}, "the question is empty"),
            (QUESTION | {"question": 3}, "'question' should be a text, not int"),
            (QUESTION | {"id": "q1"}, "the id 'q1' is already that of line 1"),
            (QUESTION | {"id": ["x"]}, "'id' should be a text, not list"),
            (QUESTION | {"category": 4}, "'category' should be a text, not int"),
        ],
    ),
    HellaSwag: (
        SWAG | {"ind": 6},
        [
            (SWAG | {"label": ""}, "no answer: a split without labels"),
            (without(SWAG, "label"), "no answer: a split without labels"),
            (SWAG | {"label": 4}, "the answer is index 4, and the 4 options"),
            (SWAG | {"endings": ["a", "b", "c"]}, "3 endings; HellaSwag has 4"),
            (SWAG | {"endings": ["a", "[step]", "c", "d"]}, "option B is empty"),
            (SWAG | {"ctx_a": "", "ctx_b": ""}, "the context is empty"),
            (without(SWAG, "ctx_b"), "no 'ctx_b'"),
            (SWAG | {"ind": 6}, "the question 6 (activitynet~v_1) is also in line 1"),
        ],
    ),
    ARC: (
        ARC_PUBLISHED,
        [
            (without(ARC_PUBLISHED, "answerKey"), "no 'answerKey': a split without labels"),
            (ARC_HUB | {"answerKey": "5"}, "the answer is '5', and the options are 1, 2, 3, 4"),
            (ARC_HUB | {"answerKey": "B"}, "the answer is 'B', and the options are 1, 2, 3, 4"),
            (ARC_HUB | {"choices": {"text": ["a", "b"], "label": ["A"]}}, "2 options and 1 label"),
            (ARC_HUB | {"choices": {"text": ["a", "b"], "label": ["A", "A"]}}, "two options have the same label: A, A"),
            (ARC_HUB | {"choices": {"text": ["a"], "label": ["A"]}}, "1 option; a question has 2 to 10"),
            (ARC_HUB | {"choices": ["a", "b"]}, "'choices' should be a list of"),
            (without(ARC_HUB, "choices"), "no 'choices'"),
            (without(ARC_HUB, "id"), "no 'id'"),
            (ARC_PUBLISHED, "the id 'Q1' is already that of line 1"),
        ],
    ),
}


@pytest.mark.parametrize("kind", BAD_LINES)
def test_a_bad_line_is_refused_with_file_and_line(tmp_path: Path, kind: type[QuestionFile]) -> None:
    good, faults = BAD_LINES[kind]
    missing = [(without(QUESTION, key), "no ") for key in QUESTION] if kind is Choices else []

    def check(fault: tuple[dict[str, Any], str]) -> None:
        with pytest.raises(judgekit.DataError) as error:
            loaded(kind, jsonl(tmp_path / "q.jsonl", good, fault[0]))
        assert f"q.jsonl:2: {fault[1]}" in str(error.value)

    each_of([*faults, *missing], check)


BAD_FILES = {
    "q.json": [
        ("", r"q\.json: is empty"),
        ("[]", r"q\.json: has no questions"),
        ("[\n{}\n]", r"q\.json:2: no 'question'"),
        ("[\n\n 3]", r"q\.json:3: should be an object, not int"),
        ('[\n{"question": "x",}]', r"q\.json:2: not JSON"),
        ('{"question": NaN}', r"q\.json:1: not JSON: NaN is no JSON number"),
        (json.dumps([QUESTION]) + " x", r"text after the array"),
        (json.dumps([QUESTION])[:-1], r"the array does not end"),
    ],
    "q.csv": [
        ("Which?,a,b,A\n", r"q\.csv:1: no column 'question' in the header"),
        ("question,A,answer\nx,1,A\n", r"q\.csv:1: no column 'B'"),
        ("question,A,C,answer\nx,1,2,A\n", r"q\.csv:1: no column 'B'"),
        ("question,A,B,B,answer\nx,1,2,3,A\n", r"q\.csv:1: the header names 'B' twice"),
        ("question,A,B,answer\n", r"q\.csv: has no questions"),
        ("question,A,B,answer\nx,1,2\n", r"q\.csv:2: 3 columns, and the header names 4"),
        ("question,A,B,answer\nx,1,,A\n", r"q\.csv:2: option B is empty"),
        (
            'question,A,B,answer\n"two\nlines",1,2,A\ny,1,2,C\n',
            r"q\.csv:4: the answer is 'C', and the options end at B",
        ),
        ("question,A,B,answer\nx,7,8,2\n", r"q\.csv:2: the answer is index 2"),
        ("question,A,B,answer\nx,1,2,\n", r"q\.csv:2: no answer"),
        ('question,A,B,answer\nx,"1\n', r"q\.csv:2: not CSV"),
    ],
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_broken_file_is_refused_with_its_line(tmp_path: Path, name: str) -> None:
    def check(fault: tuple[str, str]) -> None:
        (tmp_path / name).write_text(fault[0])
        with pytest.raises(judgekit.DataError, match=fault[1]):
            loaded(Choices, tmp_path / name)

    each_of(BAD_FILES[name], check)


def test_a_file_that_is_not_there_or_not_text_is_said(tmp_path: Path) -> None:
    with pytest.raises(judgekit.DataError, match="no such file"):
        loaded(Choices, tmp_path / "none.json")
    (tmp_path / "latin.csv").write_bytes("question,A,B,answer\nñ,1,2,A".encode("latin-1"))
    with pytest.raises(judgekit.DataError, match="not UTF-8 text"):
        list(Choices(ChoicesOptions(path=str(tmp_path / "latin.csv"))).load())


def question(answer: object, *choices: str, **more: Any) -> dict[str, Any]:
    return {"question": f"Which, {answer}{len(more)}?", "choices": list(choices or "abcd"), "answer": answer, **more}


@pytest.mark.parametrize(
    ("answers", "options", "read"),
    [
        ([0, 1, 3], {}, [0, 1, 3]),
        (["0", "2"], {}, [0, 2]),
        (["A", "D"], {}, [0, 3]),
        (["a", "d"], {}, [0, 3]),
        ([1, 2, 4], {"first": 1}, [0, 1, 3]),
        ([1, 2], {"first": 0}, [1, 2]),
    ],
)
def test_answers_are_letters_texts_or_indices(
    answers: list[Any], options: dict[str, Any], read: list[int], tmp_path: Path
) -> None:
    rows = [question(answer, number=number) for number, answer in enumerate(answers)]
    (tmp_path / "q.json").write_text(json.dumps([{**row, "question": f"{n}?"} for n, row in enumerate(rows)]))
    loader = Choices(ChoicesOptions.model_validate({"path": str(tmp_path / "q.json"), **options}))
    assert [sample.answer for sample in loader.load()] == read


@pytest.mark.parametrize(
    ("rows", "options", "said"),
    [
        (
            [question(1), question(3)],
            {},
            r"q\.json:1: the answer is index 1, and no answer of the file is 0: `first: 1`",
        ),
        ([question(4)], {}, r"the answer is index 4, and the 4 options have the indices 0 to 3; `first: 1`"),
        ([question(0), question(4)], {}, "the answer is index 4"),
        ([question(0)], {"first": 1}, "the answer is index 0, and the 4 options have the indices 1 to 4"),
        ([question("2", *"1234")], {}, "the answer '2' is the text of B and the index of C: `answers: text`"),
        ([question("B", *"BAC")], {}, "the answer 'B' is the letter of B and the text of A: `answers: letter`"),
        ([question("e")], {}, "the answer is 'e'"),
    ],
)
def test_what_could_be_two_options_is_refused_with_advice_that_works(
    rows: list[dict[str, Any]], options: dict[str, Any], said: str, tmp_path: Path
) -> None:
    (tmp_path / "q.json").write_text(json.dumps(rows))
    given = {"path": str(tmp_path / "q.json"), **options}
    with pytest.raises(judgekit.DataError, match=said) as caught:
        list(Choices(ChoicesOptions.model_validate(given)).load())
    if advice := re.search(r"`(\w+): (\w+)`", str(caught.value)):
        list(Choices(ChoicesOptions.model_validate(given | {advice[1]: yaml_value(advice[2])})).load())


def yaml_value(text: str) -> int | str:
    return int(text) if text.isdecimal() else text


def test_the_whole_file_is_looked_at_before_any_limit(tmp_path: Path) -> None:
    """Its first answers are 1 to 3; the 4 that follows says that they count from 1."""
    (tmp_path / "q.json").write_text(json.dumps([question(answer) for answer in (1, 2, 3, 4)]))
    with pytest.raises(judgekit.DataError, match="`first: 1`"):
        next(iter(Choices(ChoicesOptions(path=str(tmp_path / "q.json"))).load()))
