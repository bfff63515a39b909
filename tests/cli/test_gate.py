"""`judgekit gate` as it is typed: exit codes, what is printed, and the count of reruns."""

import json

import pytest

from gate_folders import a_run, drawn, moved
from judgekit.cli import execute

BASE = drawn(120, 1)


@pytest.fixture
def places(tmp_path, capsys):
    old = a_run(tmp_path / "old", {"quality": {"sft": BASE}})
    assert execute(["baseline", "set", str(old), str(tmp_path / "b.json")]) == 0
    capsys.readouterr()

    def new(change, name="new", seed=2, **changes):
        return a_run(tmp_path / name, {"quality": {"sft": moved(BASE, change, seed)}}, **changes)

    def gate(run, *words):
        words = words or ("--metric", "quality", "--margin", "3")
        code = execute(
            ["gate", str(run), "--baseline", str(tmp_path / "b.json"), "--home", str(tmp_path / "home"), *words]
        )
        return code, *capsys.readouterr()

    return new, gate


def test_the_verdict_comes_with_what_is_needed_to_read_it(places):
    new, gate = places
    assert gate(new(0, "good"))[::2] == (0, "")
    code, out, err = gate(new(-5))
    assert (code, out.startswith("FAIL: "), err) == (1, True, "")
    for expected in (
        "gate of new against the baseline old",
        "loss under 3.0",
        "-5.0",
        "p (Holm)",
        "least loss found",
        "2.2",
    ):
        assert expected in out


def test_inconclusive_incomplete_and_a_failed_card_are_3(places):
    new, gate = places
    assert gate(new(0, card=False))[0] == 3
    code, out, _ = gate(new(-5, name="half", status="incomplete"))
    assert code == 3
    assert "the run is incomplete" in out
    assert gate(new(0, name="card", card=False), "--metric", "quality", "--margin", "3", "--waive", "main")[0] == 0


def test_errors_are_2_and_name_what_is_wrong(places, tmp_path):
    new, gate = places
    run = new(-20, prompts={"score/grade": "e" * 64})
    code, out, err = gate(run)
    assert (code, out) == (2, "")
    assert "error: quality: prompt score/grade: eeeeeeeeeeee… in the run, bbbbbbbbbbbb… in the baseline" in err
    good = new(0, name="good")
    code, out, err = gate(good, "--metric", "quality", "--margin", "0.1")
    assert (code, err) == (3, "")
    assert "this rule cannot decide a margin of 0.1: it needs" in out
    code, out, _ = gate(new(-9, name="bad"), "--metric", "quality", "--margin", "0.1")
    assert (code, out.startswith("FAIL: ")) == (1, True), "a shown loss needs no power"
    assert "quality, sft: without that loss it could not have passed" in out
    code, _, err = gate(good, "--metric", "qualty", "--margin", "3")
    assert code == 2
    assert "did you mean 'quality'" in err
    for words in (
        ("--metric", "quality"),
        ("--metric", "quality", "--margin", "-1"),
        ("--metric", "quality", "--min", "nan"),
    ):
        assert gate(good, *words)[0] == 2
    assert gate(tmp_path / "nowhere")[0] == 2


def test_the_record_itself_can_be_named_and_the_only_metric_left_out(places):
    new, gate = places
    assert gate(new(0) / "record.json", "--margin", "3")[0] == 0


def test_reruns_against_one_baseline_are_counted_and_shown(places):
    new, gate = places
    assert "run against" not in gate(new(0, name="one", seed=2))[1]
    assert "run against" not in gate(new(0, name="one", seed=2))[1]  # the same result again is no new try
    assert "second run against this baseline" in gate(new(0, name="two", seed=3))[1]
    _, out, _ = gate(new(0, name="three", seed=4))
    assert "third run against this baseline" in out
    assert "re-running until green turns 80 % detection into 51 %" in out
    other = new(
        0,
        name="four",
        seed=5,
        identities={"models.sft": {"weights": "other"}, "judges.main": {"model": "llama3", "digest": "a" * 64}},
    )
    _, out, _ = gate(other)
    assert "4 runs against this baseline so far" in out
    assert "re-running" not in out


def test_json_has_everything(places):
    new, gate = places
    code, out, _ = gate(new(-5), "--metric", "quality", "--margin", "3", "--json")
    tree = json.loads(out, parse_constant=pytest.fail)
    assert code == 1
    assert tree["outcome"] == "FAIL"
    assert tree["claims"][0]["kind"] == "margin"
    assert tree["reruns"] == {"candidate": 1, "baseline": 1}


def test_hostile_names_cannot_write_to_the_terminal(tmp_path, capsys):
    name = "x\x1b]0;owned\x07"
    run = a_run(tmp_path / "run", {"quality": {name: BASE}})
    execute(["gate", str(run), "--metric", "quality", "--min", "50", "--home", str(tmp_path)])
    execute(["baseline", "set", str(run), str(tmp_path / "b.json")])
    execute(["baseline", "show", str(tmp_path / "b.json")])
    out, err = capsys.readouterr()
    assert "\x1b" not in out + err
    assert "\x07" not in out + err


def test_the_rules_may_stand_in_the_runs_own_config(places):
    new, gate = places
    spec = {"gate": {"baseline": "gone.json", "quality": {"margin": 3}, "waive": []}}
    run = new(-5, spec=spec)
    assert gate(run, "--metric", "quality")[0] == 1
    code, _, err = gate(run, "--metric", "other")
    assert code == 2
    assert "no rule for it" in err
