"""ROUGE-L of two texts."""

from hypothesis import given
from hypothesis import strategies as st

from judgekit.data.rouge import longest_common_subsequence


@given(st.lists(st.integers(0, 3), max_size=8), st.lists(st.integers(0, 3), max_size=8))
def test_lcs_is_symmetric_and_bounded(a, b):
    length = longest_common_subsequence(a, b)
    assert length == longest_common_subsequence(b, a)
    assert length <= min(len(a), len(b))
    assert longest_common_subsequence(a, a) == len(a)
