"""Near-duplicate texts: MinHash-LSH finds the candidates, the Jaccard similarity of their n-grams decides. Pure.

Two texts are as alike as the sets of their 4-grams of characters, in lower case, with single spaces, without quotes and
final stops: |A ∩ B| / |A ∪ B|. A signature holds, for each of a few hundred random orders of all n-grams, the lowest
n-gram of the text; two texts agree at a place of it with a probability that is their similarity (Broder 1997). Texts
that agree in all rows of one band are candidates (Leskovec, Rajaraman & Ullman, Mining of Massive Datasets, chapter 3).
Every reported pair was counted; one right at the threshold is missed with a probability of 1 − RECALL, others with
less.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scipy.sparse import csr_array

GRAM = 4  # characters
THRESHOLD = 0.8
RECALL = 0.999  # of the pairs right at the threshold
MOST_HASHES = 256
CROWD = 32  # texts in one bucket, up to which each is compared with all others of it
NEIGHBOURS = 2  # before and behind, with which a text of a larger one is compared
_PAIRS = 1 << 19  # candidates looked at together: what bounds the memory
_PRODUCTS = 1 << 24  # n-grams that texts and others share, looked at together
_LARGEST_TABLE = 1 << 27
_PAD = "\0"
_QUOTES = re.compile("[\"'`´‘’‚“”„«»‹›「」『』]")
_FRAME = re.compile(r"^\s*below is an instruction.*?(?=### instruction:)|### (?:instruction|input|response):")

Ints = NDArray[np.int64]


class NearPair(NamedTuple):
    """Two texts by their places, the earlier first, and their Jaccard similarity."""

    first: int
    second: int
    similarity: float


def normalised(text: str) -> str:
    """The text without differences of case, compatibility forms (NFKC), and kinds and numbers of spaces."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def folded(text: str) -> str:
    """A normalised text without quotes, a final stop, and the frame that Alpaca's prompt puts round a question."""
    if "### instruction:" in text:
        text = _FRAME.sub(" ", text)
    return " ".join(_QUOTES.sub("", text).split()).rstrip(" .!?。！？")


def near_duplicates(texts: Sequence[str], threshold: float = THRESHOLD, seed: int = 0) -> list[NearPair]:
    """All pairs of texts with a similarity of at least `threshold` (in (0, 1]), by place.

    Equal texts are pairs too, each with the first of its kind alone; other pairs are given for the first of each kind.
    Time and memory grow with the texts, not with their pairs: where more than CROWD texts fall into one bucket
    (thousands of items of one template), each is compared with its neighbours only, and not every pair is told.
    """
    kinds, firsts = _kinds(texts)
    pairs = [NearPair(int(firsts[kind]), place, 1.0) for place, kind in enumerate(kinds) if firsts[kind] != place]
    if len(firsts) > 1:
        grams = ngrams([texts[place] for place in firsts])
        plan = Bands.of(threshold)
        signatures = signed(grams, plan.hashes, seed)
        short = signatures.astype(np.uint8)  # a quarter of the memory to look at; 1 in 256 agrees by chance
        for candidates in _candidates(signatures, plan):
            likely = _could_be(short, candidates, threshold)
            pairs += (
                NearPair(int(firsts[a]), int(firsts[b]), s) for a, b, s in counted(grams, grams, likely, threshold)
            )
    return sorted(pairs)


def near_between(texts: Sequence[str], others: Sequence[str], threshold: float = THRESHOLD) -> list[NearPair]:
    """All (place in `texts`, place in `others`, similarity) with a similarity of at least `threshold`; none is missed.

    A text that lacks at most m of another's n-grams has at least k of any m + k of them. So only those are counted that
    have k of its rarest (the prefix filter: Chaudhuri, Ganti & Kaushik 2006; with k: Wang, Li & Feng 2012).
    """
    if not texts or not others:
        return []
    both = ngrams([*texts, *others])
    ours, theirs = both[: len(texts)], both[len(texts) :]
    columns = theirs.T.tocsr()
    common = np.diff(columns.indptr)  # how many of the others have each n-gram
    rare, least = _rarest(ours, common, threshold)
    cost = np.cumsum(rare @ common)
    near: list[NearPair] = []
    for rows in np.split(np.arange(len(texts)), np.flatnonzero(np.diff(cost // _PRODUCTS)) + 1):
        product = (rare[rows] @ columns).tocoo()
        pairs = np.stack([rows[product.coords[0]], product.coords[1].astype(np.int64)])
        pairs = pairs[:, product.data >= least[pairs[0]]]
        near += counted(ours, theirs, pairs, threshold)
    return sorted(near)


def _rarest(grams: csr_array, common: NDArray[Any], threshold: float) -> tuple[csr_array, Ints]:
    """The n-grams of each text that are rarest among the others, and how many of them a near text must have: an eighth
    of all, so that few others are counted in vain."""
    from scipy.sparse import csr_array

    sizes = np.diff(grams.indptr).astype(np.int64)
    least = np.maximum(1, np.minimum(sizes // 8, np.ceil(threshold * sizes - 1e-9).astype(np.int64)))
    lacking = sizes - np.ceil(threshold * sizes - 1e-9).astype(np.int64)  # at most, of a near text
    row = np.repeat(np.arange(len(sizes)), sizes)
    order = np.lexsort((common[grams.indices], row))
    rank = np.arange(len(order)) - np.repeat(grams.indptr[:-1], sizes)
    keep = rank < np.repeat(lacking + least, sizes)
    chosen = (row[keep], grams.indices[order[keep]])
    return csr_array((np.ones(int(keep.sum()), dtype=np.int32), chosen), shape=grams.shape), least


def clusters(count: int, pairs: Sequence[NearPair]) -> list[int]:
    """The place of the first text of its cluster, for each of `count` texts; clusters are what pairs connect."""
    first = list(range(count))

    def root(place: int) -> int:
        while first[place] != place:
            first[place] = first[first[place]]
            place = first[place]
        return place

    for pair in pairs:
        a, b = sorted((root(pair.first), root(pair.second)))
        first[b] = a
    return [root(place) for place in range(count)]


def _kinds(texts: Sequence[str]) -> tuple[list[int], list[int]]:
    """The number of each text's kind (equal texts are of one), and the place of the first text of each kind."""
    numbers: dict[str, int] = {}
    firsts: list[int] = []
    kinds = []
    for place, text in enumerate(texts):
        if text not in numbers:
            numbers[text] = len(firsts)
            firsts.append(place)
        kinds.append(numbers[text])
    return kinds, firsts


def ngrams(texts: Sequence[str]) -> csr_array:
    """The n-grams of every text as a matrix of ones, texts × n-grams. A text shorter than one is one, however short.

    They are numbered, not hashed: first the characters that occur, then their pairs, then pairs of pairs.
    """
    from scipy.sparse import csr_array

    whole = "".join(f"{text or _PAD}{_PAD * (GRAM - 1)}" for text in texts)
    letters, kinds = _numbered(np.frombuffer(whole.encode("utf-32-le", "surrogatepass"), dtype=np.uint32), 0x110000)
    pairs, kinds = _numbered(letters[:-1].astype(np.int64) * kinds + letters[1:], kinds**2)
    grams, width = _numbered(pairs[:-2].astype(np.int64) * kinds + pairs[2:], kinds**2)
    counts = np.array([max(1, len(text) - GRAM + 1) for text in texts], dtype=np.int64)
    ends = np.cumsum([max(1, len(text)) + GRAM - 1 for text in texts])
    starts = np.concatenate([[0], ends[:-1]])
    # Where an n-gram of a text begins: nowhere in what is put between texts, nor where it would reach into that.
    places = np.repeat(starts - np.cumsum(counts) + counts, counts) + np.arange(int(counts.sum()))
    owners = np.repeat(np.arange(len(texts), dtype=np.int64), counts)
    cells = _once(owners * width + grams[places])  # each n-gram once a text
    indptr = np.searchsorted(cells, np.arange(len(texts) + 1) * width).astype(np.int32)
    cells %= width
    return csr_array((np.ones(len(cells), dtype=np.int32), cells.astype(np.int32), indptr), shape=(len(texts), width))


def _once(numbers: Ints) -> Ints:
    """The different numbers, in order. (numpy's `unique` hashes them first, which takes twenty times as long.)"""
    numbers = np.sort(numbers)
    first = np.ones(len(numbers), dtype=bool)
    np.not_equal(numbers[1:], numbers[:-1], out=first[1:])
    return numbers[first]


def _numbered(codes: NDArray[Any], size: int) -> tuple[NDArray[np.int32], int]:
    """Codes (below `size`) numbered without gaps, and how many kinds there are."""
    if size > _LARGEST_TABLE:
        kinds, number = np.unique(codes, return_inverse=True)
        return number.astype(np.int32), len(kinds)
    present = np.zeros(size, dtype=bool)
    present[codes] = True
    table = np.cumsum(present, dtype=np.int32) - 1
    return table[codes], int(table[-1]) + 1


@dataclass(frozen=True)
class Bands:
    """A signature's `bands` of `rows` places each."""

    bands: int
    rows: int

    @property
    def hashes(self) -> int:
        return self.bands * self.rows

    @staticmethod
    def of(threshold: float) -> Bands:
        """The longest rows with which a pair at the threshold agrees in one band at least with probability RECALL,
        1 − (1 − threshold ^ rows) ^ bands: long rows make few candidates."""
        if not 0 < threshold <= 1:
            raise ValueError(f"a similarity lies in (0, 1], not {threshold}")
        best = None
        for rows in range(1, MOST_HASHES + 1):
            agree = threshold**rows
            bands = 1 if agree > RECALL else math.ceil(math.log(1 - RECALL) / math.log1p(-agree))
            if rows * bands > MOST_HASHES:
                break
            best = Bands(bands, rows)
        return best or Bands(MOST_HASHES, 1)


def signed(grams: csr_array, hashes: int, seed: int) -> NDArray[np.uint32]:
    """MinHash signatures, texts × hashes: the lowest random number among those of a text's n-grams."""
    random = np.random.default_rng(seed)
    signatures = np.empty((hashes, grams.shape[0]), dtype=np.uint32)
    numbers = np.empty(grams.nnz, dtype=np.uint32)
    for signature in signatures:
        order = random.integers(0, 1 << 32, grams.shape[1], dtype=np.uint32)
        order.take(grams.indices, out=numbers, mode="clip")  # into memory that is there: half the time
        np.minimum.reduceat(numbers, grams.indptr[:-1], out=signature)
    return np.ascontiguousarray(signatures.T)


def _candidates(signatures: NDArray[np.uint32], plan: Bands) -> Iterator[Ints]:
    """Pairs of rows (2 × pairs, the lower first) that agree in a band; each once."""
    count = len(signatures)
    seen = np.empty(0, dtype=np.int64)
    keys = [_key(signatures[:, band * plan.rows : (band + 1) * plan.rows]) for band in range(plan.bands)]
    for band, key in enumerate(keys):
        # Within a bucket those stand together that agree in the next bands too.
        order = np.lexsort((keys[(band + 2) % plan.bands], keys[(band + 1) % plan.bands], key))
        parts = list(_neighbours(key[order], order, count))
        fresh = _once(np.concatenate(parts)) if parts else seen[:0]
        fresh = np.setdiff1d(fresh, seen, assume_unique=True)
        seen = np.sort(np.concatenate([seen, fresh]))
        for start in range(0, len(fresh), _PAIRS):
            chunk = fresh[start : start + _PAIRS]
            yield np.stack([chunk // count, chunk % count])


def _key(rows: NDArray[np.uint32]) -> NDArray[np.uint64]:
    """One number for the rows of a band: a polynomial in an odd number, so that equal rows have equal keys. Unequal
    rows hardly ever do; pairs that agree by chance are dropped when they are counted."""
    key = np.zeros(len(rows), dtype=np.uint64)
    for place in range(rows.shape[1]):
        key = (key ^ rows[:, place]) * np.uint64(0x9E3779B97F4A7C15)
        key ^= key >> np.uint64(29)
    return key


def _neighbours(key: NDArray[np.uint64], order: Ints, count: int) -> Iterator[Ints]:
    """Pairs lower · count + higher of texts with one key, which `order` has side by side: all of a bucket, or of a
    crowd those at most NEIGHBOURS places apart."""
    _, bucket, sizes = np.unique(key, return_inverse=True, return_counts=True)
    crowded = sizes[bucket] > CROWD
    for distance in range(1, min(CROWD, int(sizes.max()))):
        here = key[:-distance] == key[distance:]
        if distance > NEIGHBOURS:
            here &= ~crowded[:-distance]
        a, b = order[:-distance][here], order[distance:][here]
        yield np.minimum(a, b) * count + np.maximum(a, b)


def _could_be(signatures: NDArray[np.uint8], pairs: Ints, threshold: float) -> Ints:
    """The pairs whose signatures agree as often as is expected at the threshold, less four standard errors; the others
    are not worth counting."""
    hashes = signatures.shape[1]
    least = threshold - 4 * math.sqrt(max(threshold * (1 - threshold), 1 / hashes) / hashes)
    agree = np.concatenate(
        [
            (signatures[part[0]] == signatures[part[1]]).mean(axis=1)
            for part in np.array_split(pairs, max(1, pairs.shape[1] >> 15), axis=1)
        ]
    )
    return pairs[:, agree >= least]


def counted(first: csr_array, second: csr_array, pairs: Ints, threshold: float) -> Iterator[NearPair]:
    """The pairs (2 × pairs) of rows of `first` and of `second` that reach the threshold."""
    sizes, other_sizes = np.diff(first.indptr), np.diff(second.indptr)
    for start in range(0, pairs.shape[1], 1 << 15):
        a, b = pairs[:, start : start + (1 << 15)]
        shared = np.asarray(first[a].multiply(second[b]).sum(axis=1)).ravel()
        similarity = shared / (sizes[a] + other_sizes[b] - shared)
        for i in np.flatnonzero(similarity >= threshold):
            yield NearPair(int(a[i]), int(b[i]), float(similarity[i]))
