"""Items written in another format: what they look like there, and what is lost and said."""

import pytest

from item_files import ALPACA, SHAREGPT, write
from judgekit.data.formats import read_items
from judgekit.data.writing import objects_of, write_items
from judgekit.errors import DataError, UsageError
from tables import each


def test_messages_and_what_is_lost(tmp_path):
    objects, losses = objects_of(read_items(write(tmp_path, ALPACA[:2])), "messages")
    assert losses == []
    assert objects == [
        {"input": "mouse", "messages": [
            {"role": "user", "content": "Give the plural.\n\nmouse"}, {"role": "assistant", "content": "mice"},
        ]},
        {"id": 7, "category": "지리", "level": {"of": [1, 2.5]},
         "messages": [{"role": "user", "content": "수도는?"}, {"role": "assistant", "content": "서울 🏙️"}]},
    ]  # fmt: skip
    dolly, losses = objects_of(read_items(write(tmp_path, ALPACA[:1])), "dolly")
    assert (dolly, losses) == ([{"instruction": "Give the plural.", "context": "mouse", "response": "mice"}], [])
    items = read_items(write(tmp_path, [{"instruction": "a", "input": "", "output": "b", "response": "c"}]))
    assert [loss.field for loss in objects_of(items, "dolly")[1]] == ["the field 'response'"]
    assert objects_of(items, "sharegpt")[1] == []
    talk = [{"from": "human", "value": "Hi."}, {"from": "bard", "value": [{"type": "text", "text": "Hello."}]}]
    items = read_items(write(tmp_path, [{"conversations": talk}]))
    assert [loss.field for loss in objects_of(items, "messages")[1]] == ["from", "parts of 'value'"]
    items = read_items(write(tmp_path, [{"turns": ["One?", "Two?"], "reference": [None, "2"]}]))
    assert [loss.field for loss in objects_of(items, "messages")[1]] == ["turns after the first"]
    with pytest.raises(UsageError, match="MT-Bench can be read, and not written"):
        objects_of(items, "mt-bench")
    source = write(tmp_path, '{"instruction": "a\\ud800", "input": ""}\n', "items.jsonl")
    write_items(tmp_path / "out.jsonl", read_items(source), "alpaca")
    assert (tmp_path / "out.jsonl").read_text("utf-8") == source.read_text("utf-8")


@each("alpaca", "dolly")
def test_further_turns_and_marks_are_lost_and_counted(format, tmp_path):
    items = read_items(write(tmp_path, SHAREGPT))
    target = tmp_path / "out.json"
    with pytest.raises(
        DataError, match=r"items\.json:2: item 1: .* cannot hold turns after the first, 'weight' of messages"
    ):
        write_items(target, items, format)
    assert not target.exists()
    losses = write_items(target, items, format, lossy=True)
    assert [(loss.field, loss.count, loss.first.line) for loss in losses] == [
        ("turns after the first", 1, 2), ("'weight' of messages", 1, 2),
    ]  # fmt: skip
    assert [item.sample.system for item in read_items(target)] == ["Be brief.", ""]
