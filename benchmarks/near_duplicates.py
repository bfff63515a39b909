"""Near-duplicates among 52,000 items: `python benchmarks/near_duplicates.py [--items N] [--seed N]`.

The items are of Alpaca's size (60 to 400 characters), made of 3,000 invented words, Zipf-distributed, behind one of a
hundred openings. One in eleven is a planted near-duplicate: a copy with other case and spaces, or with a few characters
edited. What is near is known by counting the n-grams of the planted pairs in plain Python. Recall is over those that
reach the threshold; precision is over all pairs reported, each counted again in plain Python. The promise: 52,000 items
within 60 seconds and 2 GiB.
"""

from __future__ import annotations

import argparse
import random
import resource
import string
import time

from judgekit_instructions.near import GRAM, THRESHOLD, near_duplicates, normalised

SECONDS, GIB = 60, 2


def words(choose: random.Random) -> list[str]:
    return ["".join(choose.choices(string.ascii_lowercase, k=choose.randint(2, 10))) for _ in range(3000)]


def made(count: int, choose: random.Random) -> tuple[list[str], list[tuple[int, int]]]:
    """Items, and the planted pairs (original, copy) by place."""
    vocabulary = words(choose)
    weights = [1 / rank for rank in range(1, len(vocabulary) + 1)]
    openings = [" ".join(choose.choices(vocabulary, k=4)) for _ in range(100)]
    originals = round(count / 1.1)
    texts = []
    for _ in range(originals):
        rest = choose.choices(vocabulary, weights, k=choose.randint(7, 60))
        texts.append(f"{choose.choice(openings)} {' '.join(rest)}.".capitalize())
    planted = [
        (original, originals + place)
        for place, original in enumerate(choose.sample(range(originals), count - originals))
    ]
    texts += [edited(texts[original], choose) for original, _ in planted]
    return texts, planted


def edited(text: str, choose: random.Random) -> str:
    if choose.random() < 0.3:
        return text.upper().replace(" ", "  ")
    letters = list(text)
    for _ in range(choose.randint(1, 6)):
        letters[choose.randrange(len(letters))] = choose.choice(string.ascii_lowercase)
    return "".join(letters)


def grams(text: str) -> set[str]:
    padded = text + "\0" * (GRAM - 1)
    return {padded[place : place + GRAM] for place in range(len(text))}


def similarity(a: str, b: str) -> float:
    return len(grams(a) & grams(b)) / len(grams(a) | grams(b))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=52_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--smoke", action="store_true", help="the smallest form: whether it runs, in seconds")
    arguments = parser.parse_args()
    if arguments.smoke:
        arguments = parser.parse_args(["--items", "1000"])
    items, planted = made(arguments.items, random.Random(arguments.seed))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start, cpu = time.perf_counter(), time.process_time()
    texts = [normalised(item) for item in items]
    found = near_duplicates(texts)
    took, cpu = time.perf_counter() - start, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    near = {pair for pair in planted if similarity(texts[pair[0]], texts[pair[1]]) >= THRESHOLD}
    pairs = {(pair.first, pair.second) for pair in found}
    right = sum(similarity(texts[a], texts[b]) >= THRESHOLD for a, b in pairs)
    print(f"{len(items):,} items, {sum(map(len, texts)) / len(texts):.0f} characters on average")
    print(f"  time       {took:6.1f} s ({cpu:.1f} s of CPU)   promised: at most {SECONDS}")
    print(f"  peak RSS   {peak / 2**20:6.2f} GiB ({before / 2**20:.2f} before)   promised: at most {GIB}")
    print(f"  recall     {len(near & pairs) / len(near):8.4%} of {len(near):,} planted pairs that are near")
    print(f"  precision  {right / len(pairs):8.4%} of {len(pairs):,} pairs reported")


if __name__ == "__main__":
    main()
