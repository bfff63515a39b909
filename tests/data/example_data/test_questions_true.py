"""The four-option questions: the MMLU layout, balanced letters, one right option each, and that it is right."""

import csv
import re
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

Row = list[str]
Table = Callable[[str], Any]
SUBJECTS = ["arithmetic", "chemistry", "everyday_words", "geography", "nature"]


def read(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


@pytest.fixture(scope="module")
def mmlu(quickstart):
    return quickstart / "data" / "mmlu"


def rows(mmlu, subject):
    return [row for split in ("dev", "test") for row in read(mmlu / split / f"{subject}_{split}.csv")]


def answer(row):
    return row[1 + "ABCD".index(row[5])]


def test_layout_and_places(mmlu):
    files = sorted(str(path.relative_to(mmlu)) for path in mmlu.rglob("*") if path.is_file())
    assert files == [f"{split}/{subject}_{split}.csv" for split in ("dev", "test") for subject in SUBJECTS]
    assert all(len(read(mmlu / "dev" / f"{subject}_dev.csv")) == 5 for subject in SUBJECTS)
    assert sum(len(read(mmlu / "test" / f"{subject}_test.csv")) for subject in SUBJECTS) >= 100
    # Neither the longest nor the shortest option is right much more often than one time in four.
    everything = [row for subject in SUBJECTS for row in rows(mmlu, subject)]
    for pick in (max, min):
        lengths = [([len(option) for option in row[1:5]], len(answer(row))) for row in everything]
        hits = sum(right == pick(options) and options.count(right) == 1 for options, right in lengths)
        assert hits <= 0.3 * len(everything)


@pytest.mark.parametrize("subject", SUBJECTS)
def test_each_row_is_a_question_with_four_different_options_and_a_letter(subject, mmlu):
    for row in rows(mmlu, subject):
        assert len(row) == 6
        assert row[5] in list("ABCD")
        assert len({option.casefold() if subject != "chemistry" else option for option in row[1:5]}) == 4
        assert all(cell == cell.strip() != "" for cell in row)


@pytest.mark.parametrize("subject", SUBJECTS)
def test_letters_are_balanced_and_no_question_comes_twice(subject, mmlu):
    test = Counter(row[5] for row in read(mmlu / "test" / f"{subject}_test.csv"))
    assert sorted(test) == list("ABCD")
    assert max(test.values()) - min(test.values()) <= 1
    assert {row[5] for row in read(mmlu / "dev" / f"{subject}_dev.csv")} == set("ABCD")
    asked = [(row[0], answer(row)) for row in rows(mmlu, subject)]
    assert len(set(asked)) == len(asked)


def test_sciences(mmlu, table):
    for row in rows(mmlu, "arithmetic"):
        match = re.fullmatch(r"What is (\d+) (plus|minus|times) (\d+)\?", row[0])
        assert match, row
        n, m = int(match[1]), int(match[3])
        right = {"plus": n + m, "minus": n - m, "times": n * m}[match[2]]
        assert [int(option) == right for option in row[1:5]] == [letter == row[5] for letter in "ABCD"]
    for row in rows(mmlu, "chemistry"):
        match = re.fullmatch(r"What is the chemical symbol for (\w+)\?", row[0])
        assert match, row
        assert answer(row) == table("elements")[match[1]][0]
    for row in rows(mmlu, "geography"):
        match = re.fullmatch(r"What is the capital of (.+)\?", row[0])
        assert match, row
        assert answer(row) == table("capitals")[match[1]][0]
    animals = {row["name"]: row for row in table("animals")}
    for row in rows(mmlu, "nature"):
        baby = re.fullmatch(r"What is a baby (\w+) called\?", row[0])
        group = re.fullmatch(r"Which (?:of these animals is an?|one belongs to the) (\w+)(?: group)?\?", row[0])
        if baby:
            assert answer(row) == animals[baby[1]]["young"]
            assert not {"chick", "calf"} & ({*row[1:5]} - {answer(row)})
        else:
            assert group, row
            assert [animals[option]["class"] == group[1] for option in row[1:5]] == [row[5] == c for c in "ABCD"]


def test_everyday_words(mmlu, table):
    """Answers are the tables', and no wrong option is right by them; the rest is read off the question."""
    opposites = {a: b for x, y in table("antonyms") for a, b in ((x, y), (y, x))}
    same = {a: b for x, y in table("synonyms") for a, b in ((x, y), (y, x))}
    comparisons = table("comparisons")
    keys: dict[str, Callable[[str], str]] = {
        r"What is the opposite of (\w+)\?": opposites.__getitem__,
        r"Which word means the same as (\w+)\?": same.__getitem__,
        r"What is the plural of (\w+)\?": table("plurals").__getitem__,
        r"What is the past tense of (\w+)\?": table("past_tenses").__getitem__,
        r"What is the comparative of (\w+)\?": lambda word: str(comparisons[word][0]),
        r"What is the superlative of (\w+)\?": lambda word: str(comparisons[word][1]),
        r"Which of these words is an? (\w+)\?": {
            "color": "purple",
            "verb": "eat",
            "adjective": "beautiful",
        }.__getitem__,
    }
    for row in rows(mmlu, "everyday_words"):
        found = [(key, match[1]) for pattern, key in keys.items() if (match := re.fullmatch(pattern, row[0]))]
        if found:
            ((key, word),) = found
            assert answer(row) == key(word), row
        else:
            assert row[0] == "Which word comes first in alphabetical order?"
            assert answer(row) == min(row[1:5])
