"""What a run with repeats prints: both estimands by name, the bootstrap beside the headline, what to buy next."""

import re

import numpy as np

from judgekit.cli.results import print_record
from judgekit.records import Scale
from judgekit.results import PooledRun
from judgekit.statistics.estimates import IntervalTerms, Subject, estimate
from judgekit.statistics.items import ItemTable
from judgekit.statistics.variance import variance_budget
from sample_run import sample_run

SCORE = Scale(label="score", low=0, high=100)


def record(repeats, n=30, missing=0):
    rng = np.random.default_rng(3)
    table = ItemTable()
    for i, middle in enumerate(rng.uniform(20, 80, n)):
        for repeat in range(repeats):
            table.add(f"{i:03}", repeat, 0, float(middle + rng.uniform(-10, 10)))
    for i in range(missing):
        table.add(f"x{i:03}", 0, 0, None, "unparsed")
    made = estimate(table, Subject("quality", "sft", SCORE), IntervalTerms(resamples=999))
    budget = variance_budget(table, made[0])
    view = sample_run(
        4, 1, systems=("sft",), estimates=tuple(made), differences=(), statistics=(), variance_budgets=(budget,)
    )
    return view.record, made, budget


def shown(found):
    return f"[{found.low:.1f}, {found.high:.1f}]"


def printed(capsys, found, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    print_record(found)
    return capsys.readouterr().out


def test_both_estimands_are_printed_and_named(capsys, monkeypatch):
    found, (new, rerun), budget = record(3)
    out = printed(capsys, found, monkeypatch)
    first, second = out.index("intervals for new items"), out.index("intervals for a rerun on these items")
    assert first < out.index(shown(new.interval)) < second < out.index(shown(rerun.interval))
    assert "30 × 3" in out[second:]
    assert re.search(r"quality, sft: items \d+%, generation \d+%\. Buy items: ", out)
    assert budget.advice in out


def test_a_pooled_run_says_of_which_runs(capsys, monkeypatch):
    pooled = tuple(PooledRun(run_id=f"run-{seed}", seed=seed, repeats=(seed,)) for seed in (0, 1))
    out = printed(capsys, record(2)[0].model_copy(update={"pooled": pooled}), monkeypatch)
    assert out.startswith("2 runs pooled as repeats of the same items: run-0 (seed 0), run-1 (seed 1)\n")


def test_the_bootstrap_stands_beside_another_headline(capsys, monkeypatch):
    found, (new,), _ = record(1)
    assert new.interval.method == "plus_two_t"
    out = printed(capsys, found, monkeypatch)
    assert shown(new.bootstrap) in out
    assert "rerun" not in out
    assert "what to buy next" not in out, "one repeat tells nothing of repeats"


def test_a_headline_that_is_the_bootstrap_says_so(capsys, monkeypatch):
    found, (new,), _ = record(1, n=60)
    out = printed(capsys, found, monkeypatch)
    assert new.interval.method == "bootstrap"
    assert out.count(shown(new.interval)) == 1
    assert "the same" in out


def test_missing_verdicts_have_their_bounds(capsys, monkeypatch):
    found, (new,), _ = record(1, missing=2)
    out = printed(capsys, found, monkeypatch)
    assert f"2 unparsed [{new.bounds[0]:.1f}, {new.bounds[1]:.1f}]" in out
