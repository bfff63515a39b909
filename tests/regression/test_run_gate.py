"""A run with a `gate:` block: checked before any call, gated at its end, and stopped early where that is decided."""

import json
import threading

import pytest

from judgekit.cli.gate import run_gate
from judgekit.config.blocks import RunConfig
from judgekit.errors import PreflightError, UsageError
from judgekit.pipeline.run import Run, Settings
from judgekit.plugins import build_manager
from judgekit.records import NOT_JUDGED
from judgekit.regression.baseline import write_baseline
from judgekit.run_folder import BASELINE
from judgekit.testing import Parrot, ParrotPlugin

N = 160
ITEMS = [
    {"instruction": f"Say the word number {i}.", "output": f"word {i}", "category": f"kind {i % 3}"} for i in range(N)
]
JUDGE = {"backend": "parrot", "prompt": "score/integer", "temperature": 1.0, "control_items": 4}
GATE = {"baseline": "base.json", "waive": "main"}


@pytest.fixture
def here(tmp_path):
    (tmp_path / "items.json").write_text(json.dumps(ITEMS))
    Parrot.reset()
    return tmp_path


def config(**changes):
    tree = {
        "name": "gated",
        "data": {"path": "items.json"},
        "models": {"good": {"backend": "parrot"}},
        "judges": {"main": JUDGE},
        "metrics": {"quality": {"type": "score", "judge": "main"}, "exact": {"type": "exact_match"}},
        "reports": ["json"],
        "statistics": {"resamples": 199},
    }
    return RunConfig.model_validate(tree | changes)


def execute(spec, here, **settings):
    manager = build_manager(only=("datasets", "json", "metrics", "readings", "responses"), extra=[ParrotPlugin()])
    return Run(
        spec, here, manager, Settings(output=here / "runs", home=here / "home", **settings), threading.Event()
    ).execute()


@pytest.fixture
def baseline(here):
    write_baseline(execute(config(), here).folder.view(), here / "base.json")
    Parrot.reset()
    return here / "base.json"


def test_a_run_gates_at_its_end_and_its_record_says_so(here, baseline, capsys):
    outcome = execute(config(gate=GATE | {"quality": {"margin": 25}}, seed=1), here)
    gate = outcome.record.gate
    assert gate.outcome == "PASS"
    assert [(claim.metric, claim.system, claim.n_items) for claim in gate.claims] == [("quality", "good", N)]
    assert outcome.folder.view().record.gate == gate
    assert (outcome.folder.path / BASELINE).read_bytes() == baseline.read_bytes()
    assert run_gate(outcome.record, here / "home") == 0
    assert "PASS" in capsys.readouterr().out


def test_a_second_start_gives_the_same_bytes(here, baseline):
    spec = config(gate=GATE | {"quality": {"margin": 25}}, seed=1)
    first = execute(spec, here)
    content = (first.folder.path / "record.json").read_bytes()
    assert execute(spec, here).asked == 0
    assert (first.folder.path / "record.json").read_bytes() == content


def test_a_loss_fails(here, baseline, capsys):
    spec = config(gate={"exact": {"min": 0.5}})
    outcome = execute(spec, here)
    assert run_gate(outcome.record, here / "home") == 1
    assert outcome.record.status == "complete"
    assert "at least 50.0 %" in capsys.readouterr().out


def test_the_first_run_has_no_baseline_and_says_how_to_make_one(here, capsys):
    outcome = execute(config(gate=GATE | {"quality": {"margin": 25}}), here)
    assert outcome.record.gate is None
    assert "no such baseline; `judgekit baseline set RUN" in outcome.record.gate_trouble
    assert outcome.folder.view().record.gate_trouble == outcome.record.gate_trouble
    assert any("no such baseline" in warning for warning in outcome.record.warnings)
    assert run_gate(outcome.record, here / "home") == 2
    assert "no such baseline" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("gate", "message"),
    [
        ({"qualty": {"margin": 3}}, "no metric named 'qualty'; did you mean 'quality'"),
        ({"quality": {"margin": 3, "system": "goood"}}, "no system named 'goood'; did you mean 'good'"),
        ({"quality": {"margin": 300}}, "as wide as the scale"),
        ({"exact": {"min": 50}}, "off the scale"),
        ({"quality": {"margin": 3}, "baseline": "items.json"}, "is no baseline"),
        ({"quality": {"margin": 3}, "baseline": None}, "a margin needs gate.baseline"),
    ],
)
def test_what_is_wrong_is_found_before_any_call(here, baseline, gate, message):
    with pytest.raises(PreflightError, match=message) as caught:
        execute(config(gate=GATE | gate, seed=1), here)
    assert caught.value.exit_code == 2
    assert not Parrot.history


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"limit": 100}, "dataset: 100 samples in the run, 160 in the baseline"),
        ({"judges": {"main": JUDGE | {"prompt": "score/reason_json"}}}, "prompt score/"),
        ({"judges": {"main": JUDGE | {"temperature": 0.5}}}, "judge temperature"),
        ({"judges": {"main": JUDGE | {"fail_on": "zzz"}}}, "judge's fail_on: zzz in the run"),
    ],
)  # fmt: skip
def test_another_instrument_is_found_before_any_call(here, baseline, changes, message):
    with pytest.raises(UsageError, match=message):
        execute(config(gate=GATE | {"quality": {"margin": 25}}, **changes), here)
    assert not Parrot.history


def test_too_small_a_margin_keeps_the_run_and_is_inconclusive(here, baseline, capsys):
    outcome = execute(config(gate=GATE | {"quality": {"margin": 1}}, seed=1), here)
    assert (outcome.folder.path / "record.json").is_file()
    assert run_gate(outcome.record, here / "home") == 3
    assert "cannot decide a margin of 1: it needs" in capsys.readouterr().out


def test_an_incomplete_run_is_inconclusive(here, baseline, capsys):
    models = {"good": {"backend": "parrot", "fail_on": "number 3."}}
    outcome = execute(config(gate=GATE | {"quality": {"margin": 25}}, models=models), here)
    assert outcome.record.status == "incomplete"
    assert run_gate(outcome.record, here / "home") == 3
    assert "incomplete" in capsys.readouterr().out


def test_other_runs_keep_their_judge_calls(here, baseline):
    execute(config(gate=GATE | {"quality": {"margin": 25}}), here)
    assert not Parrot.history  # all is in the ledger: a gate changes nothing that is asked


# --- sequential -------------------------------------------------------------------------------------------------------


def test_a_sequential_gate_stops_judging_and_says_what_it_spared(here, baseline):
    spec = config(gate=GATE | {"quality": {"margin": 45, "sequential": True}}, seed=1)
    outcome = execute(spec, here)
    (claim,) = outcome.record.gate.claims
    assert claim.outcome == "PASS"
    assert claim.stop.decided == "PASS"
    assert 0 < claim.stop.judged < claim.stop.planned == N
    assert f"{N - claim.stop.judged} of {N} (" in claim.stop.note
    assert outcome.record.status == "complete"
    rows = [row for row in outcome.folder.rows if row.metric == "quality"]
    spared = [row for row in rows if row.status == "skipped"]
    assert len(rows) == N
    assert len(spared) == N - claim.stop.judged
    assert all(row.verdicts[0].detail.startswith(NOT_JUDGED) for row in spared)
    judged = [call for call in Parrot.history if call.sampling.temperature == 1.0]
    assert len(judged) <= claim.stop.judged + 2 * 60  # and the card's arms
    assert len(judged) < N
    (estimate,) = [e for e in outcome.record.estimates if e.metric == "quality"]
    assert estimate.counts["skipped"] == N - claim.stop.judged
    others = [row for row in outcome.folder.rows if row.metric == "exact"]
    assert all(row.status == "scored" for row in others)


def test_which_items_are_judged_is_random_by_seed_and_by_no_thread(here, baseline):
    def judged(seed, **settings):
        spec = config(gate=GATE | {"quality": {"margin": 45, "sequential": True}}, seed=seed)
        outcome = execute(spec, here, **settings)
        content = (outcome.folder.path / "record.json").read_bytes()
        rows = [row for row in outcome.folder.rows if row.metric == "quality" and row.status == "scored"]
        return [row.sample_id for row in rows], content

    first, record = judged(1, jobs=1)
    assert judged(1, jobs=16, fresh=True) == (first, record)
    assert judged(2)[0] != first
    in_file_order = [sample.id for sample in execute(config(), here).folder.samples]
    assert set(first) != set(in_file_order[: len(first)])  # not the head of the file
    assert [one for one in in_file_order if one in set(first)] == first  # and the rows are in its order


def test_nothing_spared_is_a_result(here, baseline):
    outcome = execute(config(gate=GATE | {"quality": {"margin": 12.5, "sequential": True}}, seed=4), here)
    (claim,) = outcome.record.gate.claims
    assert claim.stop.decided is None
    assert claim.stop.judged == claim.stop.planned == N
    assert "no look decided" in claim.stop.note


def test_a_dry_run_of_a_sequential_gate_counts_every_call(here, baseline):
    manager = build_manager(only=("datasets", "json", "metrics", "readings", "responses"), extra=[ParrotPlugin()])
    spec = config(gate=GATE | {"quality": {"margin": 45, "sequential": True}}, seed=1)
    plan = Run(spec, here, manager, Settings(output=here / "runs", home=here / "home"), threading.Event()).plan()
    (line,) = [line for line in plan.lines if line.stage == "measuring quality"]
    assert line.calls == N
