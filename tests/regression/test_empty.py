"""Systems that answer with nothing: counted apart, and above a share no result at all."""

import pytest

from judgekit.records import Empty
from judgekit.regression.empty import MOST_EMPTY, broken, empty_lines, exit_code, most_empty
from judgekit.results import RunRecord
from judgekit.testing import Parrot
from parrot_runs import JUDGE, config, execute, nest

QUIET = JUDGE | {"answers": {"": "50"}, "control_items": 0}


def run(here, silent, **changes):
    """A run of two systems, of which one says nothing where `silent` is in the question."""
    answers = dict.fromkeys(silent, "<think>hm</think>\n") | {"number": "nothing"}
    models = {"dumb": {"backend": "parrot", "answers": answers, **changes.pop("model", {})}}
    models["good"] = {"backend": "parrot", "answers": {"number": "nothing"}}
    spec = config(models=models, judges={"main": QUIET}, **changes)
    return execute(spec, nest(here))


def test_they_are_counted_in_the_record_and_said_with_their_cause(tmp_path):
    outcome = run(tmp_path, ["number 1."])
    record = outcome.record
    cause = "nothing is left after its thoughts"
    assert record.empty == (Empty(system="dumb", count=1, of=12, causes={cause: 1}),)
    assert (record.status, record.errors) == ("complete", {})
    (line,) = empty_lines(record)
    assert line in record.warnings
    assert "1 of 12" in line
    assert cause in line
    assert outcome.folder.record() == record
    # the answer is one without a word: it counts in every mean
    assert {(one.metric, one.n_items) for one in record.estimates if one.system == "dumb"} == {
        ("exact", 12),
        ("quality", 12),
    }
    assert [row.value for row in outcome.folder.rows if row.metric == "exact" and row.system == "dumb"] == [0.0] * 12


@pytest.mark.parametrize(
    ("silent", "model", "code"),
    [
        (["number 1."], {}, 3),  # 1 of 12
        (["number 1."], {"max_empty": "10 %"}, 0),
        (["Say"], {"max_empty": 0.5}, 3),
        (["Say"], {"max_empty": 1}, 0),
        ([], {"max_empty": 0}, 0),
    ],
)
def test_a_broken_system_ends_the_run_with_3(tmp_path, silent, model, code):
    record = run(tmp_path, silent, model=model).record
    assert exit_code(record) == code
    assert [one.system for one in broken(record)] == (["dumb"] if code else [])
    assert all(("exit code 3" in line) == bool(code) for line in empty_lines(record))


def test_a_run_without_empty_answers_has_the_bytes_that_it_had(tmp_path):
    outcome = run(tmp_path, [])
    assert '"empty"' not in (outcome.folder.path / "record.json").read_text()
    assert "max_empty" not in outcome.record.spec["models"]["dumb"]
    assert "thoughts" not in outcome.record.spec["models"]["dumb"]


def test_a_second_run_counts_the_same_from_the_ledger(tmp_path):
    first = run(tmp_path, ["number 1."])
    bytes_of = (first.folder.path / "record.json").read_bytes()
    Parrot.reset()
    second = run(tmp_path, ["number 1."])
    assert second.asked == 0
    assert (second.folder.path / "record.json").read_bytes() == bytes_of


def test_a_gate_neither_passes_nor_fails_a_broken_system(tmp_path):
    gate = {"exact": {"max": 0.5}, "quality": {"min": 99, "system": "dumb"}}
    record = run(tmp_path, ["Say"], gate=gate).record
    outcomes = {(claim.metric, claim.system): claim.outcome for claim in record.gate.claims}
    assert {outcomes["exact", "dumb"], outcomes["quality", "dumb"]} == {"INCONCLUSIVE"}
    assert outcomes["exact", "good"] == "PASS"
    (claim,) = (one for one in record.gate.claims if one.metric == "quality")
    assert claim.reasons[0] == "12 of 12 answers of dumb are empty"


@pytest.mark.parametrize(
    ("models", "gate", "limit"),
    [
        ({}, None, MOST_EMPTY),
        ({"s": {"max_empty": 0.5}}, {"m": {"missing": 0.2}}, 0.5),
        ({}, {"m": {"missing": 0.2}}, 0.2),
        ({}, {"m": {"missing": 0.2}, "n": {"missing": 0.1}}, 0.1),
        ({}, {"m": {"missing": 0.2, "system": ["t"]}}, MOST_EMPTY),
        ({}, {"m": {"missing": 0.2}, "system": ["t"]}, MOST_EMPTY),
        ({}, {"m": {"missing": 0.2, "system": ["s"]}, "system": ["t"]}, 0.2),
        ({}, {"m": {"margin": 3}}, MOST_EMPTY),
    ],
)
def test_the_share_is_the_models_own_or_what_the_gate_allows_to_be_missing(models, gate, limit):
    known = {"run_id": "r", "name": "r", "judgekit_version": "0", "status": "complete", "inputs": {}, "plugins": ()}
    known |= {"identities": {}, "n_samples": 1, "systems": ("s",), "estimates": ()}
    assert most_empty(RunRecord(**known, spec={"models": models, "gate": gate}), "s") == limit
