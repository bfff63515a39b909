"""`judgekit data evolve` against a real server: lineage, elimination, resume."""

import json
from collections import Counter
from pathlib import Path

from judgekit.cli import execute
from openai_fake import OpenAIFake
from tables import each

WORK = ["data", "evolve", "seeds.json", "--seed", "3", "--rounds", "2"]


def make(writer, into="made.json", *more):
    return execute([*WORK, *writer, "--into", into, *more])


def read(path):
    return json.loads(Path(path).read_text("utf-8"))


def test_every_item_has_its_lineage(here, server, writer, capsys):
    assert make(writer) == 0
    made, told, seeds = read("made.json"), read("made.report.json"), read("seeds.json")
    assert told["written"] == 2 * len(seeds) == 96, "each task of the pool once a round"
    assert told["written"] == len(made) + sum(told["rejected"].values())
    assert set(told["rejected"]) == {
        "change: words of the prompt copied", "change: punctuation and stop words", "change: nothing changed",
        "change: no gain, as judged", "change: gain not told", "response: response says sorry",
        "response: response of punctuation and stop words",
    }  # fmt: skip
    by_id = {item["id"]: item for item in [*seeds, *made]}
    operations = Counter(item["operation"] for item in made)
    assert operations.keys() == {"deepen", "constrain", "concretise", "reason", "complicate", "breadth"}
    for item in made:
        parent = by_id[item["parent"]]
        assert item["root"] == parent.get("root", parent["id"])
        assert item["round"] == 1 + parent.get("round", 0) or parent["id"].startswith("seed"), (
            "a failed round is no step"
        )
        assert item["instruction"] != parent["instruction"]
    assert any(item["parent"].startswith("evolve") for item in made)
    assert len({item["parent"] for item in made}) == len(made), "a child takes its parent's place"
    assert f"{len(made)} kept; 96 written (calls: 96 for changes" in capsys.readouterr().out


def test_the_number_of_calls_under_way_changes_nothing_and_rounds_go_on(here, writer):
    assert make(writer, "one.json", "-j", "1", "--home", "one") == 0
    assert make(writer, "many.json", "-j", "16", "--home", "many") == 0
    assert Path("one.json").read_bytes() == Path("many.json").read_bytes()
    assert make(writer, "one.json", "--rounds", "3", "--home", "one") == 0
    assert read("one.json")[: len(read("many.json"))] == read("many.json")


def test_a_budget_ends_it_early_and_it_goes_on(here, server, writer):
    assert make(writer, "whole.json", "--home", "whole") == 0
    asked = len(server.bodies)
    starts = 0
    while (code := make(writer, "made.json", "--budget", "calls=60")) == 3:
        starts += 1
        assert read("made.json") == read("whole.json")[: len(read("made.json"))]
        assert starts < 10
    assert code == 0
    assert starts >= 2
    assert Path("made.json").read_bytes() == Path("whole.json").read_bytes()
    assert len(server.bodies) == 2 * asked, "and no call was made twice"


def test_another_judge_of_the_gain(here, server, writer):
    with OpenAIFake("yes") as same:
        judge = ["--judge", "openai", "--judge-set", "model=j", "--judge-set", f"base_url={same.base_url}"]
        assert make(writer, "made.json", *judge) == 0
        assert {body["temperature"] for body in same.bodies} == {0.0}
        assert len(same.bodies) == read("made.report.json")["rejected"]["change: no gain, as judged"]
    assert read("made.json") == []


def test_the_gain_by_words_asks_nobody(here, server, writer):
    assert make(writer, "made.json", "--gain", "words") == 0
    assert read("made.report.json")["calls"].keys() == {"changes", "responses"}
    assert make(writer, "few.json", "--gain", "words", "--keep", "5") == 0
    assert read("few.json") == read("made.json")[:5]


def test_too_few_in_all_rounds(here, server, writer, capsys):
    assert make(writer, "made.json", "--rounds", "1", "--keep", "500") == 3
    assert "INCOMPLETE: too few were kept" in capsys.readouterr().out


@each(
    (["--judge-set", "model=j"], "--judge-set is for a --judge"),
    (["--judge", "openai", "--gain", "words"], "asks no judge"),
    (["--operation", "deepn"], "is not one of 'deepen'"),
    (["--rounds", "0"], "not in the range"),
)
def test_bad_options(more, said, here, writer, capsys):
    assert make(writer, "made.json", *more) == 2
    assert said.lower() in capsys.readouterr().err.lower()
