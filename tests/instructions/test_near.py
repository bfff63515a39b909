"""Near-duplicates: held against every pair counted in plain Python."""

import json
import random
from functools import cache

import numpy as np
import pytest

from judgekit_instructions import near
from judgekit_instructions.near import (
    GRAM,
    MOST_HASHES,
    RECALL,
    Bands,
    NearPair,
    clusters,
    folded,
    near_between,
    near_duplicates,
    ngrams,
    normalised,
    signed,
)
from tables import each


@cache
def grams(text):
    return {text[place : place + GRAM] for place in range(max(1, len(text) - GRAM + 1))}


def jaccard(a, b):
    return len(grams(a) & grams(b)) / len(grams(a) | grams(b))


@pytest.fixture(scope="module")
def questions(shared_data):
    items = json.loads((shared_data / "instructions" / "instruction-data.json").read_text("utf-8"))
    return [normalised(f"{item['instruction']}\n{item['input']}") for item in items]


def made(count, seed=0):
    """Texts of invented words, a third of them edited copies of others; Korean and emoji among them."""
    choose = random.Random(seed)
    words = ["".join(choose.choices("abcdefgh", k=choose.randint(2, 7))) for _ in range(200)] + [
        "고양이",
        "학교에",
        "🙂",
    ]
    texts = [" ".join(choose.choices(words, k=choose.randint(1, 25))) for _ in range(count)]
    for _ in range(count // 3):
        letters = list(choose.choice(texts))
        for _ in range(choose.randint(0, 3)):
            letters[choose.randrange(len(letters))] = choose.choice("abcxyz가")
        texts.append("".join(letters))
    return texts


@each(0.5, 0.8, 1.0)
def test_all_pairs_of_two_lists_are_found_and_no_other(threshold):
    texts, others = made(60), made(60) + made(40, seed=1)
    expected = [
        NearPair(a, b, jaccard(one, other))
        for a, one in enumerate(texts)
        for b, other in enumerate(others)
        if jaccard(one, other) >= threshold
    ]
    assert near_between(texts, others, threshold) == expected
    assert near_between([], others) == near_between(texts, []) == []


def test_pairs_are_those_counted_whatever_the_seed():
    texts = made(150)
    firsts = sorted({text: place for place, text in reversed(list(enumerate(texts)))}.values())
    expected = {
        (a, b): jaccard(texts[a], texts[b])
        for a in firsts
        for b in firsts
        if a < b and jaccard(texts[a], texts[b]) >= 0.8
    } | {(texts.index(text), place): 1.0 for place, text in enumerate(texts) if texts.index(text) != place}
    assert {pair[:2]: pair.similarity for pair in near_duplicates(texts)} == expected
    assert len(expected) > 20
    texts = made(100)
    clear = [{pair[:2] for pair in near_duplicates(texts, 0.8, seed) if pair.similarity > 0.9} for seed in range(3)]
    assert clear[0] == clear[1] == clear[2]


def test_the_books_questions_have_the_pairs_counted_by_hand(questions):
    train, test = questions[:935], questions[935:1045]
    found = near_between(test, train, 0.8)
    assert {pair[:2] for pair in found} == {
        (a, b) for a, one in enumerate(test) for b, other in enumerate(train) if jaccard(one, other) >= 0.8
    }
    assert [pair[:2] for pair in found if pair.similarity == 1] == [(40, 355), (99, 355)]


def test_texts_of_any_kind_are_compared():
    assert near_duplicates([]) == near_duplicates(["a"]) == []
    assert near_duplicates(["", "a", "", "ab", "\ud800", "a"]) == [NearPair(0, 2, 1.0), NearPair(1, 5, 1.0)]
    assert np.diff(ngrams(["", "a", "abcabcabc", "aaaa"]).indptr).tolist() == [1, 1, 3, 1]
    texts = ["".join(map(chr, range(0x4E00 + start, 0x4E00 + start + 13_000))) for start in (0, 500, 7000)]
    assert [pair[:2] for pair in near_duplicates(texts)] == [(0, 1)]
    assert near_duplicates(texts)[0].similarity == jaccard(texts[0], texts[1])
    a = "a question of some length, as people ask it, with several words"
    b = "a question of some length, as people ask it, with other words"
    signatures = signed(ngrams([a, b]), 20_000, 0)
    assert (signatures[0] == signatures[1]).mean() == pytest.approx(jaccard(a, b), abs=0.015)
    pairs = [NearPair(4, 5, 0.9), NearPair(1, 3, 0.9), NearPair(3, 5, 0.9)]
    assert clusters(7, pairs) == [0, 1, 2, 1, 1, 1, 6]
    assert normalised("  Ｗhat\tIS\u00a0this?\n") == "what is this?"
    assert folded(normalised("What is “this”?")) == folded(normalised("what is 'this'.")) == "what is this"
    asked = (
        "Below is an instruction that describes a task.\n\n### Instruction:\nAdd.\n\n### Input:\n2\n\n### Response:\n"
    )
    assert folded(normalised(asked)) == "add. 2"
    assert normalised("한국어") == normalised("\u1112\u1161\u11ab\u1100\u116e\u11a8\u110b\u1165")


@each(0.1, 0.3, 0.5, 0.8, 0.9, 0.99)
def test_bands_find_what_they_promise(threshold):
    plan = Bands.of(threshold)
    assert plan.hashes <= MOST_HASHES
    assert 1 - (1 - threshold**plan.rows) ** plan.bands >= RECALL or plan.rows == 1
    assert Bands.of(1).bands == 1
    with pytest.raises(ValueError, match="lies in"):
        Bands.of(0)


def test_a_crowd_is_compared_with_its_neighbours_and_clusters_all_the_same(monkeypatch):
    """More texts of one template than a bucket compares, each with a twin."""
    template = "please write a short and friendly note about the following topic and keep it to one page: number "
    texts = [f"{template}{number:04}" for number in range(200)]
    twins = [f"{text}." for text in texts]
    every = near_duplicates(texts + twins, 0.9)
    monkeypatch.setattr(near, "CROWD", 8)
    some = near_duplicates(texts + twins, 0.9)
    assert set(some) < set(every)
    assert set(clusters(400, some)) == {0}
