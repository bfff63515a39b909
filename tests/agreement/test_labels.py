"""Files of labels: three formats, and what is wrong with a file said with its line."""

import json

import pytest

from judgekit.agreement.labels import read_labels
from judgekit.data.items import content_id
from judgekit.errors import DataError


def values(path):
    return {label.sample_id: label.value for label in read_labels(path).labels}


ROWS = [{"id": "a", "label": 80}, {"id": "b", "label": "tie"}, {"id": "c", "label": True}]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("labels.json", json.dumps(ROWS)),
        ("labels.jsonl", "\n".join(map(json.dumps, ROWS)) + "\n\n"),
        ("labels.json", json.dumps({"a": 80, "b": "tie", "c": {"label": True, "note": "x"}})),
    ],
)
def test_json_and_jsonl(labels, name, content):
    assert values(labels(content, name)) == {"a": 80.0, "b": "tie", "c": True}


@pytest.mark.parametrize(
    "content",
    [
        "id,label\na,80\nb,tie\n",
        "\ufeffid,label\r\na,80\r\n\r\nb,tie\r\n",
        "sample_id;score\na;80\nb;tie\n",
        '"label","id"\n"80","a"\n"tie","b"\n',
        'id,label,note\na,80,"two\nlines, one cell"\nb,tie,\n',
    ],
    ids=["plain", "windows", "semicolons", "quoted", "line break in a cell"],
)
def test_csv(labels, content):
    assert values(labels(content)) == {"a": 80.0, "b": "tie"}


def test_lines_are_those_of_the_file(labels):
    array = labels('[\n {"id": "a", "label": 1},\n\n {"id": "b",\n  "label": 2}\n]', "labels.json")
    assert [label.line for label in read_labels(array).labels] == [2, 4]
    assert [label.line for label in read_labels(labels("id,label\n\na,1\nb,2\n")).labels] == [3, 4]


def test_other_columns_are_left_alone_and_empty_labels_counted(labels):
    file = read_labels(labels("id,label,category,comment\na,,x,y\nb,2,x,y\n"))
    assert (len(file.labels), file.empty, file.ignored) == (1, 1, ("category", "comment"))


def test_labels_of_samples_without_ids_are_known_by_what_is_asked(labels):
    file = read_labels(labels([{"instruction": "Say it.", "input": "x", "label": 3}], "labels.json"))
    assert file.labels[0].sample_id == content_id({"instruction": "Say it.", "input": "x"})


@pytest.mark.parametrize(
    ("name", "content", "line", "said"),
    [
        ("labels.csv", "id,lable\na,1\n", 1, "unknown column 'lable'; did you mean 'label'?"),
        ("labels.csv", "idd,label\na,1\n", 1, "unknown column 'idd'; did you mean 'id'?"),
        ("labels.csv", "id,label,systm\na,1,x\n", 1, "unknown column 'systm'; did you mean 'system'?"),
        ("labels.jsonl", '{"id": "a", "Scores": 1}\n', 1, "unknown column 'Scores'; did you mean 'score'?"),
        ("labels.csv", "item,grade\na,1\n", 1, "no column 'id' (there are: 'item', 'grade')"),
        ("labels.csv", "id,grade\na,1\n", 1, "no column 'label'"),
        ("labels.csv", "id,label,score\na,1,2\n", 1, "both 'label' and 'score' are there: keep one"),
        ("labels.csv", "id,label,label\na,1,2\n", 1, "the column 'label' is there twice"),
        ("labels.csv", "id,label\na,1,2\n", 2, "3 cells under 2 columns"),
        ("labels.csv", "id,label\na,1\n,2\n", 3, "no id"),
        ("labels.csv", "id,label\na,nan\n", 2, "the label 'nan' is no number"),
        ("labels.csv", "id,label\na,1\nb,-Infinity\n", 3, "is no number"),
        ("labels.json", '[{"id": "a",\n "label": NaN}]', 1, "NaN"),
        ("labels.json", '[{"id": "a", "label": 1e400}]', 1, "1e400 is too large for a number"),
        ("labels.json", f'[{{"id": "a", "label": 1{"0" * 400}}}]', 1, "the label '1000000000"),
        ("labels.csv", f"id,label\na,1\nb,-1{'0' * 400}\n", 3, "…' is no number"),
        ("labels.json", '{"a": 1, "b": 2, "a": 3}', 1, "'a' is there twice in one object"),
        ("labels.jsonl", '{"id": "a", "label": 1}\n{"id": "b", "label": 1, "label": 2}', 2, "'label' is there twice"),
        ("labels.jsonl", '{"id": "a", "label": 1}\n{"id": "b", "label": Infinity}\n', 2, "Infinity is no JSON number"),
        ("labels.jsonl", '{"id": "a", "label": 1}\nnonsense\n', 2, "not JSON"),
        ("labels.json", '[{"id": "a", "label": [1]}]', 1, "a label is a number, a text or true/false, not list"),
        ("labels.json", "[1]", 1, "a label should be an object, not int"),
        ("labels.json", '{"id": "a", "label": 1}\n', None, "is a single label; write an array"),
        ("labels.csv", "id,label\na,1\na,2\n", 3, "'a' is labelled twice (first on line 2); name the people"),
        ("labels.csv", "id,label,rater\na,1,x\na,2,x\n", 3, "'a' is labelled twice (first on line 2) by 'x'"),
        ("labels.csv", "id,label,repeat\na,1,x\n", 2, "'repeat' is a number from 0, not 'x'"),
        ("labels.csv", 'id,label\na,"1\n', 2, "not CSV"),
        ("labels.csv", "", None, "is empty"),
        ("labels.csv", "id,label\n", None, "has no labels"),
        ("labels.csv", "id,label\na,\n", None, "every label is empty"),
        ("labels.json", "[]", None, "has no labels"),
        ("labels.json", "7", None, "should be an array of labels or a mapping from ids, not int"),
        ("labels.xlsx", "x", None, "labels are a .json, .jsonl, .csv or .tsv file"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_line(labels, name, content, line, said):
    path = labels(content, name)
    with pytest.raises(DataError) as raised:
        read_labels(path)
    assert said in str(raised.value)
    assert raised.value.place == (f"{path}:{line}" if line else str(path))


def test_two_people_may_label_the_same(labels):
    file = read_labels(labels("id,label,annotator\na,1,x\na,2,y\n"))
    assert [label.labeller for label in file.labels] == ["x", "y"]


def test_a_file_that_is_not_there_or_not_text(labels, tmp_path):
    with pytest.raises(DataError, match="no such file"):
        read_labels(tmp_path / "gone.csv")
    (tmp_path / "bytes.csv").write_bytes(b"id,label\n\xff,1\n")
    with pytest.raises(DataError, match="not UTF-8"):
        read_labels(tmp_path / "bytes.csv")
