"""ROUGE-L of two texts (Lin 2004): the share of their words that are in both, in the same order."""

from __future__ import annotations

import re
from collections.abc import Sequence


def rouge_words(text: str) -> list[str]:
    """The lower-cased words of a text, without punctuation."""
    return re.findall(r"\w+", text.lower())


def rouge_l(ours: Sequence[str], theirs: Sequence[str]) -> float:
    """F1 of two lists of words, 0 … 1: 2·LCS / (words of the one + words of the other); 0 where either has none."""
    total = len(ours) + len(theirs)
    return 2 * longest_common_subsequence(ours, theirs) / total if ours and theirs else 0.0


def longest_common_subsequence(a: Sequence[str], b: Sequence[str]) -> int:
    """Length of the longest common subsequence, by rows; time len(a)·len(b), memory len(b)."""
    row = [0] * (len(b) + 1)
    for x in a:
        diagonal = 0
        for column, y in enumerate(b, start=1):
            above = row[column]
            row[column] = diagonal + 1 if x == y else max(above, row[column - 1])
            diagonal = above
    return row[-1]
