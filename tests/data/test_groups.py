"""A field of the samples makes groups of them, and what makes none is said clearly."""

import json

import pytest

from judgekit import Sample, UsageError
from judgekit.data import read_instructions
from judgekit.data.groups import NONE, check_groups, clusters, groups, labels


def sample(number, category=None, **metadata):
    return Sample(id=f"s{number}", instruction="Do it.", category=category, metadata=metadata)


def test_fields_and_clusters_make_groups():
    one = sample(1, **{"a.b": "flat", "a": {"b": "nested"}})
    assert labels(one, "a.b") == labels(one, "metadata.a.b") == ("flat",)
    assert labels(sample(1, "  two\n words "), "category") == ("two words",)
    assert labels(sample(1, " "), "category") == ()
    samples = [sample(1, level=10), sample(2, level=9), sample(3), sample(4, level="many"), sample(5, level="nan")]
    assert list(groups(samples, "level")) == ["9", "10", "many", "nan", NONE]
    found = groups([sample(1, tags=["a", "b"]), sample(2, tags=["b"]), sample(3, tags=[])], "tags")
    assert found == {"a": ["s1"], "b": ["s1", "s2"], NONE: ["s3"]}
    with pytest.raises(UsageError, match="'source' of sample 's1' is a mapping: name one of its keys"):
        labels(sample(1, source={"site": "web"}), "source")
    with pytest.raises(UsageError, match="a list of lists"):
        labels(sample(1, source=[["web"]]), "source")
    one = sample(1, "maths", level=3, tags=["a", "b", "a"], source={"site": {"name": "web"}}, hard=True, score=0.5)
    assert labels(one, "category") == ("maths",)
    assert labels(one, "metadata.level") == labels(one, "level") == ("3",)
    assert labels(one, "metadata.tags") == ("a", "b")
    assert labels(one, "source.site.name") == ("web",)
    assert labels(one, "hard") == ("true",)
    assert labels(one, "score") == ("0.5",)
    assert labels(one, "turns") == ("1",)
    assert labels(one.model_copy(update={"turns": ("Two?",)}), "turns") == ("2",)
    assert labels(one, "choices") == labels(one, "nothing") == ()
    assert clusters([sample(1, "a"), sample(2, "b")], "category") == {"s1": "a", "s2": "b"}
    with pytest.raises(UsageError, match="1 of 2 samples have no 'category', such as 's2'; every sample needs its"):
        clusters([sample(1, "a"), sample(2)], "category")
    with pytest.raises(UsageError, match=r"2 of 2 samples have no 'catgory'.*did you mean 'category'"):
        clusters([sample(1, "a"), sample(2, "a")], "catgory")
    with pytest.raises(UsageError, match="sample 's1' has several values of 'tags'; a cluster is one"):
        clusters([sample(1, tags=["a", "b"])], "tags")
    samples = {"data": [sample(1, "maths", difficulty="hard")]}
    assert list(check_groups(samples, "metadata.dificulty")) == [
        (True, "no sample has a field 'metadata.dificulty'; did you mean 'metadata.difficulty'?")
    ]
    (said,) = [message for _, message in check_groups(samples, "zzz")]
    assert said.startswith("no sample has a field 'zzz' (there are: category, id, instruction")
    assert "metadata.difficulty" in said
    samples = {"data": [sample(1, "maths")], "metrics.mmlu.data": [sample(2)]}
    assert list(check_groups(samples, "category")) == [
        (False, "no sample of metrics.mmlu.data has a field 'category': it is not broken down")
    ]
    samples = {"data": [sample(number) for number in range(201)]}
    assert list(check_groups(samples, "id")) == [
        (True, "'id' has 201 values in data; at most 200 groups can be told apart by anyone")
    ]


def test_all_fields_of_instruction_items_are_kept(tmp_path):
    item = {"instruction": "Do it.", "output": "done", "difficulty": "hard", "tags": ["a"], "n": 2, "long": "x" * 900}
    path = tmp_path / "items.json"
    path.write_text(json.dumps([{**item, "metadata": {"from": {"site": "web"}}, "other": {"a": "tree"}, "none": None}]))
    (found,) = read_instructions(path)
    rest = {"difficulty": "hard", "tags": ["a"], "n": 2, "long": "x" * 900, "other": {"a": "tree"}}
    assert found.sample.metadata == rest | {"from": {"site": "web"}}
