"""What every item scored, and how far two of them differ."""

import pytest

from gate_folders import a_run, as_if_written
from judgekit.errors import DataError
from judgekit.records import ScoreKey
from judgekit.run_folder import RunFolder
from judgekit.statistics.scores_by_item import item_differences, item_scores


def test_repeats_are_averaged_and_what_has_no_score_is_left_out(tmp_path):
    run = RunFolder(a_run(tmp_path / "run", {"quality": {"a": [[1, 3], None, 5]}}))
    assert item_scores(run.view()) == {ScoreKey("quality", "a", ""): {"s000": 2.0, "s002": 5.0}}
    run.rows.write([row for row in run.view().rows for _ in range(2)])
    as_if_written(run.path)
    with pytest.raises(DataError):
        item_scores(run.view())


def test_differences_are_of_items_that_both_have():
    assert item_differences({"a": 0.3, "b": 1.0}, {"a": 0.1, "c": 2.0}) == {"a": 0.2}
