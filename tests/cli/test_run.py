"""`judgekit run`: what it prints where, its flags, and its exit codes."""

import json
import re

from judgekit.cli import execute


def test_a_run_prints_its_table_and_where_the_report_is(here, capsys):
    assert execute(["run", "--progress", "none"]) == 0
    out, err = capsys.readouterr()
    assert re.search(r"exact +mine +50.0 % +\[.*%\] +wilson +6 × 1 +0", out), out
    assert "runs/stored-" in out
    assert err == "", "results go to stdout; with --progress none nothing goes to stderr"
    assert execute(["run"]) == 0
    out, err = capsys.readouterr()
    assert "0 calls made, 6 answered by the ledger" in out
    assert "generating mine: 6/6" in err, "no terminal: plain lines on stderr"


def test_flags_change_the_run(here, capsys):
    assert execute(["run", "--limit", "3", "--set", "name=three", "-o", "elsewhere", "--progress", "none"]) == 0
    assert "three: 3 samples" in capsys.readouterr().out
    (folder,) = (here / "elsewhere").iterdir()
    record = json.loads((folder / "record.json").read_text())
    assert record["spec"]["limit"] == 3


def test_environment_stands_between_flags_and_file(here, monkeypatch):
    monkeypatch.setenv("JUDGEKIT_LIMIT", "2")
    monkeypatch.setenv("JUDGEKIT_OUTPUT", "out")
    assert execute(["run", "--set", "limit=5", "--progress", "none"]) == 0
    (folder,) = (here / "out").iterdir()
    assert json.loads((folder / "record.json").read_text())["n_samples"] == 2


def test_a_dry_run_calls_nothing(here, capsys):
    assert execute(["run", "--dry-run", "--progress", "none"]) == 0
    assert re.search(r"generating mine +6 +0", capsys.readouterr().out)
    assert not (here / "runs").exists()
    assert not (here / ".judgekit").exists()
    execute(["run", "--progress", "none"])
    capsys.readouterr()
    assert execute(["run", "--dry-run", "--progress", "none"]) == 0
    assert re.search(r"generating mine +6 +6", capsys.readouterr().out)


def test_an_incomplete_run_exits_3(here, capsys):
    items = json.loads((here / "items.json").read_text())
    del items[2]["model_response"]
    (here / "items.json").write_text(json.dumps(items))
    assert execute(["run", "--progress", "none"]) == 3
    out = capsys.readouterr().out
    assert out.startswith("INCOMPLETE: planned calls were not answered.\n  1 × generating mine: ")
    assert "has no 'model_response' for the sample" in out
    assert "1 error" in out
