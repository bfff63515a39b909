"""Formats of instruction data: what is read, what is written, what is lost, and what is refused with its line."""

import json
from itertools import pairwise, permutations

import pytest

from item_files import ALPACA, SHAREGPT, write
from judgekit.data import read_answered
from judgekit.data.formats import FORMATS, read_conversations, read_instructions, read_items
from judgekit.data.writing import objects_of, write_items
from judgekit.errors import DataError, UsageError

WRITTEN = [name for name, format in FORMATS.items() if format.write is not None]


@pytest.mark.parametrize(("first", "second"), list(permutations(WRITTEN, 2)))
@pytest.mark.parametrize("suffix", ["json", "jsonl"])
def test_a_round_trip_through_any_pair_of_formats_gives_the_very_objects(tmp_path, first, second, suffix):
    source = write(tmp_path, ALPACA)
    one, two, back = (tmp_path / f"{name}.{suffix}" for name in ("one", "two", "back"))
    assert write_items(one, read_items(source), first) == []
    assert write_items(two, read_items(one, first), second) == []
    assert write_items(back, read_items(two, second), "alpaca") == []
    again = [json.loads(line) for line in back.read_text("utf-8").splitlines()] if suffix == "jsonl" else json.loads(
        back.read_text("utf-8"))  # fmt: skip
    assert again == ALPACA
    assert read_items(back) == read_items(source)
    ids = [[item.sample.id for item in read_items(path)] for path in (source, one, two)]
    assert ids[0] == ids[1] == ids[2], "one question has one id in every format"


def test_the_books_items_come_back_identical_on_a_way_through_every_pair_of_formats(tmp_path, shared_data):
    source = shared_data / "instructions" / "instruction-data.json"
    original = json.loads(source.read_text("utf-8"))
    assert len(original) == 1100
    items = read_items(source)
    way = [WRITTEN[0]]
    for step, (first, second) in enumerate(permutations(WRITTEN, 2)):
        for format in ([first] if way[-1] != first else []) + [second]:
            path = tmp_path / f"{step}-{format}.json{'l' * (step % 2)}"
            assert write_items(path, items, format) == []
            items = read_items(path)
            way.append(format)
    assert set(pairwise(way)) >= set(permutations(WRITTEN, 2))
    assert items == read_items(source)
    assert objects_of(items, "alpaca") == (original, [])


@pytest.mark.parametrize(("first", "second"), list(permutations(["sharegpt", "messages"])))
def test_conversations_come_back_with_their_system_message_and_marks(first, second, tmp_path):
    source = write(tmp_path, SHAREGPT)
    write_items(tmp_path / "one.jsonl", read_items(source), first)
    write_items(tmp_path / "two.json", read_items(tmp_path / "one.jsonl"), second)
    assert objects_of(read_items(tmp_path / "two.json"), "sharegpt") == (SHAREGPT, [])
    assert read_items(tmp_path / "two.json") == read_items(source)
    assert read_items(source)[0].sample.turn_references == ("Bye.",)


def test_every_format_is_read_and_mapped(tmp_path):
    path = write(tmp_path, [{"question": "a", "answer": "b"}, {"question": "c", "answer": "d"}], "items.jsonl")
    items = read_items(path, mapping={"instruction": "question", "output": "answer"})
    assert [(item.sample.instruction, item.sample.reference, item.rest) for item in items] == [
        ("a", "b", {}), ("c", "d", {}),
    ]  # fmt: skip
    talk = write(tmp_path, [{"dialogue": [{"who": "user", "text": "Hi."}]}])
    names = {"conversations": "dialogue", "from": "who", "value": "text"}
    assert read_items(talk, mapping=names)[0].sample.instruction == "Hi."
    dolly = [{"instruction": "Who?", "context": "It is me.", "response": "You.", "category": "closed_qa"}]
    (item,) = read_instructions(write(tmp_path, dolly, "dolly.jsonl"))
    assert (item.sample.input, item.sample.reference, item.sample.category) == ("It is me.", "You.", "closed_qa")
    (single,) = read_instructions(write(tmp_path, SHAREGPT[1:]))
    assert single.sample.instruction == "Alone?"
    with pytest.raises(DataError, match=r"items\.json:2: item 1: a conversation of 2 turns; 'loader: conversations'"):
        read_instructions(write(tmp_path, SHAREGPT))
    (talk,) = read_conversations(tmp_path / "dolly.jsonl")
    assert talk.answers == ("You.",)
    assert read_items(write(tmp_path, '\ufeff[{"instruction": "a"}]'))[0].sample.instruction == "a"
    # A file of questions and somebody's answers is not taken for Dolly's references.
    path = write(tmp_path, [{"instruction": "Who?", "response": "Me."}])
    assert read_items(path)[0].sample.reference is None
    assert read_items(path, "dolly")[0].sample.reference == "Me."


HI = {"from": "human", "value": "Hi."}
BAD = {
    "another format than named": (
        [{"conversations": [HI]}], {"format": "alpaca"},
        r"items\.json:2: item 1: looks like ShareGPT, not Alpaca: name the format sharegpt \(--from sharegpt\)",
    ),
    "Dolly named Alpaca": (
        [{"instruction": "a", "context": "", "response": "b"}], {"format": "alpaca"}, "looks like Dolly, not Alpaca"
    ),
    "Alpaca named Dolly": ([{"instruction": "a", "output": "b"}], {"format": "dolly"}, "looks like Alpaca, not Dolly"),
    "two formats": (
        [{"instruction": "a"}, {"messages": []}], {},
        r"items\.json:5: item 2: looks like OpenAI messages, where the items before it are Alpaca",
    ),
    "no format": (
        [{"Instruction": "a"}], {}, r"items\.json:2: item 1: no 'instruction' .*did you mean 'instruction'\?"
    ),
    "no known field": ([{"q": "a"}], {}, r"it has 'q': a mapping such as instruction=NAME"),
    "not even its main field": (
        [{"message": []}], {"format": "openai"},
        r"items\.json:2: item 1: no 'messages', which OpenAI messages has; did you mean 'messages'\?",
    ),
    "two user turns": (
        [{"instruction": "x", "conversations": [HI, HI]}], {"format": "sharegpt"},
        r"items\.json:2: item 1, message 2: two turns of the user in a row",
    ),
    "unknown role": (
        [{"messages": [{"role": "usr", "content": "Hi."}]}], {},
        r"items\.json:2: item 1, message 1: unknown role 'usr'; did you mean 'user'\?",
    ),
    "empty output": (
        [{"instruction": "a", "output": "b"}, {"instruction": "c", "output": " \n"}], {},
        r"items\.json:6: item 2: 'output' is empty",
    ),
    "empty response": (
        [{"instruction": "a", "context": "", "response": ""}], {}, r"items\.json:2: item 1: 'response' is empty"
    ),
    "the same id": (
        [{"id": 3, "instruction": "a"}, {"id": "3", "instruction": "b"}], {},
        r"items\.json:6: item 2: the id '3' is already that of item 1 \(line 2\)",
    ),
    "a mapping to nothing": (
        [{"instruction": "a", "answer": "b"}], {"mapping": {"output": "anwser"}},
        r"no item has a field 'anwser' to be its 'output'; did you mean 'answer'\?",
    ),
    "a mapping beside": (
        [{"instruction": "a", "question": "b"}], {"mapping": {"instruction": "question"}},
        "has a field 'instruction' beside 'question', which is mapped to it",
    ),
    "a mapped field is missing": (
        [{"question": "b"}, {"instruct": "c"}], {"mapping": {"instruction": "question"}},
        r"items\.json:5: item 2: no 'question' \(instruction\)",
    ),
    "a system message that is no text": ([{"instruction": "a", "system": 3}], {}, "'system' is not a text"),
    "a category that is none": ([{"instruction": "a", "category": ["x"]}], {}, "'category' is not a text"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_items_say_file_and_line(case, tmp_path):
    content, options, expected = BAD[case]
    with pytest.raises(DataError, match=expected):
        read_items(write(tmp_path, content), **options)


def test_names_and_files_that_are_wrong_are_said(tmp_path):
    path = write(tmp_path, ALPACA)
    with pytest.raises(UsageError, match="unknown format 'alpca'; did you mean 'alpaca'"):
        read_items(path, "alpca")
    with pytest.raises(UsageError, match="Alpaca has no field 'instrution' to map to; did you mean 'instruction'"):
        read_items(path, mapping={"instrution": "q"})
    assert read_items(write(tmp_path, SHAREGPT), "vicuna") == read_items(tmp_path / "items.json")
    path = tmp_path / "items.jsonl"
    path.write_bytes(b'{"instruction": "a"}\n{"instruction": "caf\xe9"}\n')
    with pytest.raises(DataError, match=r"items\.jsonl:2: not UTF-8 text"):
        read_items(path)
    with pytest.raises(DataError, match=r"items\.jsonl: is empty"):
        read_items(write(tmp_path, "", "items.jsonl"))
    with pytest.raises(DataError, match=r"items\.jsonl:3: not JSON"):
        read_items(write(tmp_path, '{"instruction": "a"}\n\n{"instruction"\n', "items.jsonl"))
    with pytest.raises(DataError, match=r"items\.json:1: is not one JSON array but JSONL"):
        read_items(write(tmp_path, '{"instruction": "a"}\n{"instruction": "b"}\n'))
    with pytest.raises(DataError, match=r"items\.jsonl:1: is a JSON array"):
        read_items(write(tmp_path, "[\n{}]", "items.jsonl"))
    with pytest.raises(DataError, match=r"items\.jsonl:1: .*a file that is one JSON array ends in \.json"):
        read_items(write(tmp_path, "[{}]", "items.jsonl"))


def test_what_is_learnt_from_has_an_answer_in_every_turn(tmp_path):
    answered = write(tmp_path, ALPACA[:3])
    assert read_answered(answered) == read_items(answered)
    assert len(read_answered(answered, split="validation")) == 1
    with pytest.raises(DataError, match=r"items.json:\d+: item 4: no output to learn from"):
        read_answered(write(tmp_path, ALPACA))
    talk = {"messages": [{"role": role, "content": "Yes."} for role in ("user", "assistant", "user")]}
    with pytest.raises(DataError, match=r"talks.jsonl:1: turn 2 has no answer to learn from"):
        read_answered(write(tmp_path, [talk], "talks.jsonl"), "messages")
