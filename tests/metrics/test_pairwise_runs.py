"""Whole runs of the pairwise metric: what is recorded, what is refused before any call, and the embedded judge."""

import json

import pytest

from judgekit.config.blocks import RunConfig
from judgekit.errors import PreflightError
from judgekit.pipeline.run import Run, Settings
from judgekit.plugins import build_manager
from judgekit.results import RunRecord
from judgekit.run_folder import RunFolder
from judgekit.testing import Parrot, ParrotPlugin
from pairwise_study import execute

N = 24


@pytest.fixture
def here(tmp_path):
    """A file of items with the answers of three systems, of unequal worth and length."""
    Parrot.reset()
    items = [
        {"instruction": f"Say {n}.", "output": f"{n}", "a": f"{n} is it", "b": f"{n}" + " or so" * (n % 3), "c": "no"}
        for n in range(N)
    ]
    (tmp_path / "items.json").write_text(json.dumps(items))
    return tmp_path


def config(systems="abc", answer="A", **options):
    return {
        "name": "duels",
        "data": {"path": "items.json"},
        "models": {name: {"backend": "responses", "path": "items.json", "field": name} for name in systems},
        "judges": {
            "main": {"backend": "parrot", "prompt": "pairwise/letter", "answers": {"Say": answer}, "control_items": 0}
        },
        "metrics": {"duel": {"type": "pairwise", **options}},
        "reports": ["json", "html"],
        "statistics": {"resamples": 199},
    }


def record_of(folder, tree):
    return execute(folder, tree).record  # type: ignore[attr-defined, no-any-return]


def plan_of(folder, tree):
    manager = build_manager(
        only=("datasets", "html", "json", "metrics", "readings", "responses"), extra=[ParrotPlugin()]
    )
    return Run(RunConfig.model_validate(tree), folder, manager, Settings(folder / "runs", folder / "home")).plan()


def test_a_judge_that_always_takes_the_first_is_found_out(here):
    record = record_of(here, config("ab", against="b"))
    by_name = {one.series: one for one in record.estimates}
    assert {one.opponent for one in record.estimates} == {"b"}
    assert by_name["value"].value == 0.5
    assert by_name["consistent"].value == 0
    assert by_name["first"].value == 1
    assert by_name["first"].interval.method == "wilson_neff"
    assert by_name["first"].interval.low is not None
    assert by_name["first"].interval.low > 0.8
    assert by_name["both_orders"].value == 0.5
    assert "consistent_only" not in by_name
    counted = {one.name: one.value for one in record.statistics}
    assert (counted["ties"], counted["changed"], counted["first_won"]) == (N, N, N)
    assert counted["sign_test"] == pytest.approx(2 * 0.5**N)


def test_three_systems_meet_as_the_config_says(here):
    tree = config(answer="tie")
    record = record_of(here, tree)
    pairs = [("b", "a"), ("c", "a"), ("c", "b")]
    assert [(one.system, one.opponent) for one in record.estimates if one.series == "value"] == pairs
    strengths = [one for one in record.estimates if one.series == "bradley_terry"]
    assert [(one.system, one.opponent, one.value) for one in strengths] == [("b", "a", 0.5), ("c", "a", 0.5)]
    assert {one.interval.note for one in strengths} == {"every resample gives the same"}
    assert record.differences == ()
    assert len(Parrot.history) == 3 * 2 * N
    assert [line.calls for line in plan_of(here, tree).lines if line.stage == "measuring duel"] == [3 * 2 * N]
    rows = list(RunFolder(here / "runs" / record.run_id).rows)
    assert [(row.system, row.opponent) for row in rows] == [pair for pair in pairs for _ in range(N)]
    record = record_of(here, config(answer="tie", against="all") | {"against": "c"})
    assert {one.opponent for one in record.estimates if one.series == "bradley_terry"} == {"c"}
    assert [(one.system, one.opponent) for one in record.estimates if one.series == "value"] == [
        ("a", "c"), ("b", "c"), ("b", "a"),
    ]  # fmt: skip
    tree = config(against="b")
    record = record_of(here, tree)
    assert [(one.system, one.opponent) for one in record.estimates if one.series == "value"] == [("a", "b"), ("c", "b")]
    assert all(one.series != "bradley_terry" for one in record.estimates)
    assert [line.calls for line in plan_of(here, tree).lines if line.stage == "measuring duel"] == [2 * 2 * N]


def test_strengths_that_are_infinite_are_refused_in_words_everywhere(here):
    tree = config()
    verdicts = [
        {"id": str(n), "x": x, "y": y, "winner": min(x, y)}
        for n in range(12)
        for x, y in (("a", "b"), ("b", "c"), ("a", "c"))
    ]
    (here / "verdicts.json").write_text(json.dumps(verdicts))
    tree |= {
        "data": {"loader": "ids", "path": "verdicts.json"},
        "judges": {},
        "models": {name: {"backend": "unseen"} for name in "abc"},
        "metrics": {"duel": {"type": "stored_pairwise", "path": "verdicts.json", "verdict": "winner", "system": "x",
                             "opponent": "y"}},
    }  # fmt: skip
    record = record_of(here, tree)
    notes = {one.interval.note for one in record.estimates if one.series == "bradley_terry"}
    assert notes == {"the win graph is not strongly connected: a never lost or tied against b, c"}
    page = next(here.glob("runs/*/report.html")).read_text()
    assert "duel: no Bradley–Terry strengths: the win graph is not strongly connected" in page


def test_two_systems_with_other_item_ids_are_refused_before_any_call(here):
    items = [{"id": f"x{n}", "instruction": f"Say {n}.", "a": "yes"} for n in range(N)]
    (here / "items.json").write_text(json.dumps(items))
    other = [{"id": f"x{n + 2}", "instruction": f"Say {n}.", "b": "no"} for n in range(N)]
    (here / "other.json").write_text(json.dumps(other))
    tree = config("ab", against="b")
    tree["models"]["b"]["path"] = "other.json"
    with pytest.raises(PreflightError) as error:
        record_of(here, tree)
    said = str(error.value)
    assert "models.b: knows nothing of 2 of the 24 samples, such as 'x0', 'x1'" in said
    assert "it has others, such as 'x24', 'x25'" in said
    assert "matched by id (or by instruction and input), never by position" in said
    assert not Parrot.history
    assert not (here / "runs").exists()


def test_answers_in_another_order_are_matched_by_id(here):
    items = json.loads((here / "items.json").read_text())
    (here / "turned.json").write_text(json.dumps(items[::-1]))
    tree = config("ab", against="b", answer="tie")
    tree["models"]["b"]["path"] = "turned.json"
    record = record_of(here, tree)
    assert record.status == "complete"
    rows = list(RunFolder(here / "runs" / record.run_id).rows)
    assert [row.series["longer"] for row in rows] == [len(item["a"]) - len(item["b"]) for item in items]


def test_labels_and_rules_come_from_the_config(here):
    items = json.loads((here / "items.json").read_text())
    for n, item in enumerate(items):
        item |= {"id": str(n), "better": "tie" if n % 2 else "one"}
    (here / "items.json").write_text(json.dumps(items))
    labels = {"path": "items.json", "field": "better", "names": {"one": "a"}}
    record = record_of(here, config("ab", "tie", against="b", labels=labels, rule="both_orders"))
    found = {one.series: one.value for one in record.estimates}
    assert found["right"] == found["right_first"] == found["right_both"] == 0.5
    assert {"mean", "value"} <= set(found)
    with pytest.raises(PreflightError, match="no row has a field 'beter'; did you mean 'better'"):
        record_of(here, config("ab", "tie", against="b", labels=labels | {"field": "beter"}))
    with pytest.raises(PreflightError, match="rule"):
        record_of(here, config("ab", "tie", against="b", rule="consistent_only"))


def test_clusters_are_the_unit_of_every_number(here):
    rows = [
        {
            "id": f"{n}",
            "kind": f"k{n % 12}",
            "x": x,
            "y": y,
            "winner": (x, y, "tie", y)[(n % 12 + len(x + y)) % 4],
            "l": n * n % 17,
        }
        for n in range(48)
        for x, y in (("a", "bb"), ("bb", "ccc"), ("a", "ccc"))
    ]
    (here / "verdicts.json").write_text(json.dumps(rows))
    tree = config() | {
        "data": {"loader": "ids", "path": "verdicts.json", "category": "kind"},
        "judges": {},
        "models": {name: {"backend": "unseen"} for name in ("a", "bb", "ccc")},
        "metrics": {"duel": {"type": "stored_pairwise", "path": "verdicts.json", "verdict": "winner", "system": "x",
                             "opponent": "y", "length": "l", "length_opponent": "id"}},
        "statistics": {"resamples": 199, "cluster": "category"},
    }  # fmt: skip
    record = record_of(here, tree)
    found = [one for one in record.estimates if one.series in ("length_adjusted", "bradley_terry")]
    assert {one.series for one in found} == {"length_adjusted", "bradley_terry"}
    assert {one.n_clusters for one in found} == {12}
    tree["statistics"] = {"resamples": 199}
    alone = {(one.series, one.system, one.opponent): one for one in record_of(here, tree).estimates}
    wider = [one for one in found if (one.se or 0) > (alone[one.series, one.system, one.opponent].se or 1)]
    assert wider, "four copies of a cluster's verdicts are one"


@pytest.mark.slow
@pytest.mark.shared
@pytest.mark.timeout(3600)
def test_the_embedded_judge_on_llmbar(shared_data, tmp_path):
    """Both orders of 100 items finish; its figures are printed as they are."""
    from judgekit.cli import execute as command
    from real_model import gguf

    gguf()
    path = str(shared_data / "llmbar" / "natural.jsonl")
    labels = {"path": path, "field": "human_label", "names": {"1": "one", "2": "two"}}
    tree = {
        "name": "llmbar",
        "data": {"path": path},
        "models": {
            "one": {"backend": "responses", "path": path, "field": "output_1"},
            "two": {"backend": "responses", "path": path, "field": "output_2"},
        },
        "judges": {
            "smollm2": {
                "backend": "local",
                "model": "smollm2",
                "prompt": "pairwise/preference",
                "control_items": 0,
                "floor": 0.001,
            }
        },
        "metrics": {"duel": {"type": "pairwise", "against": "two", "labels": labels}},
        "reports": ["json"],
    }
    (tmp_path / "judgekit.yaml").write_text(json.dumps(tree))
    arguments = ["-o", str(tmp_path / "runs"), "--home", str(tmp_path / "home"), "-j", "1", "--progress", "none"]
    assert command(["run", str(tmp_path / "judgekit.yaml"), *arguments]) == 0
    (path_of,) = tmp_path.glob("runs/*/record.json")
    record = RunRecord.model_validate_json(path_of.read_text())
    value = next(one for one in record.estimates if one.series == "value")
    assert sum(value.counts.values()) == 100, "every item is scored or counted"
    assert set(value.counts) <= {"scored", "unparsed", "truncated"}
    assert value.n_items > 50
    assert {"right", "right_both", "consistent", "first"} <= {one.series for one in record.estimates}
    for one in record.estimates:
        print(one.series, one.value, one.interval, one.counts)
