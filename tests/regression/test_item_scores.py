"""The item scores of a baseline file are those of the run that it was written from."""

import pytest

from gate_folders import a_run
from judgekit.errors import DataError
from judgekit.regression.baseline import write_baseline
from judgekit.regression.item_scores import baseline_scores
from judgekit.run_folder import RunFolder
from judgekit.statistics.scores_by_item import item_scores


def test_a_baseline_has_the_scores_of_its_run(tmp_path):
    view = RunFolder(a_run(tmp_path / "run", {"quality": {"a": [[1, 3], None, 5], "b": [4, 5, 6]}})).view()
    write_baseline(view, tmp_path / "baseline.json")
    assert baseline_scores(tmp_path / "baseline.json") == item_scores(view)


def test_a_file_that_is_no_baseline_is_named(tmp_path):
    with pytest.raises(DataError) as caught:
        baseline_scores(tmp_path / "gone.json")
    assert caught.value.place == str(tmp_path / "gone.json")
