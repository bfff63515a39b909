"""Every number of three runs, made again from their rows by a script that shares no code with judgekit."""

import ast
import json
from pathlib import Path

import numpy as np
import pytest

import recompute
from parrot_runs import JUDGE, config, execute, nest

RNG = np.random.default_rng(4)
WINNERS, LENGTHS = RNG.choice(["x", "y", "tie"], (40, 2)).tolist(), RNG.integers(20, 400, (40, 2)).tolist()
DUELS = [
    {"id": f"d{n}", "first": first, "second": second, "la": ours, "lb": theirs}
    for n, ((first, second), (ours, theirs)) in enumerate(zip(WINNERS, LENGTHS, strict=True))
]


@pytest.fixture
def alike(tmp_path):
    def run(**changes):
        folder = execute(config(**changes), nest(tmp_path)).folder.path
        wrong, compared = recompute.differences(folder)
        assert wrong == []
        return compared

    return run


def test_a_run_with_repeats_of_answers_and_judgements(alike):
    models = {name: {"backend": "parrot", "temperature": 1.0} for name in ("good", "bad")}
    by = {"by": ["category"], "resamples": 199}
    compared = alike(repeats={"generation": 3, "judge": 2}, models=models, against="bad", statistics=by)
    assert compared["value"] >= 28, "of the whole and of three groups"
    assert compared["interval"] >= 6
    assert compared["statistic"] >= 2


def test_a_run_with_missing_verdicts(alike):
    compared = alike(judges={"main": JUDGE | {"answers": {"number 3.": "no number", "number 7.": "none"}}})
    assert compared["bounds"] >= 4


def test_a_run_of_stored_comparisons_in_both_orders(alike, tmp_path):
    (tmp_path / "duels.json").write_text(json.dumps(DUELS))
    duel = {"type": "stored_pairwise", "path": "duels.json", "verdict": "first", "swapped": "second"}
    compared = alike(
        data={"loader": "ids", "path": "duels.json"},
        models={"x": {"backend": "unseen"}, "y": {"backend": "unseen"}},
        judges={},
        metrics={"duel": duel | {"length": "la", "length_opponent": "lb"}},
    )
    assert compared["value"] >= 5
    assert compared["statistic"] >= 3


def test_the_script_shares_no_code_and_is_short():
    text = Path(recompute.__file__).read_text()
    modules = [alias.name for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Import) for alias in node.names]
    modules += [str(node.module) for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ImportFrom)]
    assert not [name for name in modules if name.startswith("judgekit")]
    assert len(text.splitlines()) <= 200
