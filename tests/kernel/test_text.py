"""Numbers in words."""

import pytest

import judgekit


@pytest.mark.parametrize(
    ("count", "words"), [(0, ("items", "replies")), (1, ("item", "reply")), (2, ("items", "replies"))]
)
def test_one_is_one_and_all_else_is_many(count, words):
    assert (judgekit.counted(count, "item"), judgekit.counted(count, "reply", "replies")) == (
        f"{count} {words[0]}",
        f"{count} {words[1]}",
    )


def test_thousands_are_set_apart():
    assert judgekit.counted(12_345, "sample") == "12,345 samples"
