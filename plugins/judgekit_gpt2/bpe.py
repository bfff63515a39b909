"""Learning a byte-level BPE (Sennrich et al., 2016) from text."""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterable
from itertools import chain, pairwise

import judgekit
from judgekit_gpt2.tokens import PIECES, Merge, Tokenizer


def train(texts: Iterable[str], size: int) -> Tokenizer:
    """A vocabulary of `size` tokens, the 256 bytes and the end of text included.

    The most frequent pair of neighbours becomes a token, again and again; of equally frequent pairs the first in
    byte order, so that the same text gives the same vocabulary. Raises DataError when the text has too few pairs.
    """
    learner = _Learner(_count_pieces(texts))
    learned: list[Merge] = []
    for _ in range(size - 257):
        pair = learner.most_frequent()
        if pair is None:
            few = len(learned) + 257
            raise judgekit.DataError(f"the text is too small for a vocabulary of {size}: it has {few} tokens")
        learner.merge(pair)
        learned.append(pair)
    return Tokenizer(learned)


def _count_pieces(texts: Iterable[str]) -> Counter[bytes]:
    import regex  # type: ignore[import-untyped]  # comes with tiktoken; the standard `re` has no letter classes

    found = chain.from_iterable(map(regex.compile(PIECES).finditer, texts))
    return Counter(match.group().encode("utf-8", "replace") for match in found)


class _Learner:
    """All pieces as lists of tokens, with the count of every pair kept up to date by each merge."""

    def __init__(self, pieces: Counter[bytes]) -> None:
        self.words = [([bytes([byte]) for byte in piece], count) for piece, count in sorted(pieces.items())]
        self.counts: Counter[Merge] = Counter()
        self.places: defaultdict[Merge, set[int]] = defaultdict(set)  # pair → words that have (or had) it
        for place, (word, count) in enumerate(self.words):
            for pair in pairwise(word):
                self.counts[pair] += count
                self.places[pair].add(place)
        self.heap = [(-count, pair) for pair, count in self.counts.items()]  # old entries stay: checked when popped
        heapq.heapify(self.heap)
        self.known: set[bytes] = set()

    def most_frequent(self) -> Merge | None:
        while self.heap:
            negative, pair = heapq.heappop(self.heap)
            # tiktoken joins any two neighbours that make a known token, so no token is made twice.
            if self.counts[pair] == -negative > 0 and pair[0] + pair[1] not in self.known:
                return pair
        return None

    def merge(self, pair: Merge) -> None:
        token = pair[0] + pair[1]
        self.known.add(token)
        changed: set[Merge] = set()
        for place in self.places.pop(pair):
            word, count = self.words[place]
            for old in pairwise(word):
                self.counts[old] -= count
                changed.add(old)
            position = 0
            while position < len(word) - 1:
                if (word[position], word[position + 1]) == pair:
                    word[position : position + 2] = [token]
                position += 1
            for new in pairwise(word):
                self.counts[new] += count
                self.places[new].add(place)
                changed.add(new)
        for other in changed:
            if self.counts[other] > 0:
                heapq.heappush(self.heap, (-self.counts[other], other))
