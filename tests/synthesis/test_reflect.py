"""`judgekit data reflect`: pairs from a run's verdicts, and from responses written again; DPO reads them."""

import json
from pathlib import Path
from typing import Any

import pytest

import judgekit
import judgekit.statistics
from judgekit.cli import execute
from tables import each

ITEMS = [
    {"id": f"i{n}", "instruction": f"Say {word}.", "output": word, "first": first, "second": second}
    for n, (word, first, second) in enumerate(
        [
            ("red", "red", "blue"),
            ("big", "large", "big"),
            ("cat", "cat", "cat"),
            ("sun", "moon", "star"),
            ("two words", "two words", "two"),
        ]
    )
]
RUN = """\
name: duel
data: {path: items.json}
models:
  a: {backend: responses, path: items.json, field: first}
  b: {backend: responses, path: items.json, field: second}
metrics:
  f1: {type: f1}
  exact: {type: exact_match}
reports: [json]
"""


@pytest.fixture
def run(here):
    Path("items.json").write_text(json.dumps(ITEMS))
    Path("judgekit.yaml").write_text(RUN)
    assert execute(["run"]) == 0
    (folder,) = Path("runs").iterdir()
    return folder


def pairs(path="pairs.json"):
    found: list[dict[str, Any]] = json.loads(Path(path).read_text("utf-8"))
    return found


def reflect(source, *more):
    return execute(["data", "reflect", str(source), "--into", "pairs.json", *more])


def test_the_better_response_of_a_run_is_chosen(run, capsys):
    assert reflect(run, "--metric", "f1") == 0
    found = {pair["id"]: (pair["chosen"], pair["rejected"], pair["chosen_system"]) for pair in pairs()}
    assert found == {"i0": ("red", "blue", "a"), "i1": ("big", "large", "b"), "i4": ("two words", "two", "a")}
    assert pairs()[2]["margin"] == pytest.approx(1 - 2 / 3)
    out, err = capsys.readouterr()
    assert err.startswith("warning: the pairs are made of the samples that duel-")
    assert "3 kept; 5 compared" in out
    assert "2 left out: a tie" in out
    assert "calls made" not in out


def test_a_margin_leaves_out_small_differences(run, capsys):
    assert reflect(run, "--metric", "f1", "--margin", "0.5") == 0
    assert [pair["id"] for pair in pairs()] == ["i0", "i1"]
    assert "1 left out: a difference below the margin" in capsys.readouterr().out


def test_dpo_reads_the_pairs(run):
    pytest.importorskip("torch")
    from judgekit.data import TrainingDataOptions
    from judgekit_gpt2.preference_file import read_preferred
    from judgekit_gpt2.preferences import pairs_of

    class Bytes:
        def encode(self, text):
            return list(text.encode())

    assert reflect(run, "--metric", "f1") == 0
    preferred = read_preferred(Path("pairs.json"), TrainingDataOptions(data="pairs.json"), "train")
    read = pairs_of(preferred, Bytes(), style="plain", context=100)  # type: ignore[arg-type]
    assert [pair.name for pair in read] == ["i0", "i1"], "the book's split gives 85 % of three to training"
    assert bytes(read[0].chosen.ids[len("Say red.") :]) == b"red"


def view(rows, repeats, higher=True):
    """A run by its rows alone."""
    scale = judgekit.Scale(label="s", low=0, high=100, higher_is_better=higher)
    interval = judgekit.statistics.Interval(method="none", low=None, high=None)
    estimate = judgekit.statistics.Estimate(
        metric="m", system="a", scale=scale, value=None, confidence=0.95, interval=interval, n_items=1
    )
    record = judgekit.RunRecord(
        run_id="r", name="r", judgekit_version="0", status="complete", spec={}, inputs={}, plugins=(), identities={},
        n_samples=1, systems=tuple(repeats), estimates=(estimate,),
    )  # fmt: skip
    responses = [
        judgekit.Response(system=system, sample_id="1", repeat=repeat, text=f"{system}{repeat}")
        for system, count in repeats.items()
        for repeat in range(count)
    ]
    return judgekit.RunView(record, [judgekit.Sample(id="1", instruction="Do.")], responses, rows)


def row(system, repeat, value, opponent="", judge_repeat=0):
    return judgekit.Row(
        metric="m", system=system, sample_id="1", repeat=repeat, judge_repeat=judge_repeat, opponent=opponent,
        status="unparsed" if value is None else "scored", value=value,
    )  # fmt: skip


def chosen(view, **given):
    from judgekit_synthesis.pairs import pairs_of

    tally = pairs_of(view, "m", view.record.systems, given.get("margin", 0.0))
    return [(str(pair["chosen"]), str(pair["rejected"])) for pair in tally.kept], dict(tally.rejected)


def test_repeats_and_comparisons_give_pairs():
    rows = [row("a", 0, 10), row("a", 0, 90, judge_repeat=1), row("a", 1, 60), row("b", 0, 55)]
    found = view(rows, {"a": 2, "b": 1})
    assert chosen(found) == ([("a1", "a0")], {})
    assert chosen(view([*rows, row("b", 0, None, judge_repeat=1)], {"a": 2, "b": 1})) == (
        [("a1", "a0")], {"not scored": 1},
    )  # fmt: skip
    assert chosen(view(rows, {"a": 2, "b": 1}, higher=False)) == ([("a0", "a1")], {})
    assert chosen(view([row("a", 0, 5)], {"a": 1})) == ([], {"a single response": 1})
    rows = [row("a", 0, 0.25, "b"), row("a", 1, 0.5, "b"), row("a", 2, 1.0, "b")]
    found = view(rows, {"a": 3, "b": 2})
    assert chosen(found) == ([("b0", "a0"), ("a2", "b0")], {"a tie": 1})
    assert chosen(found, margin=0.6) == ([("a2", "b0")], {"a tie": 1, "a difference below the margin": 1})


@each(
    ([], "name the metric: --metric (there are: f1, exact)"),
    (["--metric", "f2"], "no metric is named 'f2'"),
    (["--metric", "f1", "--system", "c"], "no system is named 'c' (there are: a, b)"),
    (["--metric", "f1", "--margin", "2"], "no pair is left"),
    (["--metric", "f1", "--backend", "openai"], "a run has its verdicts"),
)
def test_what_is_refused_of_a_run(more, said, run, capsys):
    assert reflect(run, *more) == 2
    assert said in capsys.readouterr().err
    assert not Path("pairs.json").exists()


# --- responses written again ------------------------------------------------------------------------------------------


@pytest.fixture
def judge(server):
    return ["--judge", "openai", "--judge-set", "model=m", "--judge-set", f"base_url={server.base_url}",
            "--judge-set", "mode=reason_json"]  # fmt: skip


def test_a_response_is_replaced_where_the_judge_finds_the_new_one_better(here, server, writer, judge, capsys):
    assert reflect("seeds.json", *writer, *judge) == 0
    told = json.loads(Path("pairs.report.json").read_text("utf-8"))
    seeds = {seed["id"]: seed for seed in pairs("seeds.json")}
    assert told["calls"] == {"critiques": 48, "responses": 48}
    assert len(server.bodies) == 4 * 48
    assert len(pairs()) + told["rejected"]["no better, as judged"] == 48
    assert 10 < len(pairs()) < 40
    for pair in pairs():
        assert pair["rejected"] == seeds[pair["id"]]["output"] != pair["chosen"]
        assert pair["margin"] > 0
        assert len(pair["judged_by"]) == 16
    graded = [body["messages"][0]["content"] for body in server.bodies if "grading" in body["messages"][0]["content"]]
    assert not any("for comparison" in text for text in graded), "the judge is not told which response was there before"


def test_a_budget_ends_it_early_and_the_margin_counts(here, server, writer, judge):
    assert reflect("seeds.json", *writer, *judge) == 0
    whole, asked = pairs(), len(server.bodies)
    Path("pairs.json").unlink()
    starts = 0
    while reflect("seeds.json", *writer, *judge, "--home", "other", "--budget", "calls=50") == 3:
        starts += 1
        assert pairs() == whole[: len(pairs())]
        assert starts < 9
    assert starts >= 2
    assert pairs() == whole
    assert len(server.bodies) == 2 * asked
    Path("pairs.json").unlink()
    assert reflect("seeds.json", *writer, *judge, "--margin", "30") == 0
    assert pairs() == [pair for pair in whole if pair["margin"] >= 30]


@each(
    (["--backend", "openai"], "name a --backend that improves and a --judge that scores"),
    (["--metric", "f1"], "are for the folder of a run"),
    (
        ["--backend", "openai", "--set", "model=m", "--judge", "local", "--judge-set", "mode=likelihood_ratio"],
        "needs",
    ),
)
def test_what_is_refused_of_a_file(more, said, here, server, capsys):
    assert reflect("seeds.json", *more, "--set", f"base_url={server.base_url}") == 2
    assert said in capsys.readouterr().err


def test_a_source_that_is_not_there_is_said(here, capsys):
    assert reflect("runs/none") == 2
    assert "error: runs/none: no such folder of a run, nor file of instructions" in capsys.readouterr().err
