"""`judgekit report RUN RUN` as a person meets it."""

import json
from pathlib import Path

from judgekit.cli import execute


def run(*options):
    before = set(Path("runs").glob("*"))
    assert execute(["run", "--progress", "none", *options]) == 0
    (made,) = set(Path("runs").glob("*")) - before
    return str(made)


def test_runs_are_pooled_beside_the_first_of_them(here, capsys):
    runs = [run("--seed", str(seed)) for seed in (1, 2)]
    capsys.readouterr()
    assert execute(["report", *runs]) == 0
    out = capsys.readouterr().out
    first, second = (Path(one).name for one in runs)
    assert out.startswith(f"2 runs pooled as repeats of the same items: {first} (seed 1), {second} (seed 2)\n")
    assert "the seed changed neither answers nor verdicts" in out, "stored answers are what they are"
    (pooled,) = Path("runs").glob("stored-pooled-*")
    assert f"{pooled}/summary.json" in out
    summary = json.loads((pooled / "summary.json").read_text())
    assert [one["run_id"] for one in summary["pooled"]] == [first, second]
    assert execute(["report", str(pooled)]) == 0, "and its reports are made again like any run's"


def test_another_spec_is_refused_with_the_difference(here, capsys):
    runs = [run("--seed", "1"), run("--seed", "2", "--limit", "4")]
    assert execute(["report", *runs]) == 2
    error = capsys.readouterr().err
    assert "differ in more than their seed" in error
    assert "limit is not set and 4" in error
    assert not list(Path("runs").glob("*-pooled-*"))
