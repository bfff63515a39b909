"""`judgekit report RUN RUN RUN`: runs of one spec under other seeds stand as repeats of one run."""

import json

import pytest

from gate_folders import as_if_written
from judgekit.errors import DataError, StorageError, UsageError
from judgekit.pipeline.pool import pool
from judgekit.pipeline.report import write_reports
from parrot_runs import ITEMS, JUDGE, execute, manager, nest
from parrot_runs import config as parrots

MODELS = {
    "good": {"backend": "parrot", "temperature": 1.0},
    "bad": {"backend": "parrot", "answers": {"number": "nothing"}, "temperature": 0, "repeats": 1},
}


@pytest.fixture
def here(tmp_path):
    return nest(tmp_path)


def run(here, **changes):
    return execute(parrots(**{"models": MODELS, "against": "bad", **changes}), here).folder


def pooled(folders, here):
    return pool(folders, here / "runs", manager()).view().record


def test_runs_of_other_seeds_are_the_repeats_of_one_run(here):
    """Repeat r is drawn with seed + r: three runs are one with three repeats, number for number and row for row."""
    folder = pool([run(here, seed=seed) for seed in range(3)], here / "runs", manager())
    whole = run(here, repeats={"generation": 3})
    record, expected = folder.view().record, whole.view().record
    for field in ("estimates", "differences", "statistics", "variance_budgets", "systems", "n_samples"):
        assert getattr(record, field) == getattr(expected, field), field
    good = [row for row in record.estimates if (row.metric, row.system) == ("quality", "good")]
    assert [(row.estimand, row.repeats) for row in good] == [("new items", 3), ("rerun on these items", 3)]
    assert list(folder.rows) == list(whole.rows)
    assert list(folder.responses("good")) == list(whole.responses("good"))


def test_the_record_says_which_runs_it_pools(here):
    runs = [run(here, seed=seed) for seed in (5, 2, 9)]
    record = pooled(runs, here)
    assert [(one.seed, one.repeats) for one in record.pooled] == [(2, (0,)), (5, (1,)), (9, (2,))]
    assert {one.run_id for one in record.pooled} == {folder.path.name for folder in runs}
    assert record.run_id.startswith("parrots-pooled-")
    assert record.model_dump_json() == pooled(runs[::-1], here).model_dump_json(), "in any order"


def test_a_pool_is_a_run_that_reports_are_made_of(here):
    runs = [run(here, seed=seed) for seed in range(3)]
    folder = pool(runs, here / "runs", manager())
    html, summary = write_reports(folder, ["html", "json"], manager())
    text = html.read_text("utf-8")
    for one in runs:
        assert one.path.name in text
        assert one.path.name in summary.read_text("utf-8")
    assert "rerun on these items" in summary.read_text("utf-8")


def test_what_no_seed_changes_is_counted_once_and_said(here):
    record = pooled([run(here, seed=seed) for seed in range(3)], here)
    bad = [row for row in record.estimates if row.system == "bad" and row.metric == "exact"]
    assert [(row.estimand, row.repeats) for row in bad] == [("new items", 1)]
    assert "exact, bad: the seed changed neither answers nor verdicts, so the runs are counted once" in record.warnings
    assert not any("quality, good" in warning for warning in record.warnings)


def test_other_verdicts_on_the_same_answers_are_repeats_of_the_judge(here):
    """A fresh judge that draws anew: its rows differ while every answer is the same."""
    runs = [run(here, seed=seed, models={"bad": MODELS["bad"]}, against=None) for seed in range(2)]
    rows = list(runs[1].rows)
    runs[1].rows.write(
        row if row.metric == "exact" else row.model_copy(update={"value": 100 - (row.value or 0)}) for row in rows
    )
    as_if_written(runs[1].path)
    folder = pool(runs, here / "runs", manager())
    scores = [row for row in folder.rows if row.metric == "quality"]
    assert {(row.repeat, row.judge_repeat) for row in scores} == {(0, 0), (0, 1)}
    assert [response.repeat for response in folder.responses("bad")] == [0] * 12
    (budget,) = (one for one in folder.view().record.variance_budgets if one.metric == "quality")
    assert budget.generation is None
    assert budget.judge is not None
    rerun = next(row for row in folder.view().record.estimates if row.estimand != "new items")
    assert rerun.interval.note == "of the judgements alone: every item was answered once"


def test_a_draw_that_two_runs_share_counts_once(here):
    """Seeds 0 and 1 with two repeats draw with 0, 1 and 1, 2."""
    record = pooled([run(here, seed=seed, repeats={"generation": 2}) for seed in (0, 1)], here)
    assert [one.repeats for one in record.pooled] == [(0, 1), (2,)]
    assert next(row.repeats for row in record.estimates if row.system == "good") == 3
    assert any(warning.startswith("generation repeats left out: 1.") for warning in record.warnings)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"limit": 11}, "limit is not set and 11"),
        ({"repeats": {"judge": 2}}, "repeats.judge is 1 and 2"),
        ({"statistics": {"interval": "bca", "resamples": 199}}, 'statistics.interval is "auto" and "bca"'),
        ({"judges": {"main": JUDGE | {"seed": 7}}}, "judges.main.seed"),
        ({"judges": {"main": JUDGE | {"prompt": "score/reason_json"}}}, "judges.main.prompt"),
        ({"metrics": {"exact": {"type": "exact_match"}}}, "metrics.quality"),
    ],
)
def test_what_differs_in_more_than_the_seed_is_refused_by_name(here, changes, named):
    with pytest.raises(UsageError, match="differ in more than their seed") as raised:
        pooled([run(here), run(here, seed=1, **changes)], here)
    assert named in str(raised.value)


def test_a_pool_is_not_pooled_again(here):
    runs = [run(here, seed=seed) for seed in range(3)]
    with pytest.raises(UsageError, match="are the same run"):
        pooled([runs[0], runs[0]], here)
    (here / "items.json").write_text(json.dumps([{**ITEMS[0], "output": "another"}, *ITEMS[1:]]))
    with pytest.raises(UsageError, match=r"data .*items\.json is "):
        pooled([runs[0], run(here, seed=1)], here)
    both = pool(runs[:2], here / "runs", manager())
    with pytest.raises(UsageError, match="pools runs already") as raised:
        pooled([both, runs[2]], here)
    assert runs[0].path.name in str(raised.value)


def test_an_incomplete_run_makes_the_pool_incomplete(here):
    runs = [run(here, seed=seed) for seed in range(2)]
    broken = runs[1].view().record.model_copy(update={"status": "incomplete", "errors": {"judging main: down": 3}})
    runs[1].write_record(broken)
    record = pooled(runs, here)
    assert record.status == "incomplete"
    assert record.errors == {"judging main: down": 3}


def test_rows_that_lack_an_item_are_refused(here):
    runs = [run(here, seed=seed) for seed in range(2)]
    runs[1].rows.write(list(runs[1].rows)[:-1])
    with pytest.raises(StorageError, match=r"rows\.jsonl"):
        pooled(runs, here)
    as_if_written(runs[1].path)
    with pytest.raises(DataError, match="do not have the same items"):
        pooled(runs, here)
