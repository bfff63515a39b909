import math
import random

import pytest

from judgekit.statistics.items import ItemTable


def table_of(rows):
    table = ItemTable()
    for row in rows:
        table.add(*row)
    return table


ROWS = [
    ("b", 0, 0, 10.0, "scored"),
    ("b", 0, 1, 20.0, "scored"),
    ("b", 1, 0, 90.0, "scored"),
    ("b", 1, 1, None, "unparsed"),
    ("a", 0, 0, 50.0, "scored"),
    ("a", 0, 1, 70.0, "scored"),
    ("a", 1, 0, 40.0, "scored"),
    ("a", 1, 1, 40.0, "scored"),
    ("c", 0, 0, None, "error"),
]


def test_judge_repeats_are_averaged_inside_generations_and_these_inside_the_item():
    present, means = table_of(ROWS).means()
    assert present.tolist() == [0, 1]
    assert means.tolist() == [(60 + 40) / 2, (15 + 90) / 2]


def test_filled_means_take_every_missing_verdict_at_the_given_value():
    present, means = table_of(ROWS).means(fill=100)
    assert present.tolist() == [0, 1, 2]
    assert means.tolist() == [50, (15 + 95) / 2, 100]


def test_the_order_of_rows_does_not_matter():
    shuffled = random.Random(3).sample(ROWS, len(ROWS))
    assert table_of(shuffled).means()[1].tolist() == table_of(ROWS).means()[1].tolist()
    assert table_of(shuffled).ids == ["a", "b", "c"]


def test_rows_are_counted_by_status():
    table = table_of(ROWS)
    assert (len(table), table.repeats) == (9, 4)
    assert table.counts == {"scored": 7, "unparsed": 1, "error": 1}
    assert sorted(table.values().tolist()) == [10, 20, 40, 40, 50, 70, 90]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_no_number_is_refused(value):
    with pytest.raises(ValueError, match="not a finite value"):
        ItemTable().add("a", 0, 0, value)


@pytest.mark.parametrize(("value", "status"), [(None, "scored"), (1.0, "unparsed")])
def test_a_value_goes_with_scored_alone(value, status):
    with pytest.raises(ValueError, match="exactly when it is scored"):
        ItemTable().add("a", 0, 0, value, status)


def test_a_row_added_twice_is_refused():
    table = table_of([("a", 0, 0, 1.0, "scored"), ("b", 0, 0, 1.0, "scored"), ("a", 0, 0, 1.0, "scored")])
    with pytest.raises(ValueError, match="added twice"):
        table.means()


def test_an_empty_table_has_no_means():
    present, means = ItemTable().means()
    assert present.size == means.size == 0
