"""What the config accepts as unanswered: left out of a gate on either side, counted all the same, and told."""

import pytest

from gate_folders import a_run, drawn, moved
from judgekit.config.blocks import GateConfig, RunConfig
from judgekit.regression.baseline import accepted_by, read_baseline, write_baseline
from judgekit.regression.gate import evaluate
from judgekit.regression.rules import Reference
from judgekit.run_folder import RunFolder

BASE = drawn(120, 1)
ACCEPT = {"accept": ["refused"]}


def lacking(scores, *places):
    return [None if place in places else score for place, score in enumerate(scores)]


@pytest.fixture
def gated(tmp_path):
    def make(new, old, rules, spec=None, old_spec=None, missing="refused"):
        path = tmp_path / "baseline.json"
        write_baseline(
            RunFolder(a_run(tmp_path / "old", {"q": {"a": old}}, spec=old_spec, missing=missing)).view(), path
        )
        view = RunFolder(a_run(tmp_path / "new", {"q": {"a": new}}, spec=spec, missing=missing)).view()
        return evaluate(view, GateConfig.model_validate({"q": rules}), Reference.read(path))

    return make


NEW = moved(BASE, 0, 2)
FEW = (3, 7, 33, 50, 61, 90)


@pytest.mark.parametrize("rules", [{"margin": 3}, {"min": 54}, {"catastrophe": {"fall": 50, "share": 0.04}}])
def test_accepted_verdicts_hold_no_gate_up(gated, rules):
    assert gated(NEW, BASE, rules).outcome == "PASS"
    assert gated(lacking(NEW, *FEW), BASE, rules).outcome == "INCONCLUSIVE"
    gate = gated(lacking(NEW, *FEW), BASE, rules, ACCEPT)
    assert gate.outcome == "PASS"
    assert gate.claims[0].n_items == 114
    assert "q, a: left out, as the config accepts them: 6 refused" in gate.notes
    assert gated(lacking(NEW, *FEW), BASE, rules, ACCEPT, missing="error").outcome == "INCONCLUSIVE"


def test_what_the_baseline_lacks_holds_no_gate_up_either(gated):
    assert gated(NEW, lacking(BASE, *FEW), {"margin": 3}).outcome == "INCONCLUSIVE"
    gate = gated(NEW, lacking(BASE, *FEW), {"margin": 3}, old_spec=ACCEPT)
    assert (gate.outcome, gate.claims[0].n_items) == ("PASS", 114)


def test_a_loss_still_fails_and_the_share_is_still_counted(gated):
    worse = lacking(moved(BASE, -8, 2), *FEW)
    assert gated(worse, BASE, {"margin": 3}, ACCEPT).outcome == "FAIL"
    many = lacking(NEW, *range(40))
    assert gated(many, BASE, {"missing": 0.1}, ACCEPT).outcome == "FAIL"
    nothing = gated([None] * 120, BASE, {"min": 20}, ACCEPT)
    assert nothing.outcome == "INCONCLUSIVE", "a gate never passes on nothing"


def test_the_file_names_them_only_where_there_are_some(tmp_path):
    for name, spec, ids in (("with", ACCEPT, 6), ("without", None, 0)):
        view = RunFolder(a_run(tmp_path / name, {"q": {"a": lacking(BASE, *FEW)}}, spec=spec, missing="refused")).view()
        write_baseline(view, tmp_path / f"{name}.json")
        assert len(read_baseline(tmp_path / f"{name}.json").metrics["q"].systems["a"].accepted) == ids
        assert ('"accepted"' in (tmp_path / f"{name}.json").read_text()) is bool(ids)
        assert list(accepted_by(view.record)) == (spec or {}).get("accept", [])


def test_the_option_is_part_of_the_work_only_if_given():
    tree = {"name": "x", "data": {"path": "x.json"}, "models": {"a": {"backend": "parrot"}}}
    tree |= {"metrics": {"q": {"type": "exact_match"}}}
    assert "accept" not in RunConfig.model_validate(tree).work()
    spec = RunConfig.model_validate(tree | {"accept": ["truncated", "refused"]}).work()
    assert spec["accept"] == ["refused", "truncated"]
    with pytest.raises(ValueError, match="accept"):
        RunConfig.model_validate(tree | {"accept": ["scored"]})
