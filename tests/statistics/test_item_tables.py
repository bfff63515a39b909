"""Tables of item values from rows: one a place, without skipped rows."""

import pytest

from judged_runs import row
from judgekit.errors import DataError
from judgekit.records import ScoreKey
from judgekit.statistics.item_tables import item_tables, rounded


def test_rows_are_sorted_into_tables_by_what_they_measure():
    rows = [row("s1", 1.0), row("s2", None), row("s3", None, status="skipped")]
    rows += [row("s1", 2.0, system="b"), row("s1", 3.0, metric="other")]
    tables, used = item_tables(rows, {"quality"})
    assert set(tables) == {ScoreKey("quality", "sft", ""), ScoreKey("quality", "b", "")}
    mine = tables["quality", "sft", ""]
    assert mine.by_id() == {"s1": 1.0}
    assert (mine.counts["scored"], mine.counts["unparsed"], mine.counts["skipped"]) == (1, 1, 1)
    assert used == {"quality": {"s1", "s2", "s3"}}


def test_no_number_is_refused_with_its_item():
    wrong = row("s1", 1.0).model_copy(update={"value": float("nan")})
    with pytest.raises(DataError, match="s1"):
        item_tables([wrong], {"quality"})


def test_sums_in_another_order_round_alike():
    assert rounded(0.1 + 0.2) == 0.3
    assert rounded(-0.0) == 0.0
