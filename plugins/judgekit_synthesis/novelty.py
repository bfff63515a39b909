"""How new a text is: its nearest neighbour among all earlier ones by ROUGE-L, without comparing it with each.

2·LCS / (n + m) can only reach a bound where the two texts share enough words in whatever order, which an inverted index
of the words counts. So the dynamic programme runs for the few that could be near, and the answer is exact.
"""

from __future__ import annotations

from collections import Counter, defaultdict

import judgekit


class Novelty:
    """Texts that are unlike each other: `near` asks about one, `add` takes it in."""

    def __init__(self, threshold: float) -> None:
        self.threshold = threshold
        self._texts: list[list[str]] = []
        self._holders: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)  # word → (text, how often)

    def add(self, text: str) -> None:
        words = judgekit.rouge_words(text)
        for word, count in Counter(words).items():
            self._holders[word].append((len(self._texts), count))
        self._texts.append(words)

    def near(self, text: str) -> bool:
        """Whether some text has a ROUGE-L of at least the threshold with this one."""
        words = judgekit.rouge_words(text)
        shared: Counter[int] = Counter()
        for word, count in Counter(words).items():
            for place, held in self._holders.get(word, ()):
                shared[place] += min(count, held)
        return any(
            2 * most >= self.threshold * (len(words) + len(self._texts[place]))
            and judgekit.rouge_l(words, self._texts[place]) >= self.threshold
            for place, most in shared.items()
        )
