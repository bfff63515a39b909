"""Verdicts that were given elsewhere: files of every shape, and the published figures of LLMBar and AlpacaEval."""

import csv
import json
from typing import Any

import pytest

from judgekit.cli import execute
from judgekit.errors import JudgekitError, PreflightError
from judgekit.run_folder import RunFolder
from pairwise_study import execute as run
from stored_study import record_of, values
from tables import each

ALPACA = ("alpaca-7b", "falcon-7b-instruct", "gemma-7b-it", "vicuna-7b-v1.5")


@pytest.mark.shared
def test_llmbars_stored_winners_give_its_published_agreement(shared_data, tmp_path):
    record = record_of(
        tmp_path,
        shared_data / "llmbar" / "natural.jsonl",
        verdict="gpt4_winner",
        swapped="gpt4_winner_swapped",
        names={"1": "one", "2": "two"},
        label="human_label",
        length="output_1",
        length_opponent="output_2",
    )
    found = values(record)
    assert found["right_first"] == pytest.approx(0.95)
    assert found["right_second"] == pytest.approx(0.96)
    assert found["right"] == pytest.approx(0.955)
    assert found["right_both"] == pytest.approx(0.93)
    assert found["consistent"] == pytest.approx(0.95)
    counted = {one.name: one.value for one in record.statistics}
    assert counted["changed"] == 5
    assert counted["wins"] + counted["ties"] + counted["losses"] == 100  # type: ignore[operator]
    by_name = {one.series: one for one in record.estimates}
    assert by_name["first"].interval.method == "plus_two_t"
    assert by_name["consistent_only"].n_items == 95
    assert all(one.opponent == "two" for one in record.estimates)


@pytest.mark.shared
@pytest.mark.parametrize("model", ALPACA)
def test_alpaca_evals_published_win_rate_and_standard_error(model, shared_data, tmp_path):
    published = json.loads((shared_data / "alpaca_eval" / "published.json").read_text())[model]
    record = record_of(
        tmp_path,
        shared_data / "alpaca_eval" / f"{model}.csv",
        models="model baseline",
        verdict="preference",
        scale=[1, 2],
        ties=[0, ""],
        length="length_model",
        length_opponent="length_baseline",
    )
    value = next(one for one in record.estimates if one.series == "value")
    assert value.value is not None
    assert value.se is not None
    assert value.value * 100 == pytest.approx(published["win_rate"], abs=1e-9)
    assert value.se * 100 == pytest.approx(published["standard_error"], abs=1e-9)
    assert value.n_items == published["n_total"]
    adjusted = next(one for one in record.estimates if one.series == "length_adjusted")
    if model == "gemma-7b-it":
        assert adjusted.value is not None
        assert adjusted.value > value.value, "its answers are shorter than the baseline's"
    else:
        assert (adjusted.value, adjusted.interval.low) == (None, None), "under 10 % of the answers are longer"
        assert adjusted.interval.note.startswith("not identified: only")


def battles(path, rows):
    if path.suffix == ".csv":
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    elif path.suffix == ".json":
        path.write_text(json.dumps(rows))
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


ARENA = [
    {"id": "i1", "model_a": "x", "model_b": "y", "winner": "model_a", "swapped": "tie", "la": 10, "lb": 4},
    {"id": "i1", "model_a": "z", "model_b": "x", "winner": "model_b", "swapped": "model_b", "la": 3, "lb": 10},
    {"id": "i1", "model_a": "y", "model_b": "z", "winner": "model_b", "swapped": "model_a", "la": 4, "lb": 3},
    {"id": "i2", "model_a": "y", "model_b": "x", "winner": "y", "swapped": "model_a", "la": 7, "lb": 7},
    {"id": "i2", "model_a": "x", "model_b": "z", "winner": "z", "swapped": "z", "la": 7, "lb": 1},
    {"id": "i2", "model_a": "z", "model_b": "y", "winner": "tie", "swapped": "TIE", "la": 1, "lb": 7},
]
FIELDS: dict[str, Any] = {
    "verdict": "winner", "swapped": "swapped", "system": "model_a", "opponent": "model_b", "length": "la",
    "length_opponent": "lb",
}  # fmt: skip


@each("battles.csv", "battles.json", "battles.jsonl")
def test_a_file_of_battles_gives_the_full_matrix_and_strengths(name, tmp_path):
    record = record_of(tmp_path, battles(tmp_path / name, ARENA), models="z y x", **FIELDS)
    rates = {(one.system, one.opponent): one.value for one in record.estimates if one.series == "value"}
    assert rates == {
        ("z", "x"): pytest.approx((0 + 1) / 2),
        ("y", "x"): pytest.approx((0.25 + 1) / 2),
        ("y", "z"): pytest.approx((0.5 + 0.5) / 2),
    }
    strengths = {one.system: one for one in record.estimates if one.series == "bradley_terry"}
    assert set(strengths) == {"z", "y"}
    assert {one.opponent for one in strengths.values()} == {"x"}
    assert all(0 < (one.value or 0) < 1 for one in strengths.values())


def test_rows_say_what_is_turned_missing_or_of_one_order(tmp_path):
    row = {"id": "i", "model_a": "two", "model_b": "one", "winner": "model_a", "swapped": "model_b", "la": 9, "lb": 2}
    rows = [row, {**row, "id": "j"}]
    record = record_of(tmp_path, battles(tmp_path / "b.jsonl", rows), **FIELDS)
    found = values(record)
    assert found["value"] == 0.5
    assert found["first"] == 1.0, "the first one shown won both times, whoever it was"
    rows: list[dict[str, object]] = [{"id": str(n), "winner": "one" if n else None} for n in range(4)]
    record = record_of(tmp_path, battles(tmp_path / "b.json", rows), verdict="winner")
    (value,) = record.estimates
    assert value.counts == {"unparsed": 1, "scored": 3}
    assert value.bounds == (0.75, 1.0)
    rows: list[dict[str, object]] = [{"id": str(n), "p": n / 4} for n in range(5)]
    record = record_of(tmp_path, battles(tmp_path / "b.csv", rows), verdict="p", scale=[0, 1])
    assert set(values(record)) == {"value"}
    assert values(record)["value"] == 0.5
    assert {one.name for one in record.statistics} == {"wins", "ties", "losses"}


GOOD: list[dict[str, object]] = [{"id": "a", "winner": "one"}, {"id": "b", "winner": "two"}]


@each(
    ([*GOOD, {"id": "c", "winner": "three"}], {}, "item 3: the winner 'three' is none of 'one', 'two', 'tie'"),
    ([*GOOD, {"id": "a", "winner": "one"}], {}, "item 3: the sample 'a' has its verdict already in item 1"),
    (GOOD, {"verdict": "winer"}, "no row has a field 'winer'; did you mean 'winner'?"),
    (GOOD, {"verdict": "verdict"}, "(there are: 'id', 'winner')"),
    (GOOD, {"scale": [0, 1]}, "item 1: the preference 'one' is no number from 0 to 1"),
    ([{"id": "a", "winner": 1.5}], {"scale": [0, 1]}, "the preference '1.5' is no number from 0 to 1"),
    ([{"id": "a", "winner": "nan"}], {"scale": [0, 1]}, "the preference 'nan' is no number"),
    (GOOD, {"scale": [1, 0]}, "scale: the low end comes first"),
    (GOOD, {"names": {"A": "nobody"}}, "names: no model is named 'nobody'"),
    (GOOD, {"against": "nobody"}, "against: no model is named 'nobody'"),
    (GOOD, {"system": "winner"}, "give both or neither"),
    (GOOD, {"length": "id"}, "give both or neither"),
    (GOOD, {"length": "id", "length_opponent": "size"}, "no row has a field 'size'"),
)
def test_a_bad_file_or_option_is_named_before_anything_runs(rows, options, said, tmp_path):
    with pytest.raises(PreflightError) as error:
        record_of(tmp_path, battles(tmp_path / "b.json", rows), **{"verdict": "winner", **options})
    assert said in str(error.value)
    assert not (tmp_path / "runs").exists()


def test_samples_left_out_and_systems_unseen(tmp_path):
    path = battles(tmp_path / "b.json", GOOD)
    other = battles(tmp_path / "ids.json", [{"id": "a"}, {"id": "z"}])
    tree: dict[str, object] = {
        "name": "stored", "data": {"loader": "ids", "path": str(other)}, "reports": [],
        "models": {"one": {"backend": "unseen"}, "two": {"backend": "unseen"}},
        "metrics": {"duel": {"type": "stored_pairwise", "path": str(path), "verdict": "winner"}},
    }  # fmt: skip
    with pytest.raises(PreflightError) as error:
        run(tmp_path, tree)
    assert "1 of 2 verdicts are for samples that do not exist, such as 'b'" in str(error.value)
    assert "has no verdict for 1 sample, such as 'z'" in str(error.value)
    tree: dict[str, object] = {
        "name": "stored", "data": {"loader": "ids", "path": str(path)}, "reports": [], "limit": 1,
        "models": {"one": {"backend": "unseen"}, "two": {"backend": "unseen"}},
        "metrics": {"duel": {"type": "stored_pairwise", "path": str(path), "verdict": "winner"}},
    }  # fmt: skip
    record = run(tmp_path, tree).record  # type: ignore[attr-defined]
    assert record.estimates[0].n_items == 1
    tree: dict[str, object] = {
        "name": "stored", "data": {"loader": "ids", "path": str(path)}, "reports": [],
        "models": {"one": {"backend": "unseen"}}, "metrics": {"exact": {"type": "exact_match"}},
    }  # fmt: skip
    with pytest.raises(PreflightError) as error:
        run(tmp_path, tree)
    assert "models.one" in str(error.value)
    assert "knows nothing of 2 of the 2 samples, such as 'a', 'b'" in str(error.value)


def test_the_terminal_prints_matrix_strengths_and_counts(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "250")  # no cell is folded
    path = battles(tmp_path / "b.jsonl", ARENA)
    config = {
        "name": "arena", "data": {"loader": "ids", "path": str(path)}, "reports": ["json", "html"],
        "models": {name: {"backend": "unseen"} for name in "zyx"}, "against": "x",
        "metrics": {"duel": {"type": "stored_pairwise", "path": str(path), **FIELDS}}, "statistics": {"resamples": 99},
    }  # fmt: skip
    (tmp_path / "judgekit.yaml").write_text(json.dumps(config))
    assert execute(["run", str(tmp_path / "judgekit.yaml"), "-o", str(tmp_path / "runs"), "--progress", "none"]) == 0
    out = capsys.readouterr().out
    assert "duel: every system against every other" in out
    assert "Bradley–Terry win rate" in out
    assert "items won" in out
    assert "p of the sign test of positions" in out
    assert "y vs x" in out
    (summary,) = tmp_path.glob("runs/*/summary.json")
    tree = json.loads(summary.read_text())
    assert {(one["system"], one["opponent"]) for one in tree["estimates"]} == {("z", "x"), ("y", "x"), ("y", "z")}
    assert {one["name"] for one in tree["statistics"]} == {
        "wins", "ties", "losses", "changed", "first_won", "sign_test",
    }  # fmt: skip
    page = next(tmp_path.glob("runs/*/report.html")).read_text()
    assert "duel: every system against every other" in page
    assert "duel: Bradley–Terry strengths" in page


NESTED = [
    {"prompt": f"p{n}", "results": [{"winner": "junk"}, {"winner": winner, "swapped": {"winner": again}}]}
    for n, (winner, again) in enumerate([("1", "1"), ("2", "2"), ("1", "2"), ("1", "1")])
]


def test_nested_winners_and_rows_without_an_id_need_no_glue(tmp_path):
    path = tmp_path / "nested.json"
    path.write_text(json.dumps(NESTED))
    spec = {
        "name": "nested",
        "data": {"loader": "ids", "path": path.name, "id": "row", "instruction": "prompt"},
        "models": {"one": {"backend": "unseen"}, "two": {"backend": "unseen"}},
        "against": "two",
        "metrics": {
            "j": {
                "type": "stored_pairwise", "path": path.name, "id": "row", "names": {"1": "one", "2": "two"},
                "verdict": "results[-1].winner", "swapped": "results[-1].swapped.winner", "judge": {"name": "gpt-4"},
            }
        },
    }  # fmt: skip
    (tmp_path / "judgekit.yaml").write_text(json.dumps(spec))
    assert execute(["run", str(tmp_path / "judgekit.yaml"), "-o", str(tmp_path / "runs"), "--progress", "none"]) == 0
    (folder,) = (tmp_path / "runs").iterdir()
    value = next(one for one in RunFolder(folder).record().estimates if one.series == "value")
    assert (value.value, value.n_items) == (2.5 / 4, 4)


def test_a_path_that_leads_nowhere_in_a_row_is_named(tmp_path):
    path = tmp_path / "nested.json"
    path.write_text(json.dumps([*NESTED, {"prompt": "p9", "results": []}]))
    tree = {
        "name": "nested",
        "data": {"loader": "ids", "path": str(path), "id": "row"},
        "models": {"one": {"backend": "unseen"}, "two": {"backend": "unseen"}},
        "metrics": {
            "j": {
                "type": "stored_pairwise", "path": str(path), "id": "row", "names": {"1": "one", "2": "two"},
                "verdict": "results[-1].winner",
            }
        },
    }  # fmt: skip
    with pytest.raises(JudgekitError, match=r"item 5: 'results\[-1\].winner' leads nowhere"):
        run(tmp_path, tree)


@pytest.mark.parametrize("draw", [0, "0", "0.0", "", None, 1.5])
def test_a_draw_is_a_draw_however_it_is_written(tmp_path, draw):
    path = tmp_path / "p.json"
    path.write_text(json.dumps([{"id": "a", "p": draw}, {"id": "b", "p": 2.0}]))
    record = record_of(tmp_path, path, models="one two", verdict="p", scale=[1, 2], ties=[0, ""])
    assert next(one for one in record.estimates if one.series == "value").value == 0.75
