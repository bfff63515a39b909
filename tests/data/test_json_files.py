"""Files of JSON objects: each with the line on which it begins, and nothing that is not strict JSON."""

import os
from pathlib import Path

import pytest

from judgekit.data.json_files import read_objects
from judgekit.errors import DataError
from tables import each


def read(tmp_path, content, name="items.json"):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
    return list(read_objects(path))


def test_objects_texts_and_missing_files_are_named(tmp_path):
    array = read(tmp_path, '\ufeff[\r\n{"a": "}\\n"},\r\n\r\n {"b": 2}, {"c": 3}]')
    assert [(one.line, one.place, one.fields) for one in array] == [
        (2, "item 1", {"a": "}\n"}), (4, "item 2", {"b": 2}), (4, "item 3", {"c": 3}),
    ]  # fmt: skip
    lines = read(tmp_path, '{"a": "x\u2028y\x85z"}\n\n{"b": 2}\r\n', "items.jsonl")
    assert lines[0].fields == {"a": "x\u2028y\x85z"}
    assert [(one.line, one.place) for one in lines] == [(1, "line 1"), (3, "line 3")]
    (entry,) = read(tmp_path, '[{"a": "x", "empty": "", "number": 3}]')
    assert (entry.text("a", required=True), entry.text("gone"), entry.text("empty")) == ("x", None, "")
    for key, required in (("gone", True), ("empty", True), ("number", False)):
        with pytest.raises(DataError, match=repr(key)):
            entry.text(key, required=required)
    with pytest.raises(DataError, match="too large for a number"):
        read(tmp_path, '[{"a": -1e999}]')
    os.mkfifo(tmp_path / "pipe.json")
    for endless in (tmp_path / "pipe.json", Path("/dev/zero")):
        with pytest.raises(DataError, match="a device or a pipe"):
            list(read_objects(endless))
    with pytest.raises(DataError) as caught:
        list(read_objects(tmp_path / "gone.json"))
    assert caught.value.place == str(tmp_path / "gone.json")


@each(
    ("", None), (" \n", None), ("[]", None), ("{}", None), ("[1]", 1), ("[\n{},\n3]", 3), ('[{"a": NaN}]', 1),
    ('[{"a": 1, "a": 2}]', 1),
    ('[\n{"a": 1},\n{]', 3), (b'["\n\xff"]', 2), ("[" * 9999, 1), ('{"a": 1}\n{"a": 2}', 1),
)  # fmt: skip
def test_what_is_no_array_of_objects_is_an_error_with_its_line(content, line, tmp_path):
    with pytest.raises(DataError) as caught:
        read(tmp_path, content)
    assert caught.value.place == str(tmp_path / "items.json") + (f":{line}" if line else "")


@each(("[\n{}\n]", 1), ('{"a": 1}\n[]', 2), ('{"a": 1}\n\n{"a"', 3))
def test_what_is_not_one_object_a_line_is_an_error_with_its_line(content, line, tmp_path):
    with pytest.raises(DataError) as caught:
        read(tmp_path, content, "items.jsonl")
    assert caught.value.place == f"{tmp_path / 'items.jsonl'}:{line}"
