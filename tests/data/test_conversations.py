"""Files of conversations: three shapes, and what is wrong with a file is said with its place."""

import json
from pathlib import Path
from typing import Any

import pytest

from item_files import write
from judgekit import DataError
from judgekit.data import holds_conversations, read_conversations, read_items
from judgekit_datasets.conversations import ConversationOptions, Conversations
from tables import each

HUMAN, GPT = {"from": "human", "value": "Hi."}, {"from": "gpt", "value": "Hello."}
USER, ASSISTANT = {"role": "user", "content": "Hi."}, {"role": "assistant", "content": "Hello."}


@each("talks.json", "talks.jsonl")
def test_sharegpt_and_openai_messages_are_the_same_conversation(name, tmp_path):
    more = [{"from": "human", "value": "And you?"}, {"from": "gpt", "value": "Well."}]
    messages = [USER, ASSISTANT, {"role": "user", "content": "And you?"}, {"role": "assistant", "content": "Well."}]
    (first,) = read_conversations(write(tmp_path, [{"conversations": [HUMAN, GPT, *more]}], name))
    (second,) = read_conversations(write(tmp_path, [{"messages": messages}], name))
    assert first.sample == second.sample
    assert first.answers == second.answers == ("Hello.", "Well.")
    assert (first.sample.instruction, first.sample.turns) == ("Hi.", ("And you?",))
    assert first.sample.references == ("Hello.", "Well.")


def test_messages_and_conversations(tmp_path):
    items = [
        {"messages": [{"role": "system", "content": "Be brief."}, USER]},
        {"messages": [{"role": "developer", "content": "Be brief."}, USER], "id": 7},
        {"system": "Be brief.", "conversations": [HUMAN], "id": "x"},
    ]
    talks = read_conversations(write(tmp_path, items))
    assert [talk.sample.system for talk in talks] == ["Be brief."] * 3
    assert [talk.sample.id for talk in talks[1:]] == ["7", "x"]
    assert all(talk.sample.references == (None,) and not talk.sample.turns for talk in talks)
    items = [
        {"question_id": 81, "category": "writing", "turns": ["Write.", "Again."]},
        {"question_id": 101, "category": "math", "turns": ["1 + 1?", "Twice that?"], "reference": ["2", "4"]},
    ]
    first, second = (talk.sample for talk in read_conversations(write(tmp_path, items, "question.jsonl")))
    assert (first.id, first.category, first.references) == ("81", "writing", (None, None))
    assert (second.turns, second.references) == (("Twice that?",), ("2", "4"))
    assert not holds_conversations(write(tmp_path, [{"instruction": "Do it.", "output": "done"}]))
    assert holds_conversations(write(tmp_path, items))
    parts = [{"type": "text", "text": "Hi."}, {"type": "text", "text": "There."}]
    (talk,) = read_conversations(write(tmp_path, [{"messages": [{"role": "user", "content": parts}]}]))
    assert talk.sample.instruction == "Hi.\nThere."
    item = {"conversations": [HUMAN], "difficulty": "hard", "text": "x" * 300, "metadata": {"source": {"site": "a"}}}
    (talk,) = read_conversations(write(tmp_path, [item]))
    assert talk.sample.metadata == {"difficulty": "hard", "text": "x" * 300, "source": {"site": "a"}}
    items = [{"conversations": [HUMAN, GPT]}, {"conversations": [HUMAN, {"from": "gpt", "value": "Bye."}]}]
    first, second = (talk.sample.id for talk in read_conversations(write(tmp_path, items)))
    assert second == f"{first}-2"
    path = write(tmp_path, [{"conversations": [HUMAN, GPT, {"from": "human", "value": "More."}]}])
    assert read_conversations(path, 1)[0].sample.id == read_conversations(path)[0].sample.id
    path = write(tmp_path, [{"conversations": [HUMAN, GPT, HUMAN, GPT, HUMAN, GPT]}])
    loader = Conversations(ConversationOptions(path=str(path), most_turns=2))
    (sample,) = loader.load()
    assert (len(sample.turns), len(sample.references)) == (1, 2)
    assert loader.inputs() == [path]
    with pytest.raises(DataError, match=r"talks\.jsonl:2: message 1: the conversation begins with the assistant"):
        read_conversations(write(tmp_path, [{"messages": [USER]}, {"messages": [ASSISTANT]}], "talks.jsonl"))


BAD = {
    "item 1, message 2: two turns of the user in a row": [{"conversations": [HUMAN, HUMAN]}],
    "item 1, message 3: two turns of the assistant in a row": [{"messages": [USER, ASSISTANT, ASSISTANT]}],
    "item 1, message 1: the conversation begins with the assistant": [{"conversations": [GPT, HUMAN]}],
    "item 2, message 2: the turn of 'gpt' is empty": [
        {"conversations": [HUMAN]}, {"conversations": [HUMAN, {"from": "gpt", "value": " \n"}]},
    ],
    "item 1, message 1: the turn of 'human' is empty": [{"conversations": [{"from": "human", "value": ""}]}],
    "item 1, message 1: unknown role 'humann'; did you mean 'human'?": [
        {"conversations": [{"from": "humann", "value": "Hi."}]}
    ],
    "item 1, message 2: unknown role 'narrator' (known are: human, user": [
        {"messages": [USER, {"role": "narrator", "content": "42"}]}
    ],
    "item 1, message 2: a system message comes first, and once": [
        {"messages": [USER, {"role": "system", "content": "Be brief."}]}
    ],
    "item 1, message 2: 'content' is not a text": [{"messages": [USER, {"role": "assistant", "content": 5}]}],
    "item 1, message 2: no 'content'": [{"messages": [USER, {"role": "assistant", "content": None}]}],
    "item 1, message 1: no 'from'": [{"conversations": [{"value": "Hi."}]}],
    "item 1, message 1: 'from' is not a text": [{"conversations": [{"from": 1, "value": "Hi."}]}],
    "item 1, message 1: a part of type 'image_url'; only text can be read": [
        {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}
    ],
    "item 1, message 1: should be an object, not str": [{"messages": ["Hi."]}],
    "item 1: 'messages' should be a list of turns, not str": [{"messages": "Hi."}],
    "item 1: 'conversations' has no turn": [{"conversations": []}],
    "item 1: the user says nothing": [{"messages": [{"role": "system", "content": "Be brief."}]}],
    "(ShareGPT), 'messages' (OpenAI) or 'turns' (MT-Bench); did you mean 'messages'": [{"message": [USER]}],
    "item 2: the id 'a' is already that of item 1": [{"id": "a", "messages": [USER]}] * 2,
    "item 1: 'id' should be a string, not list": [{"id": [1], "messages": [USER]}],
    "item 1: 'reference' should be a list of 2 texts, one a turn": [{"turns": ["a", "b"], "reference": ["x"]}],
    "item 1, turn 2: the turn of 'user' is empty": [{"turns": ["a", ""]}],
    "item 1: 'system' is not a text": [{"system": 1, "messages": [USER]}],
    "has no items": [],
    "item 1: should be an object, not list": [[]],
}  # fmt: skip


@pytest.mark.parametrize(("said", "items"), BAD.items(), ids=range(len(BAD)))
def test_what_is_no_conversation_is_an_error_with_its_place(tmp_path, said, items):
    path = write(tmp_path, items)
    with pytest.raises(DataError) as caught:
        read_conversations(path)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    "history",
    [
        [["Weather?", "Sunny."]],
        [{"user": "Weather?", "assistant": "Sunny."}],
        [{"answer": "Sunny.", "question": "Weather?"}],
        [{"role": "user", "content": "Weather?"}, {"role": "assistant", "content": "Sunny."}],
        [{"from": "human", "value": "Weather?"}, {"from": "gpt", "value": "Sunny."}],
    ],
)
@pytest.mark.parametrize("key", ["history", "previous_turns"])
def test_history_comes_first(history: list[Any], key: str, tmp_path: Path) -> None:
    item = {"instruction": "And tomorrow?", "input": "Be brief.", "output": "Rain.", key: history}
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(item))
    for sample in (read_items(path)[0].sample, read_conversations(path)[0].sample):
        assert (sample.instruction, sample.turns) == ("Weather?", ("And tomorrow?\n\nBe brief.",))
        assert sample.references == ("Sunny.", "Rain.")


@pytest.mark.parametrize(
    "history",
    [
        "Weather? Sunny.",
        ["Weather?", "Sunny."],
        [["Weather?"]],
        [["Weather?", ""]],
        [["Weather?", None]],
        [{"user": "Weather?", "reply_to": "Sunny."}],
        [{"user": "Weather?", "assistant": "Sunny.", "weight": 0}],
        [{"role": "user", "content": "Weather?"}],
        [{"role": "assistant", "content": "Sunny."}, {"role": "user", "content": "Weather?"}],
        [{"role": "user", "content": "Weather?"}, {"role": "assistant", "content": "Sunny.", "weight": 0}],
    ],
)
def test_history_that_is_not_understood_is_refused(history: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"instruction": "And tomorrow?", "output": "Rain.", "history": history}))
    with pytest.raises(DataError, match=r"a\.jsonl:1: "):
        read_items(path)
