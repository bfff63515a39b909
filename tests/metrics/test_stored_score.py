"""Stored scores: any file and scale, whose they are, and what compare and gate make of that."""

import json
from pathlib import Path

import pytest

from judgekit.cli import execute
from judgekit.run_folder import RunFolder
from tables import each

SCORES = [{"id": f"s{n}", "a": 60 + n, "b": 50 + n, "who": "gpt-4"} for n in range(30)]


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def stored(path="scores.json", rows=SCORES, metric=None, models=("m",), ids=None, name="t", **options):
    """A run of stored scores: (exit code, its folder)."""
    text = json.dumps(rows) if not isinstance(rows, str) else rows
    Path(path).write_text(text)
    loader = {"loader": "ids", "path": ids or path}
    tree = {
        "name": name,
        "data": loader,
        "models": {model: {"backend": "unseen"} for model in models},
        "metrics": {"q": {"type": "stored_score", "path": path, "id": "id", "scale": [0, 100], **options}},
        "reports": ["json"],
    }
    Path("judgekit.yaml").write_text(json.dumps(tree))
    code = execute(["run", "--progress", "none", "-o", f"runs-{name}"])
    return code, next(iter(Path(f"runs-{name}").glob("*")), None)


def record(folder):
    return RunFolder(folder).record()


def test_any_field_on_any_scale_is_a_score(here):
    code, folder = stored(score="a", scale=[0, 90], judge={"name": "gpt-4", "version": "0613"})
    (one,) = [e for e in record(folder).estimates if e.series == "value"]
    assert (code, one.value, one.scale.high, one.n_items) == (0, 74.5, 90, 30)
    assert record(folder).identities["metrics.q"] == {"name": "gpt-4", "version": "0613"}


def test_a_row_may_hold_the_scores_of_several_systems(here):
    code, folder = stored(models=("x", "y"), score={"x": "a", "y": "b"}, higher_is_better=False)
    values = {one.system: one.value for one in record(folder).estimates if one.series == "value"}
    assert (code, values) == (0, {"x": 74.5, "y": 64.5})
    assert not record(folder).estimates[0].scale.higher_is_better


def test_a_missing_score_is_a_verdict_without_one(here):
    rows = [{"id": "s0", "a": None}, {"id": "s1", "a": ""}, {"id": "s2", "a": 7}, {"id": "s3", "a": "9"}]
    _, folder = stored(rows=rows, score="a")
    assert record(folder).estimates[0].counts == {"unparsed": 2, "scored": 2}


@each(
    ([{"id": "s0", "a": 101}], {}, "item 1: the score '101' is no number from 0 to 100"),
    ([{"id": "s0", "a": True}], {}, "item 1: the score 'True' is no number"),
    ("id,a\ns0,nan\n", {"path": "scores.csv"}, "line 2: the score 'nan' is no number"),
    ([{"id": "s0", "a": 1}, {"id": "s0", "a": 2}], {}, "item 2: 's0' of m has its score already in item 1"),
    ([{"id": "s0", "a": 1}], {"scale": [5, 5]}, "the low end comes first"),
    ([{"id": "s0", "a": 1, "w": ""}], {"annotator": "w"}, "item 1: no 'w'"),
    ([{"id": "s0", "a": 1, "w": "x"}], {"annotator": "w", "judge": {"name": "y"}}, "give one"),
)
def test_what_is_wrong_is_named_with_file_and_row(rows, options, said, here, capsys):
    assert stored(rows=rows, **{"score": "a"} | options)[0] == 2
    assert said in capsys.readouterr().err


def gated(new, old):
    assert execute(["baseline", "set", str(old), "base.json"]) == 0
    return execute(["gate", str(new), "--baseline", "base.json", "--metric", "q", "--margin", "20"])


@each(
    ({"judge": {"name": "j"}}, {"judge": {"name": "j"}}, 0),
    ({"judge": {"name": "j", "prompt": "one"}}, {"judge": {"name": "j", "prompt": "two"}}, 2),
    ({"judge": {"name": "j"}}, {"judge": {"name": "k"}}, 2),
    ({"judge": {"name": "j"}}, {}, 2),
    ({}, {}, 2),
    ({"annotator": "who"}, {"annotator": "who"}, 0),
)
def test_another_files_scores_are_compared_only_where_the_judge_is_the_same(first, second, code, here, capsys):
    _, old = stored("old.json", score="a", name="old", ids="old.json", **first)
    _, new = stored("new.json", score="a", rows=[row | {"a": row["a"] - 1} for row in SCORES], name="new", **second)
    assert gated(new, old) == code
    assert (execute(["compare", str(old), str(new)]) != 0) == (code != 0)
    out = "".join(capsys.readouterr())
    assert "only noise can move it" not in out
    assert ("stored judge" in out) == (code != 0)


def test_within_one_file_no_judge_need_be_named(here):
    _, folder = stored(score="a")
    assert gated(folder, folder) == 0


def test_a_bare_list_of_numbers_is_scored_by_position(here):
    ids = [{"id": str(n)} for n in range(4)]
    Path("ids.json").write_text(json.dumps(ids))
    code, folder = stored("list.json", rows=[10, 20, None, 40], id=None, ids="ids.json")
    one = record(folder).estimates[0]
    assert (code, one.value, one.counts) == (0, 70 / 3, {"unparsed": 1, "scored": 3})


def test_the_books_scores_need_no_glue(here, shared_data):
    """One list is an item short: that is said, and not guessed away."""
    folder = shared_data / "book_scores"
    Path("ids.json").write_text(json.dumps([{"id": str(n)} for n in range(100)]))
    text = (folder / "gpt4-model-1-response.json").read_text()
    code, run = stored("gpt4.json", rows=text, id=None, ids="ids.json", judge={"name": "gpt-4"})
    assert (code, record(run).estimates[0].n_items) == (0, 100)
    text = (folder / "llama3-8b-model-2-response.json").read_text()
    assert stored("llama.json", rows=text, id=None, ids="ids.json", name="short")[0] == 2
