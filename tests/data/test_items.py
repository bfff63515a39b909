"""Instruction files: ids, splits, and every way they can be broken."""

import pytest

from item_files import write
from judgekit.data.formats import read_instructions
from judgekit.errors import DataError
from judgekit.records import Sample
from tables import each


def test_items_and_their_split(tmp_path):
    path = write(
        tmp_path, [{"instruction": "Do.", "input": "x", "output": "y", "id": "one", "category": "c", "more": 1}]
    )
    (item,) = read_instructions(path)
    assert item.sample == Sample(
        id="one", instruction="Do.", input="x", reference="y", category="c", metadata=item.sample.metadata
    )
    assert item.fields["more"] == 1
    a, b = {"instruction": "A"}, {"instruction": "B", "output": "b"}
    first = [item.sample.id for item in read_instructions(write(tmp_path, [a, b]))]
    second = [item.sample.id for item in read_instructions(write(tmp_path, [b, a], "other.json"))]
    assert first == second[::-1]
    twice = [item.sample.id for item in read_instructions(write(tmp_path, [a, a, a], "twice.json"))]
    assert twice == [first[0], f"{first[0]}-2", f"{first[0]}-3"]
    path = write(tmp_path, '{"instruction": "a\\ud800"}\n\n{"instruction": "b"}\n', "items.jsonl")
    assert [item.sample.instruction for item in read_instructions(path)] == ["a\ud800", "b"]
    path = write(tmp_path, [{"instruction": str(n), "split": "test" if n == 3 else "train"} for n in range(5)])
    assert [item.sample.instruction for item in read_instructions(path, "test")] == ["3"]
    with pytest.raises(DataError, match="no item in the split 'validation'"):
        read_instructions(path, "validation")
    path = write(tmp_path, [{"instruction": "a"}])
    with pytest.raises(DataError, match=r"no item in the split 'train': too few items \(1\) for 85/10/5 percent"):
        read_instructions(path, "train")


def test_the_books_split(shared_data):
    path = shared_data / "instructions" / "instruction-data.json"
    sizes = [len(read_instructions(path, split)) for split in ("train", "test", "validation")]
    assert sizes == [935, 110, 55]


@each(
    ('[{"instruction": "a"},\n {"instruction": }]', r"items\.json:2: not JSON: Expecting value"),
    ([{"instruction": "a"}, {"output": "b"}], r"item 2: no 'instruction'"),
    ([{"instruction": ""}], r"item 1: 'instruction' is empty"),
    ([{"instruction": ["a"]}], r"item 1: 'instruction' is not a text"),
    ([{"instruction": "a", "output": 5}], r"item 1: 'output' is not a text"),
    ([{"instruction": "a", "id": {}}], r"item 1: 'id' should be a string, not dict"),
    (
        [{"instruction": "a", "id": "x"}, {"instruction": "b", "id": "x"}],
        r"item 2: the id 'x' is already that of item 1",
    ),
)
def test_broken_files_say_where(content, expected, tmp_path):
    with pytest.raises(DataError, match=expected):
        read_instructions(write(tmp_path, content))
