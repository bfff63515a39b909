"""Novelty of texts: a search for earlier ones that are near by ROUGE-L, without comparing each.

A text of n words and one of m that share s of them (in whatever order) have a ROUGE-L of 2·s / (n + m) at most, and
s ≤ m. To reach t they must share at least k = t·n / (2 − t) words, so a near one holds at least one of the n − k + 1
rarest words of the text (prefix filtering: Chaudhuri et al. 2006; Bayardo et al. 2007). Only texts that do, of fitting
length and with enough shared words, are compared word by word, and the answer is exact.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict

import judgekit
import judgekit.data

_ROUNDING = 1e-9


class Novelty:
    """Texts that are unlike each other: `near` asks about one, `add` takes it in. 0 < threshold ≤ 1."""

    def __init__(self, threshold: float) -> None:
        self.threshold = threshold
        self._texts: list[tuple[list[str], Counter[str]]] = []
        self._holders: defaultdict[str, list[int]] = defaultdict(list)  # word → the texts that have it

    def add(self, text: str) -> None:
        words = judgekit.data.rouge_words(text)
        counted = Counter(words)
        for word in counted:
            self._holders[word].append(len(self._texts))
        self._texts.append((words, counted))

    def near(self, text: str) -> bool:
        """True if some text has a ROUGE-L of at least the threshold with this one."""
        words = judgekit.data.rouge_words(text)
        counted = Counter(words)
        fewest = math.ceil(self.threshold * len(words) / (2 - self.threshold) - _ROUNDING)  # words to share
        rarest = sorted(words, key=lambda word: (len(self._holders.get(word, ())), word))[: len(words) - fewest + 1]
        candidates = {place for word in rarest for place in self._holders.get(word, ())}
        return any(self._is_near(words, counted, place) for place in sorted(candidates))

    def _is_near(self, words: list[str], counted: Counter[str], place: int) -> bool:
        theirs, held = self._texts[place]
        least = self.threshold * (len(words) + len(theirs)) / 2 - _ROUNDING
        if min(len(words), len(theirs)) < least or (counted & held).total() < least:
            return False
        return judgekit.data.rouge_l(words, theirs) >= self.threshold
