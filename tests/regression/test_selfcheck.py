"""`judgekit selfcheck` on scores whose answer is known."""

import json

import pytest

from gate_folders import a_run, drawn, moved, samples_of
from judgekit.cli import execute
from judgekit.regression.baseline import write_baseline
from judgekit.regression.selfcheck import SelfcheckOptions, selfcheck
from judgekit.run_folder import RunFolder

BASE = drawn(60, 1)


def checked(run, **terms):
    return selfcheck(RunFolder(run).view(), SelfcheckOptions(**terms))


def noisy(repeats=3, sd=8):
    return [list(values) for values in zip(*(moved(BASE, 0, seed, sd=sd) for seed in range(repeats)), strict=True)]


def test_ordinary_scores_are_covered_and_the_gate_keeps_its_word(tmp_path):
    (found,) = checked(a_run(tmp_path / "run", {"quality": {"sft": noisy()}}))
    assert (found.n_items, found.repeats, found.method) == (60, 3, "bootstrap")
    assert abs(found.coverage.value - 0.95) < 4 * found.coverage.error + 0.01
    assert found.false_alarms.value <= 0.05 + 3 * found.false_alarms.error
    assert abs(found.naive.value - 0.5) < 0.02
    assert found.noise_from == "repeats of the same items"
    assert 0 < found.coverage.error < 0.02


def test_a_method_that_covers_too_little_is_caught(tmp_path):
    spec = {"statistics": {"confidence": 0.95, "interval": "t", "cluster": None, "resamples": 499}}
    skewed = [100.0] * 18 + [0.0, 10.0]
    (found,) = checked(a_run(tmp_path / "run", {"quality": {"sft": skewed}}, spec=spec), simulations=300)
    assert found.coverage.value < 0.93
    assert found.method == "t"


def test_one_repeat_says_nothing_of_reruns_but_a_rerun_does(tmp_path):
    run = a_run(tmp_path / "run", {"quality": {"sft": BASE}})
    (found,) = checked(run, simulations=50)
    assert found.false_alarms.value is None
    assert "one repeat" in found.false_alarms.note
    path = tmp_path / "b.json"
    write_baseline(RunFolder(a_run(tmp_path / "rerun", {"quality": {"sft": moved(BASE, 0, 3)}})).view(), path)
    from judgekit.regression.rules import Reference

    (found,) = checked(run, reference=Reference.read(path))
    assert found.noise_from == "the run and the baseline"
    assert found.false_alarms.value <= 0.05


@pytest.mark.parametrize(
    ("scores", "note"), [([80.0] * 30, "same score"), ([50.0], "one item"), ([None] * 5, "no scored item")]
)
def test_where_nothing_can_be_said_the_reason_is(tmp_path, scores, note):
    (found,) = checked(a_run(tmp_path / "run", {"quality": {"sft": scores}}), simulations=20)
    assert found.coverage.value is None
    assert note in found.coverage.note


def test_clusters_are_drawn_whole(tmp_path):
    spec = {"statistics": {"confidence": 0.95, "interval": "auto", "cluster": "category", "resamples": 499}}
    samples = [sample.model_copy(update={"category": f"c{i // 3:02}"}) for i, sample in enumerate(samples_of(60))]
    run = a_run(tmp_path / "run", {"quality": {"sft": BASE}}, spec=spec, samples=samples)
    (found,) = checked(run, simulations=200)
    assert found.method == "cluster_t"
    assert found.coverage.value > 0.85
    assert "clusters" in found.false_alarms.note


def test_the_command_prints_its_own_error(tmp_path, capsys):
    run = a_run(tmp_path / "run", {"quality": {"sft": noisy(2)}})
    assert execute(["selfcheck", str(run), "--simulations", "40"]) == 0
    out, _ = capsys.readouterr()
    assert "±" in out
    assert "Monte Carlo error" in out
    assert execute(["selfcheck", str(run), "--simulations", "40", "--json"]) == 0
    (tree,) = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert tree["coverage"]["simulations"] == 40
    assert execute(["selfcheck", str(run), "--metric", "qualty"]) == 2
    assert "did you mean 'quality'" in capsys.readouterr().err


def test_the_same_seed_gives_the_same_figures(tmp_path):
    run = a_run(tmp_path / "run", {"quality": {"sft": noisy(2)}})
    assert checked(run, simulations=30) == checked(run, simulations=30)
