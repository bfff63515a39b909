"""Numbers in words."""

import pytest

from judgekit import counted


@pytest.mark.parametrize(
    ("count", "items", "replies"), [(0, "0 items", "0 replies"), (1, "1 item", "1 reply"), (2, "2 items", "2 replies")]
)
def test_one_is_one_and_all_else_is_many(count, items, replies):
    assert (counted(count, "item"), counted(count, "reply", "replies")) == (items, replies)


def test_thousands_are_set_apart():
    assert counted(12_345, "sample") == "12,345 samples"
